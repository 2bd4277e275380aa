package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// counter is a shop to which people write.
type counter struct {
	*shop
	intake *store.Intake
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{shop: newShop(t)}
	c.hear()
	for _, statement := range []string{
		"insert into channel (name, type, settings) values ('voice', 'Webhook', '{}')", "update social_source set reply_channel = 'voice'",
	} {
		if _, err := c.db.Pool.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	queue := service.Queue{Tickets: "true", Targets: map[service.Priority]service.Target{service.Normal: {FirstResponse: "4h"}}}
	if _, _, err := c.db.SaveQueue(context.Background(), store.QueueDefinition{Name: "complaints", Queue: queue}); err != nil {
		t.Fatal(err)
	}
	c.intake = store.NewIntake(c.db)
	t.Setenv("TERTULIA_AGENT", "eva")
	return c
}

// wrote has somebody write to us.
func (c *counter) wrote(id, text string) {
	c.t.Helper()
	post := store.Judged{
		Post: listen.Post{
			ID: id, Kind: listen.Message, Visibility: listen.Private, Text: text, CreatedAt: time.Now().Add(-time.Minute),
			Author: listen.Account{ID: "ana", Handle: "ana@forum.example"},
		},
		Language: "es", Engine: "lexicon", Sentiment: sentiment.Verdict{Label: sentiment.Negative, Polarity: -0.6, Confidence: 0.5},
	}
	_, err := c.db.TakeHooked(context.Background(), "forum", listen.Batch{Network: "webhook:forum"}, []store.Judged{post})
	if err == nil {
		_, err = c.intake.PlaceMessages(context.Background(), 100)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *counter) says(args ...string) (string, error) {
	out, said, err := c.run(append(args, "--kubeconfig", c.kubeconfig)...)
	if err != nil {
		return out + said + err.Error(), err
	}
	return out + said, nil
}

// does runs a verb that has to succeed.
func (c *counter) does(want string, args ...string) string {
	c.t.Helper()
	out, err := c.says(args...)
	if err != nil || !strings.Contains(out, want) {
		c.t.Errorf("%v: lacks %q: %v\n%s", args, want, err, out)
	}
	return out
}

// number is that of the only conversation.
func (c *counter) number() string {
	c.t.Helper()
	var list struct{ Conversations []conversationInfo }
	if err := json.Unmarshal([]byte(c.does("", "inbox", "-o", "json")), &list); err != nil || len(list.Conversations) != 1 {
		c.t.Fatalf("%+v, %v", list, err)
	}
	return strconv.FormatInt(list.Conversations[0].Number, 10)
}

func (c *counter) sent() (texts string) {
	c.t.Helper()
	err := c.db.Pool.QueryRow(context.Background(), "select coalesce(string_agg(agent || ': ' || text, '|' order by version), '') from message where direction = 'Out'").Scan(&texts)
	if err != nil {
		c.t.Fatal(err)
	}
	return texts
}

func TestADayAtTheCounter(t *testing.T) {
	c := newCounter(t)
	c.does("nobody waits", "inbox")
	c.wrote("1", "Me habéis cobrado \x1b[31mdos veces")
	n := c.number()
	out := c.does("1 of these 1 wait for us, 0 late, 1 nobody's; next is "+n+", due in 3 h", "inbox", "--queue", "complaints", "--unassigned")
	if !strings.Contains(out, "complaints   @ana@forum.example   Me habéis cobrado [31mdos veces") {
		t.Errorf("the inbox:\n%s", out)
	}
	c.does("Version 1. To answer: tertulia reply "+n, "inbox", "show", n)
	c.does("eva is answering", "inbox", "claim", n, "--for", "5m")
	if out, err := c.says("inbox", "claim", n, "--agent", "leo"); err == nil || !strings.Contains(out, "It is eva, until") {
		t.Errorf("claimed twice: %s", out)
	}
	c.does("free for others", "inbox", "release", n)
	c.does("is leo's", "assign", n, "leo")
	c.does("is yours", "assign", n, "--me")
	if out := c.does("", "ticket", "list", "--mine"); !strings.Contains(out, "eva") {
		t.Errorf("eva's tickets:\n%s", out)
	}
	c.does("is Urgent", "ticket", "priority", n, "urgent")
	c.does("noted on", "note", n, "--text", "es la segunda vez")
	c.does("note by eva\n  es la segunda vez", "inbox", "show", n)
	c.does("is answered: it leaves now", "reply", n, "--seen", "1", "--text", "Ya está devuelto", "--solve")
	if sent := c.sent(); sent != "eva: Ya está devuelto" {
		t.Errorf("sent: %s", sent)
	}
	var message string
	err := c.db.Pool.QueryRow(context.Background(), `with gone as (update outbox set state = 'ambiguous', settled_at = now() where message_id is not null)
		update message set state = 'Ambiguous' where direction = 'Out' returning public_id::text`).Scan(&message)
	if err != nil {
		t.Fatal(err)
	}
	c.does("tertulia inbox settle … "+message, "inbox", "show", n)
	c.does("settled", "inbox", "settle", n, message, "--sent", "--reason", "it is in the thread")
	c.does("we, by eva (sent)", "inbox", "show", n)
	c.does("first answer", "ticket", "show", n)
	c.does("is open again", "ticket", "reopen", n)
	c.does("waits for the customer", "ticket", "hold", n)
	c.does("is solved", "ticket", "solve", n)
	c.does("is open again", "ticket", "reopen", n)
	c.does("complaints   works   1", "ticket", "queues")
	c.does("comes back on", "inbox", "snooze", n, "--until", "2h")
	c.does("until ", "inbox", "--state", "snoozed")
	c.does("is open again", "inbox", "reopen", n)
	c.does("is closed", "close", n)
	c.does("nobody waits", "inbox", "--mine")
	c.does("closed", "inbox", "--state", "Closed")
	for _, args := range [][]string{
		{"inbox", "--state", "odd"},
		{"inbox", "--limit", "0"},
		{"inbox", "--mine", "--unassigned"},
		{"inbox", "--queue", "none"},
		{"inbox", "show", "99"},
		{"inbox", "claim", n, "--for", "1h"},
		{"inbox", "snooze", n, "--until", "yesterday"},
		{"inbox", "snooze", n},
		{"assign", n},
		{"assign", n, "leo", "--me"},
		{"assign", n, "--me", "--nobody"},
		{"ticket", "priority", n, "huge"},
		{"ticket", "list", "--status", "odd"},
		{"ticket", "open", n, "--queue", "none"},
		{"ticket", "open", n},
		{"reply", n, "--text", "x", "--seen", "1", "--solve", "--keep-open"},
		{"reply", n, "--text", "x", "--file", "y", "--seen", "1"},
		{"reply", n, "--file", filepath.Join(t.TempDir(), "none"), "--seen", "1"},
		{"reply", n, "--text", " ", "--seen", "1"},
		{"note", n, "--text", " "},
		{"inbox", "settle", n, message, "--reason", "seen"},
		{"inbox", "settle", n, message, "--sent"},
		{"inbox", "settle", n, message, "--again", "--reason", "gone"},
		{"reply", n, "--text", strings.Repeat("x", maxReplyText+1), "--seen", "1"},
	} {
		if out, err := c.says(args...); err == nil {
			t.Errorf("%.80v says nothing: %s", args, out)
		}
	}
}

func TestNobodyIsAnsweredTwice(t *testing.T) {
	c := newCounter(t)
	c.wrote("1", "Me habéis cobrado dos veces")
	n := c.number()
	if out, err := c.says("reply", n, "--text", "Lo miramos"); err == nil || !strings.Contains(out, "at version 1 now; it says last: Me habéis cobrado") ||
		!strings.Contains(out, "add --seen 1") {
		t.Errorf("without --seen: %v\n%s", err, out)
	}
	c.does("is answered", "reply", n, "--seen", "1", "--text", "Lo miramos", "--agent", "leo")
	c.wrote("2", "¿Y bien?")
	out, err := c.says("reply", n, "--seen", "1", "--text", "Ya está")
	for _, want := range []string{"Nothing was sent. This is new:", "we, by leo", "¿Y bien?", "If your answer still holds: tertulia reply " + n + " --seen 3"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if status := exitStatus(err, &strings.Builder{}); status != statusCollision {
		t.Errorf("exit status %d", status)
	}
	c.does("leo is answering", "inbox", "claim", n, "--agent", "leo")
	if out, err := c.says("reply", n, "--seen", "3", "--text", "Ya está"); exitStatus(err, &strings.Builder{}) != statusCollision ||
		!strings.Contains(out, "It is leo, until") || !strings.Contains(out, "--seen 3 --take-over") {
		t.Errorf("while leo answers: %v\n%s", err, out)
	}
	c.does("is answered", "reply", n, "--seen", "3", "--text", "Ya está", "--take-over", "--key", "the-attempt")
	c.does("it was taken before", "reply", n, "--seen", "3", "--text", "Ya está", "--key", "the-attempt")
	if sent := c.sent(); sent != "leo: Lo miramos|eva: Ya está" {
		t.Errorf("sent: %s", sent)
	}
}

// editor is a program that writes an answer when the test says so, after it was seen what there was to read.
type editor struct {
	t   *testing.T
	dir string
}

func newEditor(t *testing.T) *editor {
	t.Helper()
	e := &editor{t: t, dir: t.TempDir()}
	if err := exec.Command("mkfifo", filepath.Join(e.dir, "text"), filepath.Join(e.dir, "open")).Run(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VISUAL", fmt.Sprintf("sh %s/write", e.dir))
	script := fmt.Sprintf("cat \"$1\" > %[1]s/open; { cat %[1]s/text; cat \"$1\"; } > %[1]s/new; cat %[1]s/new > \"$1\"", e.dir)
	if err := os.WriteFile(filepath.Join(e.dir, "write"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

// opened waits until it shows something.
func (e *editor) opened() string {
	e.t.Helper()
	shown, err := os.ReadFile(filepath.Join(e.dir, "open"))
	if err != nil {
		e.t.Fatal(err)
	}
	return string(shown)
}

func (e *editor) writes(text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, "text"), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// replies has an agent answer with an editor.
func (c *counter) replies(number string) (ended chan error, out *strings.Builder) {
	ended, out = make(chan error, 1), &strings.Builder{}
	cmd := &cobra.Command{}
	cmd.SetContext(c.t.Context())
	cmd.SetOut(out)
	cmd.SetErr(out)
	o := replyOptions{seen: -1, key: "attempt-" + number}
	o.output, o.agent = outputText, "eva"
	go func() {
		ended <- o.write(cmd, &tenantClient{base: c.base, token: c.token, http: http.DefaultClient}, number)
	}()
	return ended, out
}

func TestAnAnswerIsWrittenWithAnEditor(t *testing.T) {
	c, e := newCounter(t), newEditor(t)
	t.Setenv("TMPDIR", t.TempDir())
	drafts := func() int {
		list, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "tertulia-reply-*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	c.wrote("1", "Me habéis cobrado dos veces")
	n := c.number()

	ended, out := c.replies(n)
	if shown := e.opened(); !strings.HasPrefix(shown, "\n\n"+draftEnd+"\n") || !strings.Contains(shown, "Me habéis cobrado dos veces") {
		t.Errorf("to write in: %s", shown)
	}
	c.does("eva answers", "inbox")
	e.writes("")
	if err := <-ended; err != nil || !strings.Contains(out.String(), "nothing is sent") || drafts() != 0 {
		t.Errorf("written nothing: %v, %s, %d drafts", err, out, drafts())
	}
	if out := c.does("", "inbox"); strings.Contains(out, "eva answers") {
		t.Errorf("claimed for ever:\n%s", out)
	}

	ended, out = c.replies(n)
	e.opened()
	c.wrote("2", "¡Contestad!")
	e.writes("Hola, Ana:\n\nya está devuelto.")
	err := <-ended
	if exitStatus(err, &strings.Builder{}) != statusCollision || !strings.Contains(out.String(), "¡Contestad!") || drafts() != 1 {
		t.Fatalf("written past each other: %v, %s, %d drafts", err, out, drafts())
	}
	_, again, _ := strings.Cut(err.Error(), "still holds: tertulia ")
	c.does("is answered", strings.Fields(again)...) // as it was told
	if sent := c.sent(); sent != "eva: Hola, Ana:\n\nya está devuelto." {
		t.Errorf("sent: %q", sent)
	}
}

func TestAnAnswerIsTriedAgain(t *testing.T) {
	pauses := replyPauses
	replyPauses = []time.Duration{0, 0}
	defer func() { replyPauses = pauses }()
	var tries atomic.Int32
	var keys [4]string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Key string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		n := tries.Add(1)
		keys[n-1] = body.Key
		if n < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"message": "m", "version": 2, "again": true}`))
	}))
	defer api.Close()
	o := replyOptions{seen: 1, key: "attempt"}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	var out strings.Builder
	cmd.SetOut(&out)
	client := &tenantClient{base: api.URL, http: http.DefaultClient}
	if err := o.send(cmd, client, "1042", "x", ""); err != nil || !strings.Contains(out.String(), "taken before") || keys[0] != "attempt" || keys[2] != "attempt" {
		t.Errorf("%v, %s, %q", err, out.String(), keys)
	}
	api.Close()
	err := o.send(cmd, client, "1042", "x", "/tmp/draft")
	if err == nil || !strings.Contains(err.Error(), "tertulia reply 1042 --file /tmp/draft --seen 1 --key attempt") || errors.As(err, new(failure)) {
		t.Errorf("when nobody answers: %v", err)
	}
}
