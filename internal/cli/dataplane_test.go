package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// An outage of the database restarts nobody.
func TestAnOutageOfTheDatabase(t *testing.T) {
	db, end, start := storetest.NewStoppable(t)
	p := newPlane(t, db, 1)
	p.mount.Set(p.secret.Files())
	programs := []*program{p.start("worker"), p.start("server", "--drain-delay", "0s")}
	for _, r := range programs {
		r.becomes("/readyz", "200 ok")
	}
	end()
	for _, r := range programs {
		r.becomes("/readyz", `503 tenant "velo-test": the database cannot be used`)
		p.Expect(r.probe("/livez")).To(gomega.Equal("200 ok\n"))
	}
	start()
	for _, r := range programs {
		r.becomes("/readyz", "200 ok")
		p.Expect(r.probe("/livez")).To(gomega.Equal("200 ok\n"))
		r.signal(syscall.SIGTERM)
		r.ends(planePatience)
	}
}

// A worker that is told to stop finishes what it has handed over, gives the rest back, and another takes it over at once.
func TestSIGTERMDuringASend(t *testing.T) {
	const n = 400
	p := newPlane(t, storetest.New(t), n)
	p.slowly(50*time.Millisecond, nil)
	p.mount.Set(p.secret.Files())
	p.campaign()
	first := p.start("worker", "--graceful-period", "5m")
	p.arrived(30)
	// It has messages under way when it is told to stop, and they stay so until it was seen to be stopping.
	handed, answer := make(chan struct{}, n), make(chan struct{})
	p.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage != delivertest.Dot {
			return delivertest.Action{}
		}
		handed <- struct{}{}
		return delivertest.Action{Wait: answer}
	}})
	<-handed
	first.signal(syscall.SIGTERM)
	first.becomes("/readyz", "503 the process is stopping")
	close(answer)
	first.ends(planePatience)
	if s := p.states(); s[campaign.RowIntent] != 0 || s[campaign.RowAmbiguous] != 0 || s[campaign.RowSent] < 30 || s[campaign.RowPending] < n/2 {
		t.Errorf("what was handed over should be settled, and the rest pending: %v", s)
	}
	var held int
	p.must(nil, p.db.Pool.QueryRow(context.Background(), "select count(*) from send_chunk where leased_until is not null").Scan(&held))
	if held != 0 {
		t.Errorf("%d leases were not given back", held)
	}
	p.relay.Behave(delivertest.Behaviour{})
	second := p.start("worker")
	second.becomes("/readyz", "200 ok")
	took := time.Now()
	p.Eventually(p.states).WithTimeout(planePatience).Should(gomega.Equal(map[campaign.RowState]int{campaign.RowSent: n}))
	if took := time.Since(took); took > 20*time.Second { // leases last thirty
		t.Errorf("another worker needed %s", took)
	}
	second.signal(syscall.SIGTERM)
	second.ends(planePatience)
	p.Expect(p.db.Processes(context.Background())).To(gomega.BeEmpty())
}

// Passwords change under a send: of the database's role and of the relay's user. Nothing is lost, nothing is doubled, and
// no process is restarted.
func TestCredentialsAreRotated(t *testing.T) {
	const n = 300
	p := newPlane(t, storetest.New(t), n)
	p.slowly(20*time.Millisecond, map[string]string{"velo": "old"})
	p.saveChannel(true)
	worker, server := p.start("worker"), p.start("server", "--drain-delay", "0s")
	for _, r := range []*program{worker, server} {
		r.becomes("/livez", "200 ok")
		r.becomes("/readyz", "has not arrived")
	}
	p.mount.Set(nil) // an optional Secret that is not there
	p.secret.Channels = map[string]credentials.Channel{"newsletter": {Username: "velo", Password: "old"}}
	p.mount.Set(p.secret.Files())
	worker.becomes("/readyz", "200 ok")
	server.becomes("/readyz", "200 ok")
	p.campaign()
	p.arrived(20)

	p.password("second")
	p.slowly(20*time.Millisecond, map[string]string{"velo": "new"})
	p.relay.Drop() // who connects anew needs the new password
	p.hangUp()
	p.secret.Channels = map[string]credentials.Channel{"newsletter": {Username: "velo", Password: "new"}}
	p.mount.Set(p.secret.Files())

	inUse := func() map[string]string {
		processes, err := p.db.Processes(context.Background())
		p.must(nil, err)
		digests := map[string]string{}
		for _, process := range processes {
			digests[string(process.Kind)] = process.Digest
		}
		return digests
	}
	now, err := credentials.Read(p.dir)
	p.must(nil, err)
	p.Eventually(inUse).WithTimeout(planePatience).Should(gomega.Equal(map[string]string{"worker": now.Digest, "server": now.Digest}))
	settled := func() int { s := p.states(); return s[campaign.RowSent] + s[campaign.RowAmbiguous] }
	p.Eventually(settled).WithTimeout(planePatience).Should(gomega.Equal(n))
	// The relay hung up on as many messages as it had connections.
	if s := p.states(); s[campaign.RowAmbiguous] > 2 {
		t.Errorf("a rotation makes nothing ambiguous by itself: %v", s)
	}
	for _, r := range []*program{worker, server} {
		r.becomes("/readyz", "200 ok")
		if log := r.said(); strings.Contains(log, "second") || strings.Contains(log, "@people") {
			t.Errorf("the log holds a secret or a person:\n%s", log)
		}
	}
}

// A database that takes connections and says nothing holds nobody for ever; when the Secret names another, work begins there.
func TestADatabaseThatSaysNothing(t *testing.T) {
	p := newPlane(t, storetest.New(t), 3)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // the system takes its connections, and nobody answers
	p.must(nil, err)
	defer func() { _ = mute.Close() }()
	right := p.secret.DatabaseURL
	url, err := url.Parse(right)
	p.must(nil, err)
	url.Host = mute.Addr().String()
	p.secret.DatabaseURL = url.String()
	p.mount.Set(p.secret.Files())
	p.campaign()
	programs := []*program{p.start("worker"), p.start("server", "--drain-delay", "0s")}
	for _, r := range programs {
		r.becomes("/readyz", "the database cannot be used")
		p.Expect(r.probe("/livez")).To(gomega.Equal("200 ok\n"))
	}
	p.secret.DatabaseURL = right
	p.mount.Set(p.secret.Files())
	for _, r := range programs {
		r.becomes("/readyz", "200 ok")
	}
	p.Eventually(p.states).WithTimeout(planePatience).Should(gomega.Equal(map[campaign.RowState]int{campaign.RowSent: 3}))
}

// A program that is newer than the schema waits for the migration, and says so once.
func TestWaitingForTheMigration(t *testing.T) {
	p := newPlane(t, storetest.New(t), 3)
	p.mount.Set(p.secret.Files())
	p.exec("create table hidden as select * from schema_version where version_id > 1")
	p.exec("delete from schema_version where version_id > 1")
	p.campaign()
	worker, server := p.start("worker"), p.start("server", "--drain-delay", "0s")
	worker.becomes("/readyz", "waits for the operator to migrate it")
	server.becomes("/readyz", "waits for the operator to migrate it")
	p.Eventually(func() int { return strings.Count(worker.said(), "schema version") }).WithTimeout(planePatience).Should(gomega.Equal(1))
	p.exec("insert into schema_version (version_id, is_applied) select version_id, is_applied from hidden")
	worker.becomes("/readyz", "200 ok")
	server.becomes("/readyz", "200 ok")
	p.Eventually(p.states).WithTimeout(planePatience).Should(gomega.Equal(map[campaign.RowState]int{campaign.RowSent: 3}))
	if log := worker.said(); strings.Count(log, "schema version") != 1 {
		t.Errorf("it should be said once:\n%s", log)
	}
}

// A server that is told to stop serves until who balances load has noticed, ends imports in good order, and goes.
func TestSIGTERMDuringAnImport(t *testing.T) {
	p := newPlane(t, storetest.New(t), 1)
	p.mount.Set(p.secret.Files())
	server := p.start("server", "--drain-delay", "5s", "--graceful-period", "20s")
	server.becomes("/readyz", "200 ok")
	file, upload := io.Pipe()
	base := "http://" + server.address + "/t/" + planeTenant
	request, err := http.NewRequest(http.MethodPost, base+"/v1/imports/contacts?source=shop", file) //nolint:noctx // a local server
	p.must(nil, err)
	request.Header.Set("Authorization", "Bearer "+p.token)
	request.Header.Set("Content-Type", "text/csv")
	type line struct {
		Progress, Result map[string]any
		Error            *struct {
			Status int
			Detail string
		}
	}
	last := make(chan line, 1)
	go func() {
		defer close(last)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return
		}
		defer func() { _ = response.Body.Close() }()
		var l line
		for lines := json.NewDecoder(response.Body); ; {
			var next line
			if lines.Decode(&next) != nil {
				break
			}
			l = next
		}
		last <- l
	}()
	ended := make(chan struct{})
	go func() { // an import that never ends by itself
		defer close(ended)
		_, err := io.WriteString(upload, "external_id\n")
		for i := 0; err == nil; i++ {
			_, err = fmt.Fprintf(upload, "C%d\n", i)
		}
	}()
	imported := func() (n int) {
		p.must(nil, p.db.Pool.QueryRow(context.Background(), "select count(*) from contact").Scan(&n))
		return n
	}
	p.Eventually(imported).WithTimeout(planePatience).Should(gomega.BeNumerically(">", 2))
	server.signal(syscall.SIGTERM)
	server.becomes("/readyz", "503 the process is stopping")
	described, err := http.Get(base + "/openapi.json") //nolint:noctx // a local server
	if err != nil || described.StatusCode != http.StatusOK {
		t.Errorf("a server that nobody knows to be stopping should serve: %v", err)
	} else {
		_ = described.Body.Close()
	}
	l := <-last
	if l.Error == nil || l.Error.Status != http.StatusServiceUnavailable || !strings.Contains(l.Error.Detail, "stopping") || !strings.Contains(l.Error.Detail, "again") {
		t.Errorf("the import should be told why it ended, and what to do: %+v", l)
	}
	server.ends(planePatience)
	_ = upload.Close()
	<-ended
	p.Expect(p.db.Processes(context.Background())).To(gomega.BeEmpty())
}
