package mailbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
)

// serveFolder asks this test binary to be a mailbox on a folder, to be killed.
const serveFolder = "MAILBOX_TEST_SERVE"

func TestMain(m *testing.M) {
	if folder := os.Getenv(serveFolder); folder != "" {
		box, err := Start(Options{Dir: folder, SMTP: "127.0.0.1:0", Web: "127.0.0.1:0"})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(box.SMTPAddr())
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(m.Run())
}

func start(t *testing.T, dir string) *Mailbox {
	t.Helper()
	box, err := Start(Options{Dir: dir, SMTP: "127.0.0.1:0", Web: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Stop(context.Background()) })
	return box
}

func mail(id int, to string) []byte {
	return fmt.Appendf(nil, "From: Velo <hola@velo.example>\r\nTo: %s\r\nSubject: =?utf-8?q?N=C3=BAmero_%d?=\r\nMessage-ID: <%d@velo.example>\r\n"+
		"X-Campaign: spring\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHola\r\n.begins with a dot\r\n", to, id, id)
}

// A client that pipelines sends MAIL, RCPT and DATA without waiting (RFC 2920).
func TestPipelinedConversation(t *testing.T) {
	g := NewWithT(t)
	box := start(t, t.TempDir())
	conn, err := net.Dial("tcp", box.SMTPAddr())
	g.Expect(err).NotTo(HaveOccurred())
	defer conn.Close() //nolint:errcheck // the test is over
	text := textproto.NewConn(conn)
	expect := func(code int) string {
		t.Helper()
		_, message, err := text.ReadResponse(code)
		g.Expect(err).NotTo(HaveOccurred())
		return message
	}
	expect(220)
	g.Expect(text.PrintfLine("EHLO test")).To(Succeed())
	offered := strings.Split(expect(250), "\n")
	g.Expect(offered).To(ContainElements("PIPELINING", "8BITMIME", fmt.Sprintf("SIZE %d", 10<<20), "AUTH PLAIN LOGIN"))

	g.Expect(text.PrintfLine("MAIL FROM:<a@velo.example> BODY=8BITMIME\r\nRCPT TO:<ana@example.com>\r\nDATA")).To(Succeed())
	expect(250)
	expect(250)
	expect(354)
	message := mail(1, "ana@example.com")
	body := text.DotWriter()
	_, err = body.Write(message)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(body.Close()).To(Succeed())
	expect(250)

	t.Log("it is there as soon as it is acknowledged, byte for byte")
	entry, kept, err := box.Store().Message(1)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(kept)).To(Equal(string(message)))
	g.Expect(entry.Subject).To(Equal("Número 1"))
	g.Expect(entry.To).To(Equal([]string{"ana@example.com"}))

	t.Log("the second message of a connection has none of the first one's recipients")
	g.Expect(text.PrintfLine("MAIL FROM:<>\r\nRCPT TO:<bea@example.com>\r\nDATA")).To(Succeed())
	expect(250)
	expect(250)
	expect(354)
	g.Expect(text.PrintfLine(".")).To(Succeed())
	expect(250)
	entry, _, err = box.Store().Message(2)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cmp.Diff(Entry{ID: 2, To: []string{"bea@example.com"}}, entry, ignoreReceived)).To(BeEmpty())
}

var ignoreReceived = cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Received" }, cmp.Ignore())

func TestLimitsAndPasswords(t *testing.T) {
	g := NewWithT(t)
	box := start(t, t.TempDir())
	t.Log("any password is right")
	auth := smtp.PlainAuth("", "somebody", "anything", "127.0.0.1")
	g.Expect(smtp.SendMail(box.SMTPAddr(), auth, "a@velo.example", []string{"ana@example.com"}, mail(1, "ana@example.com"))).To(Succeed())
	t.Log("lines longer than the RFC allows are accepted")
	long := append(mail(2, "ana@example.com"), strings.Repeat("x", 100_000)...)
	g.Expect(smtp.SendMail(box.SMTPAddr(), nil, "a@velo.example", []string{"ana@example.com"}, long)).To(Succeed())
	t.Log("10 MB are too much")
	huge := []byte("Subject: huge\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 11_000))
	err := smtp.SendMail(box.SMTPAddr(), nil, "a@velo.example", []string{"ana@example.com"}, huge)
	var refusal *textproto.Error
	g.Expect(errors.As(err, &refusal)).To(BeTrue(), "%v", err)
	g.Expect(refusal.Code).To(Equal(552))
	g.Expect(box.Store().Len()).To(Equal(2))
}

func TestMailOutlivesRestarts(t *testing.T) {
	tests := map[string]struct {
		reason string
		harm   func(t *testing.T, dir string)
		want   int
	}{
		"Clean":         {"nothing is lost by stopping", func(*testing.T, string) {}, 3},
		"NoIndex":       {"the index is derived from the log", remove(indexName), 3},
		"TornIndex":     {"an index cut in the middle of a line is completed from the log", cut(indexName, 10), 3},
		"GarbageIndex":  {"an index of garbage is made anew", overwrite(indexName, "not json\n"), 3},
		"TornLog":       {"a message cut while it was written was never acknowledged", cut(logName, 10), 2},
		"TornLogBlind":  {"likewise with the index gone", both(remove(indexName), cut(logName, 10)), 2},
		"LogOverwrites": {"a message that is not what was written is not shown", both(remove(indexName), overwriteEnd(logName, "XXXX\n")), 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			dir := t.TempDir()
			store, err := OpenStore(dir)
			g.Expect(err).NotTo(HaveOccurred())
			now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
			for i := 1; i <= 3; i++ {
				_, err := store.Append(now, "a@velo.example", []string{"ana@example.com"}, mail(i, "ana@example.com"))
				g.Expect(err).NotTo(HaveOccurred())
			}
			before, _, err := store.Find(Filter{}, 0, 10)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(store.Close()).To(Succeed())
			tc.harm(t, dir)

			again, err := OpenStore(dir)
			g.Expect(err).NotTo(HaveOccurred())
			after, total, err := again.Find(Filter{}, 0, 10)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(total).To(Equal(tc.want), tc.reason)
			g.Expect(cmp.Diff(before[3-tc.want:], after)).To(BeEmpty())
			t.Log("and goes on where it left off")
			id, err := again.Append(now, "a@velo.example", []string{"ana@example.com"}, mail(9, "ana@example.com"))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(id).To(Equal(int64(tc.want + 1)))
			_, raw, err := again.Message(id)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(raw).To(Equal(mail(9, "ana@example.com")))
			g.Expect(again.Close()).To(Succeed())
		})
	}
}

type harm = func(*testing.T, string)

func remove(name string) harm {
	return func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func cut(name string, bytes int) harm {
	return edit(name, func(content []byte) []byte { return content[:len(content)-bytes] })
}

func overwrite(name, content string) harm {
	return edit(name, func([]byte) []byte { return []byte(content) })
}

func overwriteEnd(name, end string) harm {
	return edit(name, func(content []byte) []byte { return append(content[:len(content)-len(end)], end...) })
}

func both(first, second harm) harm {
	return func(t *testing.T, dir string) {
		first(t, dir)
		second(t, dir)
	}
}

func edit(name string, change func([]byte) []byte) harm {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, name)
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, change(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever was acknowledged before a SIGKILL is there afterwards, once, and nothing else but what was under way.
func TestKilledWhileReceiving(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	server := exec.Command(os.Args[0]) //nolint:gosec // this test binary
	server.Env = append(os.Environ(), serveFolder+"="+dir)
	_, err := server.StdinPipe()
	g.Expect(err).NotTo(HaveOccurred())
	out, err := server.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(server.Start()).To(Succeed())
	address, err := bufio.NewReader(out).ReadString('\n')
	g.Expect(err).NotTo(HaveOccurred())

	const enough, connections = 500, 4
	acknowledged := make(chan string, 100_000)
	ended := make(chan struct{}, connections)
	for c := range connections {
		go func() {
			defer func() { ended <- struct{}{} }()
			client, err := smtp.Dial(strings.TrimSpace(address))
			for i := 0; err == nil; i++ {
				id := c*1_000_000 + i
				if err = send(client, mail(id, "ana@example.com")); err == nil {
					acknowledged <- fmt.Sprintf("<%d@velo.example>", id)
				}
			}
		}()
	}
	g.Eventually(func() int { return len(acknowledged) }).WithTimeout(2 * time.Minute).Should(BeNumerically(">", enough))
	g.Expect(server.Process.Signal(syscall.SIGKILL)).To(Succeed())
	_ = server.Wait()
	for range connections {
		<-ended
	}
	close(acknowledged)

	store, err := OpenStore(dir)
	g.Expect(err).NotTo(HaveOccurred())
	tally, err := store.Count(Filter{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(tally.MessageIDs).To(Equal(tally.Count), "each message once")
	g.Expect(tally.Count).To(BeNumerically("<=", len(acknowledged)+connections), "at most one under way on each connection")
	kept := map[string]bool{}
	entries, _, err := store.Find(Filter{}, 0, tally.Count)
	g.Expect(err).NotTo(HaveOccurred())
	for _, entry := range entries {
		kept[entry.MessageID] = true
	}
	for id := range acknowledged {
		g.Expect(kept).To(HaveKey(id))
	}
}

func send(client *smtp.Client, message []byte) error {
	if err := client.Mail("a@velo.example"); err != nil {
		return err
	}
	if err := client.Rcpt("ana@example.com"); err != nil {
		return err
	}
	body, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := body.Write(message); err != nil {
		return err
	}
	return body.Close()
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read whole
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestJSON(t *testing.T) {
	box := start(t, t.TempDir())
	for i, to := range []string{"ana@example.com", "bea@example.com", "ana@example.com"} {
		message := mail(min(i+1, 2), to) // the third repeats the second one's Message-ID
		if _, err := box.Store().Append(time.Now(), "a@velo.example", []string{to}, message); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		path string
		code int
		want string
	}{
		"Count":         {"/api/count", 200, `{"count":3,"messageIds":2}`},
		"CountTo":       {"/api/count?to=ANA@example.com", 200, `{"count":2,"messageIds":2}`},
		"CountText":     {"/api/count?q=n%C3%BAmero+1", 200, `{"count":1,"messageIds":1}`},
		"CountHeader":   {"/api/count?header=X-Campaign:+spring", 200, `{"count":3,"messageIds":2}`},
		"CountNoHeader": {"/api/count?header=X-Campaign:+autumn", 200, `{"count":0,"messageIds":0}`},
		"None":          {"/api/messages?to=nobody@example.com", 200, `{"total":0,"messages":[]}`},
		"BadLimit":      {"/api/messages?limit=x", 400, `{"error":"limit must be a number from 0 to 10000"}`},
		"NotFound":      {"/api/messages/4", 404, `{"error":"message 4: no such message"}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			response, body := get(t, "http://"+box.WebAddr()+tc.path)
			if diff := cmp.Diff(tc.want, strings.TrimSpace(body)); diff != "" || response.StatusCode != tc.code {
				t.Errorf("%d (want %d): %s", response.StatusCode, tc.code, diff)
			}
		})
	}
	t.Run("Page", func(t *testing.T) {
		_, body := get(t, "http://"+box.WebAddr()+"/api/messages?limit=1&offset=1")
		var list struct {
			Total    int
			Messages []Entry
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		if list.Total != 3 || len(list.Messages) != 1 || list.Messages[0].ID != 2 {
			t.Errorf("got %+v, want the second newest of three", list)
		}
	})
}

// A slow relay is what makes a send last long enough to disturb it.
func TestASlowMailboxTakesItsTime(t *testing.T) {
	g := NewWithT(t)
	box := start(t, t.TempDir())
	const delay = 100 * time.Millisecond
	box.SetDelay(delay)
	begun := time.Now()
	g.Expect(smtp.SendMail(box.SMTPAddr(), nil, "hola@velo.example", []string{"a@example.org"}, mail(1, "a@example.org"))).To(Succeed())
	g.Expect(time.Since(begun)).To(BeNumerically(">=", delay))
	g.Expect(box.Store().Len()).To(Equal(1))

	box.SetDelay(time.Hour)
	sent := make(chan error, 1)
	go func() {
		sent <- smtp.SendMail(box.SMTPAddr(), nil, "hola@velo.example", []string{"b@example.org"}, mail(2, "b@example.org"))
	}()
	g.Expect(box.Stop(t.Context())).To(Succeed(), "it does not wait for whoever it keeps waiting")
	g.Eventually(sent, "30s").Should(Receive(HaveOccurred()))
}
