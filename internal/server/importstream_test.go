package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestImportAnswersWhileItReads sends the rows only after the answer has begun.
func TestImportAnswersWhileItReads(t *testing.T) {
	f := newFixture(t)
	reader, writer := io.Pipe()
	r, err := http.NewRequest(http.MethodPost, f.base+"/v1/imports/contacts?source=shop", reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+f.token)
	go func() { fmt.Fprintf(writer, "external_id\n\"bad\"x\n%s", strings.Repeat("\n", 8<<10)) }() // clients send in pieces of some kB
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	go func() {
		for i := range 25_000 { // more than a batch
			fmt.Fprintf(writer, "C%d\n", i)
		}
		_ = writer.Close()
	}()
	beginning := make([]byte, 200)
	if _, err := io.ReadAtLeast(response.Body, beginning, 20); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(beginning), `{"rejected":{"line":2`) {
		t.Errorf("the answer begins with %s", beginning)
	}
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(rest), `"result":{`) {
		t.Errorf("the answer ends with %s, %v", rest, err)
	}
}

func TestImportKeepsWhatWasCommittedWhenTheClientGoes(t *testing.T) {
	f := newFixture(t)
	var rows strings.Builder
	for i := range 12_000 { // a whole batch, and what is none
		fmt.Fprintf(&rows, "C%d\n", i)
	}
	g := gomega.NewWithT(t)
	writer, _ := f.begin("shop")
	_, _ = io.WriteString(writer, rows.String())
	g.Eventually(func() string { return f.rows("select count(*) from contact")[0] }, patience).Should(gomega.Equal("10000"))
	_ = writer.CloseWithError(io.ErrClosedPipe)
	g.Eventually(func() string {
		return f.rows("select (select count(*) from contact), (select count(*) from pg_locks where locktype = 'advisory')")[0]
	}, patience).Should(gomega.Equal("10000|0"))
	got := f.importCSV("external_id\n" + rows.String())
	if diff := cmp.Diff(&counts{Rows: 12_000, Created: 2000, Unchanged: 10_000}, got.result); diff != "" {
		t.Errorf("the import after it: -want +got:\n%s\n%s", diff, got.problem)
	}
}

func TestImportsOfASourceTakeTurns(t *testing.T) {
	f := newFixture(t)
	var text strings.Builder
	text.WriteString("external_id,email:verified,first_name,consent:news\n")
	for i := range 5000 {
		fmt.Fprintf(&text, "C%d,p%d@example.com,N%d,true\n", i, i, i)
	}
	var wait sync.WaitGroup
	results := make([]imported, 3)
	for i, source := range []string{"shop", "shop", "crm"} {
		wait.Go(func() { results[i] = f.importFrom(source, strings.NewReader(text.String())) })
	}
	wait.Wait()
	created := 0
	for _, r := range results {
		if r.result == nil || r.result.Rejected > 0 {
			t.Fatalf("%+v", r)
		}
		created += r.result.Created
	}
	if created != 5000 {
		t.Errorf("%d contacts were created, want 5000: every address is verified by both sources", created)
	}
	if diff := cmp.Diff([]string{"5000|15000|15000|5000"}, f.rows(`select (select count(*) from contact), (select count(*) from identifier),
		(select count(*) from identifier_link where verified), (select count(*) from consent)`)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// begin starts an import that runs until the writer is closed.
func (f *fixture) begin(source string) (*io.PipeWriter, *http.Response) {
	f.t.Helper()
	reader, writer := io.Pipe()
	r, err := http.NewRequest(http.MethodPost, f.base+"/v1/imports/contacts?source="+source, reader)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+f.token)
	go fmt.Fprintf(writer, "external_id\n%s", strings.Repeat("\n", 8<<10)) // clients send in pieces of some kB
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		_ = writer.Close()
		_ = response.Body.Close()
	})
	return writer, response
}

func TestTooManyImportsAreRefused(t *testing.T) {
	f := newFixture(t)
	var last *io.PipeWriter
	var lines io.Reader
	for i := range 3 {
		writer, response := f.begin(fmt.Sprintf("s%d", i))
		if response.StatusCode != http.StatusOK {
			t.Fatalf("import %d: status %d", i, response.StatusCode)
		}
		last, lines = writer, response.Body
	}
	if got := f.importCSV("external_id\nC2\n"); got.status != http.StatusTooManyRequests {
		t.Errorf("the fourth: status %d", got.status)
	}
	_ = last.Close()
	if _, err := io.ReadAll(lines); err != nil {
		t.Fatal(err)
	}
	gomega.NewWithT(t).Eventually(func() int { return f.importCSV("external_id\nC2\n").status }, patience).Should(gomega.Equal(http.StatusOK))
}

func TestImportEndsWhenTheServerStops(t *testing.T) {
	f := newFixture(t)
	_, response := f.begin("shop")
	started := time.Now()
	f.stop()
	lines, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(lines), "The server is stopping. The rows up to line 0 are in.") {
		t.Errorf("got %s, %v", lines, err)
	}
	if took := time.Since(started); took > 20*time.Second { // who does not end is cut off after 25
		t.Errorf("it took %s", took)
	}
}

// TestImportWaitsForItsTurn has another import of the source take longer than a client may be silent.
func TestImportWaitsForItsTurn(t *testing.T) {
	f := newFixture(t)
	f.stop()
	f.stall = 500 * time.Millisecond
	f.base = f.serve() + "/t/" + tenantID
	ctx := context.Background()
	other := f.db.NewContactImport("shop", store.ContactColumns{}, store.ImportOptions{})
	if _, err := other.Apply(ctx, []store.ContactRow{{ExternalID: "C0"}}); err != nil {
		t.Fatal(err)
	}
	f.waits = sync.OnceFunc(func() { time.AfterFunc(3*f.stall, func() { other.Close(ctx) }) })
	got := f.importCSV("external_id\nC1\n")
	if got.result == nil || got.result.Created != 1 || !got.waited {
		t.Errorf("%+v", got)
	}
}

func TestImportGivesUpASilentClient(t *testing.T) {
	f := newFixture(t)
	f.stop()
	f.stall = 2 * time.Second // longer than it takes for the header to come
	f.base = f.serve() + "/t/" + tenantID
	_, response := f.begin("shop")
	lines, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(lines), "The file did not come to its end.") {
		t.Errorf("got %s, %v", lines, err)
	}
}

func TestImportIsNotedForTheSegments(t *testing.T) {
	f := newFixture(t)
	f.exec("insert into segment (name, match, digest, predicate, arguments) values ('everybody', 'true', 'd', 'true', '[]')")
	f.importCSV("external_id\nC1\n")
	if got := f.rows("select count(distinct contact_id) from segment_change"); got[0] != "1" {
		t.Errorf("changes of %s contacts are noted, want 1", got[0])
	}
	f.exec("delete from segment_change")
	f.importCSV("external_id\nC1\n")
	if got := f.rows("select count(*) from segment_change"); got[0] != "0" {
		t.Errorf("an import that changed nothing noted %s changes", got[0])
	}
}

func TestImportSurvivesADatabaseThatGoesAway(t *testing.T) {
	f := newFixture(t)
	reader, writer := io.Pipe()
	done := make(chan imported, 1)
	go func() { done <- f.importFrom("shop", reader) }()
	send := func(from, to int) {
		for i := from; i < to; i++ {
			fmt.Fprintf(writer, "C%d,p%d@example.com\n", i, i)
		}
	}
	fmt.Fprintln(writer, "external_id,email:verified")
	send(0, 25_000)
	g := gomega.NewWithT(t)
	g.Eventually(func() string { return f.rows("select count(*) from contact")[0] }, patience).Should(gomega.Equal("20000"))
	f.cutConnections()
	send(25_000, 50_000)
	_ = writer.Close()
	got := <-done
	if diff := cmp.Diff(&counts{Rows: 50_000, Created: 50_000}, got.result); diff != "" {
		t.Errorf("-want +got:\n%s\n%s", diff, got.problem)
	}
}

func TestImportMemoryStaysFlat(t *testing.T) {
	f := newFixture(t)
	reader, writer := io.Pipe()
	go func() {
		fmt.Fprintln(writer, "external_id,first_name")
		cell := strings.Repeat("x", 60<<10)
		for i := range 3000 { // 180 MB
			fmt.Fprintf(writer, "C%d,%s\n", i%500, cell)
		}
		_ = writer.Close()
	}()
	// What is alive, not what the collector has not come to yet on a busy machine.
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var peak uint64
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			metrics.Read(live)
			peak = max(peak, live[0].Value.Uint64())
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	got := f.importFrom("shop", reader)
	close(stop)
	wait.Wait()
	if got.result == nil || got.result.Rows != 3000 {
		t.Fatalf("%+v", got.problem)
	}
	if peak > 60<<20 {
		t.Errorf("%d MiB were alive while 180 MB were read", peak>>20)
	}
}
