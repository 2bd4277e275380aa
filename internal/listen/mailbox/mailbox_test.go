package mailbox_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/inbound/imap/imaptest"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/mailbox"
)

// world is a server with a front, a listener and what it stored.
type world struct {
	t      *testing.T
	server *imaptest.Server
	front  *front
	o      listen.Options

	mu       sync.Mutex
	cursor   listen.Cursor
	ids      []string // as they came
	rejected map[string]int
	deleted  int
	came     chan struct{}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, server: imaptest.New(t), rejected: map[string]int{}, came: make(chan struct{})}
	w.front = newFront(t, net.JoinHostPort(w.server.Host, strconv.Itoa(w.server.Port)))
	w.o = listen.Options{
		Settings:    json.RawMessage(fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"tls":"None"}`, w.front.port())),
		Credentials: map[string]string{mailbox.Username: w.server.Username, mailbox.Password: w.server.Password},
		Dial:        (&net.Dialer{}).DialContext, Now: time.Now,
	}
	return w
}

func (w *world) open() *mailbox.Connector {
	w.t.Helper()
	c, err := mailbox.New(w.o)
	if err != nil {
		w.t.Fatal(err)
	}
	c.Trust(&tls.Config{RootCAs: w.server.Trust, MinVersion: tls.VersionTLS12})
	c.Hasten(time.Minute, 50*time.Millisecond)
	return c
}

func (w *world) put(id string, more ...string) {
	w.t.Helper()
	w.server.Put(string(mail(append([]string{"From: ana@velo.example", "Message-ID: <" + id + ">"}, append(more, "", "Velo")...)...)))
}

func (w *world) take(_ context.Context, b listen.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range b.Posts {
		w.ids = append(w.ids, p.ID)
	}
	for reason, n := range b.Rejected {
		w.rejected[reason] += n
	}
	w.deleted += len(b.Deleted)
	if b.Next != nil {
		w.cursor = b.Next
	}
	close(w.came)
	w.came = make(chan struct{})
	return nil
}

// drain polls by a connector until nothing is left.
func (w *world) drain(c *mailbox.Connector) {
	w.t.Helper()
	for range 200 {
		page, err := c.Poll(context.Background(), w.cursor)
		if err != nil {
			w.t.Fatalf("%v: %v", err, errors.Unwrap(err))
		}
		_ = w.take(context.Background(), page.Batch)
		if !page.More {
			return
		}
	}
	w.t.Fatal("there is always more")
}

func (w *world) expect(ids ...string) {
	w.t.Helper()
	if diff := cmp.Diff(ids, w.ids); diff != "" {
		w.t.Errorf("came (-want +got):\n%s", diff)
	}
}

// TestRenumbered: a mailbox that numbers its mails anew is read again, and each mail is the one that it was.
func TestRenumbered(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("%d@velo.example", i))
		w.put(want[i])
	}
	w.server.Put("From: ana@velo.example\r\n\r\nwithout an id\r\n")
	w.drain(w.open())
	if len(w.ids) != 26 {
		t.Fatalf("came: %q", w.ids)
	}
	first := slices.Clone(w.ids)
	w.server.Renumber()
	w.put("new@velo.example")
	w.ids = nil
	w.drain(w.open())
	w.expect(append(first, "new@velo.example")...)
}

// TestRenumberedWithoutNews: where all that was read is gone, what was there before it is not read instead.
func TestRenumberedWithoutNews(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.put(fmt.Sprintf("%d@velo.example", i))
	}
	w.cursor = json.RawMessage(fmt.Sprintf(`{"validity":1,"uid":900,"since":%q}`, time.Now().Add(96*time.Hour).Format(time.RFC3339)))
	w.drain(w.open())
	w.put("new@velo.example")
	w.drain(w.open())
	w.expect("new@velo.example")
}

// TestSettled: while nothing changes a poll is three commands and no search.
func TestSettled(t *testing.T) {
	w := newWorld(t)
	w.put("1@velo.example")
	w.drain(w.open())
	w.front.commands()
	w.drain(w.open())
	said := w.front.commands()
	if slices.Contains(said, "SEARCH") || slices.Contains(said, "FETCH") || !slices.Contains(said, "EXAMINE") || slices.Contains(said, "SELECT") {
		t.Errorf("it says %q", said)
	}
	w.put("2@velo.example")
	w.drain(w.open())
	w.expect("1@velo.example", "2@velo.example")
}

// TestTakenAway: a mail that is gone from the mailbox was said all the same.
func TestTakenAway(t *testing.T) {
	w := newWorld(t)
	w.put("1@velo.example")
	w.put("2@velo.example")
	w.drain(w.open())
	w.server.Empty()
	w.put("3@velo.example")
	w.drain(w.open())
	w.expect("1@velo.example", "2@velo.example", "3@velo.example")
	if w.deleted > 0 {
		t.Errorf("%d mails are forgotten", w.deleted)
	}
}

func TestLeftOutIsCounted(t *testing.T) {
	w := newWorld(t)
	w.put("1@velo.example", "Auto-Submitted: auto-replied")
	w.put("2@velo.example", "List-Unsubscribe: <https://velo.example>")
	w.put("3@velo.example")
	w.drain(w.open())
	w.expect("3@velo.example")
	if diff := cmp.Diff(map[string]int{"a program wrote it": 1, "it went to a list of people": 1}, w.rejected); diff != "" {
		t.Error(diff)
	}
}

// TestBeginsWithWhatIsRecent: of a large mailbox the last mails are read.
func TestBeginsWithWhatIsRecent(t *testing.T) {
	w := newWorld(t)
	for i := range 30 {
		w.put(fmt.Sprintf("%d@velo.example", i))
	}
	c := w.open()
	c.BeginWith(3)
	w.drain(c)
	w.put("30@velo.example")
	w.drain(c)
	w.expect("27@velo.example", "28@velo.example", "29@velo.example", "30@velo.example")
}

// TestProtected: certificates count in both ways.
func TestProtected(t *testing.T) {
	w := newWorld(t)
	w.put("1@velo.example")
	for mode, port := range map[string]int{"Implicit": w.server.TLSPort, "StartTLS": w.server.Port} {
		w.ids, w.cursor = nil, nil
		w.o.Settings = json.RawMessage(fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"tls":%q,"mailbox":"INBOX"}`, port, mode))
		w.drain(w.open())
		w.expect("1@velo.example")
		untrusting, err := mailbox.New(w.o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := untrusting.Poll(t.Context(), nil); reasonOf(err) != listen.Unreachable {
			t.Errorf("%s: a certificate of nobody is taken: %v", mode, err)
		}
	}
}

func reasonOf(err error) listen.Reason {
	var trouble *listen.Trouble
	if errors.As(err, &trouble) {
		return trouble.Reason
	}
	return ""
}

func TestTroubles(t *testing.T) {
	w := newWorld(t)
	cases := map[string]struct {
		change func()
		want   listen.Reason
	}{
		"Password": {func() {
			w.o.Credentials = map[string]string{mailbox.Username: w.server.Username, mailbox.Password: "wrong"}
		}, listen.Unauthorized},
		"Mailbox": {func() {
			w.o.Settings = json.RawMessage(fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"tls":"None","mailbox":"Nowhere"}`, w.front.port()))
		}, listen.NotFound},
		"Nobody": {func() { w.o.Settings = json.RawMessage(`{"host":"127.0.0.1","port":1,"tls":"None"}`) }, listen.Unreachable},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := w.o
			defer func() { w.o = before }()
			tc.change()
			_, err := w.open().Poll(t.Context(), nil)
			if reasonOf(err) != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			for _, secret := range []string{w.server.Password, w.server.Username} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("it tells a secret: %v", err)
				}
			}
		})
	}
	w.o.Credentials = map[string]string{mailbox.Username: "ana"}
	if _, err := mailbox.New(w.o); reasonOf(err) != listen.Unauthorized {
		t.Errorf("no password: %v", err)
	}
}

// TestStreams: a server that can tell news tells them, and another one is asked.
func TestStreams(t *testing.T) {
	for name, mute := range map[string]bool{"Idle": false, "Mute": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.front.mute = mute
			w.put("1@velo.example")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- w.open().Stream(ctx, nil, w.take) }()
			w.await(1)
			w.put("2@velo.example")
			w.await(2)
			w.put("3@velo.example")
			w.await(3)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("it ends with %v", err)
			}
			w.expect("1@velo.example", "2@velo.example", "3@velo.example")
			if said := w.front.commands(); slices.Contains(said, "IDLE") == mute || slices.Contains(said, "NOOP") != mute {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// await waits until so many mails came.
func (w *world) await(n int) {
	w.t.Helper()
	limit := time.After(40 * time.Second)
	for {
		w.mu.Lock()
		got, came := len(w.ids), w.came
		w.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-came:
		case <-limit:
			w.t.Fatalf("%d mails came, want %d", got, n)
		}
	}
}

// TestStalls: a server that says nothing more, at whichever moment, holds nobody up.
func TestStalls(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.put(fmt.Sprintf("%d@velo.example", i))
	}
	for _, after := range []int64{40, 400, 700, 1100, 1500} {
		w.front.stallAfter(after)
		c := w.open()
		c.Hasten(200*time.Millisecond, time.Second)
		if _, err := c.Poll(t.Context(), nil); reasonOf(err) != listen.Unreachable {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
	w.front.stallAfter(0)
	w.drain(w.open())
	if len(w.ids) != 5 {
		t.Errorf("came: %q", w.ids)
	}
}

// TestASearchThatFindsEverything: a server names four thousand million mails in ten bytes, or as many as there are.
func TestASearchThatFindsEverything(t *testing.T) {
	for _, found := range []string{"* ESEARCH (TAG \"%s\") UID ALL 1:4294967295", "* SEARCH 0"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close() //nolint:errcheck // it is over
			say := func(format string, args ...any) { _, _ = fmt.Fprintf(conn, format+"\r\n", args...) }
			say("* OK [CAPABILITY IMAP4rev1] ready")
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				tag, command, _ := strings.Cut(lines.Text(), " ")
				switch {
				case strings.HasPrefix(command, "EXAMINE"):
					say("* 3 EXISTS\r\n* OK [UIDVALIDITY 1] fine")
				case strings.HasPrefix(command, "UID SEARCH"):
					say(strings.Replace(found, "%s", tag, 1))
				}
				say(tag + " OK done")
			}
		}()
		c, err := mailbox.New(listen.Options{
			Settings:    json.RawMessage(fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"tls":"None"}`, listener.Addr().(*net.TCPAddr).Port)),
			Credentials: map[string]string{mailbox.Username: "ana", mailbox.Password: "s3cret"}, Dial: (&net.Dialer{}).DialContext, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Poll(t.Context(), nil); reasonOf(err) != listen.Malformed {
			t.Errorf("%s: %v", found, err)
		}
		_ = listener.Close()
		<-served
	}
}

func TestNetworkNamesNobody(t *testing.T) {
	w := newWorld(t)
	w.o.Credentials[mailbox.Username] = w.server.Username
	page, err := w.open().Poll(t.Context(), nil)
	if err != nil || !strings.HasPrefix(page.Network, "mailbox:127.0.0.1/") || strings.Contains(page.Network, w.server.Username) {
		t.Errorf("%q, %v", page.Network, err)
	}
}
