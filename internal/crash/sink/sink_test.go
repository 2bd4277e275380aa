package sink

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
)

// running starts a sink in this process.
func running(t *testing.T, script Script) (Options, *Record) {
	t.Helper()
	o := Options{
		Listen: portstest.Address(t), Endpoint: portstest.Address(t), Control: portstest.Address(t), Record: filepath.Join(t.TempDir(), "record"), Script: script,
	}
	args, err := o.Args()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, args) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the sink failed: %v", err)
		}
	})
	return o, NewRecord(o.Record)
}

// client speaks to a sink, line by line.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return &client{t: t, conn: conn, r: bufio.NewReader(conn)}
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// says sends lines at once and wants answers that begin so.
func (c *client) says(lines string, answers ...string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(lines)); err != nil {
		c.t.Fatal(err)
	}
	for _, want := range answers {
		line, _ := c.r.ReadString('\n')
		if !strings.HasPrefix(line, want) {
			c.t.Fatalf("to %q it answered %q, and not %s", lines, line, want)
		}
	}
}

const message = "From: velo\r\nSubject: n7\r\n\r\nHola\r\nSubject: n9\r\n.\r\n"

func TestSession(t *testing.T) {
	o, record := running(t, Script{Rules: []Rule{
		{Stage: Rcpt, Every: 10, Rest: 1, Reply: "550 no"},
		{Stage: Dot, Every: 10, Rest: 2, Times: 1, Reply: "452 later"},
		{Stage: Dot, Every: 10, Rest: 3, Close: true},
	}})
	c := dial(t, o.Listen)
	c.says("", "220")
	c.says("MAIL FROM:<a@velo.example>\r\nRCPT TO:<c21@people.example>\r\nDATA\r\n", "250", "550", "554")
	c.says("MAIL FROM:<a@velo.example>\r\nRCPT TO:<c7@people.example>\r\nDATA\r\n", "250", "250", "354")
	c.says(message+"MAIL FROM:<a@velo.example>\r\nRCPT TO:<c12@people.example>\r\nDATA\r\n", "250", "250", "250", "354")
	c.says(message, "452")
	c.says("MAIL FROM:<a@velo.example>\r\nRCPT TO:<c12@people.example>\r\nDATA\r\n", "250", "250", "354")
	c.says(message, "250")
	c.says("MAIL FROM:<a@velo.example>\r\nRCPT TO:<c13@people.example>\r\nDATA\r\n", "250", "250", "354")
	c.says(message, "")
	entries, err := record.Entries()
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{To: "c7@people.example", Person: 7, Answer: 250},
		{To: "c12@people.example", Person: 7, Answer: 452},
		{To: "c12@people.example", Person: 7, Answer: 250},
		{To: "c13@people.example", Person: 7},
	}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Errorf("the record differs (-want +got):\n%s", diff)
	}
}

func TestHangsUntilTheScriptIsReplaced(t *testing.T) {
	o, record := running(t, Script{Rules: []Rule{{Stage: Data, Hang: true}}})
	c := dial(t, o.Listen)
	c.says("MAIL FROM:<a@velo.example>\r\nRCPT TO:<c7@people.example>\r\nDATA\r\n", "220", "250", "250")
	for counts := (Counts{}); counts.Hanging == 0; {
		var err error
		if counts, err = record.Counts(); err != nil {
			t.Fatal(err)
		}
	}
	script, _ := json.Marshal(Script{})
	request, _ := http.NewRequest(http.MethodPut, "http://"+o.Control+"/", bytes.NewReader(script))
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	_ = response.Body.Close()
	c = dial(t, o.Listen)
	c.says("MAIL FROM:<a@velo.example>\r\nRCPT TO:<c7@people.example>\r\nDATA\r\n", "220", "250", "250", "354")
}

func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	record := NewRecord(path)
	write := func(text string) {
		t.Helper()
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
	}
	want := func(want Counts) {
		t.Helper()
		if got, err := record.Counts(); err != nil || got != want {
			t.Errorf("%+v, %v; it should be %+v", got, err, want)
		}
	}
	want(Counts{})
	write("dot a.1 c1@people.example 1\ndot a.2 c2@people.example 2\nanswer a.1 2")
	want(Counts{Dots: 2, Open: 2}) // a line that is not whole is waited for
	write("50\nhang 3\n")
	want(Counts{Dots: 2, Open: 1, Hanging: 1})
	write("answer a.7 250\n")
	if _, err := record.Counts(); err == nil {
		t.Error("an answer to nothing should be an error")
	}
}
