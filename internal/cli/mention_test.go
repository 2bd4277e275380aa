package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// hear has a shop listen: to a forum, for its name.
func (s *shop) hear() (topic int64) {
	s.t.Helper()
	ctx := context.Background()
	_, _, err := s.db.SaveSource(ctx, store.Source{Name: "forum", Type: "Webhook", Settings: json.RawMessage("{}")})
	if err == nil {
		_, _, err = s.db.SaveMonitor(ctx, store.Monitor{Name: "velo", Topics: []store.MonitorTopic{
			{Role: store.BrandTopic, Definition: match.Topic{Name: "brand", Any: []match.Term{{Word: "velo"}}}},
		}})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	topics, _, err := s.db.Topics(ctx)
	if err != nil || len(topics) != 1 {
		s.t.Fatalf("topics: %+v, %v", topics, err)
	}
	return topics[0].ID
}

// say has somebody write on the forum.
func (s *shop) say(topic int64, id, text string, label sentiment.Label) {
	s.t.Helper()
	post := store.Judged{
		Post: listen.Post{
			ID: id, Kind: listen.Original, Visibility: listen.Public, Text: text, CreatedAt: time.Now().Add(-time.Minute), URL: "https://forum.example/" + id,
			Author: listen.Account{ID: "ana", Handle: "ana@forum.example"},
		},
		Language: "es", Engine: "lexicon", Topics: []store.TopicMatch{{Topic: topic, Terms: []string{"word velo"}}},
		Sentiment: sentiment.Verdict{Label: label, Polarity: -0.61, Confidence: 0.5, Words: []sentiment.Word{{Text: "mal", Weight: -2, Because: []string{"negated by \x1bno"}}}},
	}
	if _, err := s.db.TakeHooked(context.Background(), "forum", listen.Batch{Network: "webhook:forum"}, []store.Judged{post}); err != nil {
		s.t.Fatal(err)
	}
}

func TestMentions(t *testing.T) {
	s := newShop(t)
	topic := s.hear()
	s.say(topic, "1", "Velo me ha cobrado \x1b[31m dos veces \x1b]0;x\x07\u202E\nde verdad", sentiment.Negative)
	s.say(topic, "2", "Velo abre en Girona", sentiment.Neutral)
	run := func(args ...string) string {
		t.Helper()
		out, told, err := s.run(append(args, "--kubeconfig", s.kubeconfig)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		if i := strings.IndexAny(out+told, "\x1b\x07\u202E"); i >= 0 {
			t.Errorf("%v: a stranger speaks to the terminal: %q", args, (out + told)[i:])
		}
		return out + told
	}
	wants := func(out string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%s", want, out)
			}
		}
	}
	found := run("mentions", "cobrar dos veces", "--since", "1h", "--monitor", "velo")
	wants(found, "negative -0.61  es  @ana@forum.example  forum  velo/brand\n  Velo me ha cobrado [31m dos veces ]0;x de verdad\n", "https://forum.example/1")
	if apart := run("mentions", "cobrar", "dos", "veces", "--since", "1h", "--monitor", "velo"); apart != found {
		t.Errorf("without quotation marks:\n%s", apart)
	}
	if strings.Contains(found, "Girona") {
		t.Errorf("finds too much:\n%s", found)
	}
	wants(run("mentions", "--sentiment", "positive"), "no mentions")
	var list struct{ Mentions []mentionInfo }
	if err := json.Unmarshal([]byte(run("mentions", "-o", "json")), &list); err != nil || len(list.Mentions) != 2 || list.Mentions[1].Author.Handle != "ana@forum.example" {
		t.Fatalf("as JSON: %+v, %v", list, err)
	}
	id := list.Mentions[1].ID
	// Programs go through lists that are empty, too.
	wants(run("mentions", "show", id, "-o", "json"), `"revisions":[]`, `"thread":[]`, `"corrections":[]`, `"named":[]`)
	wants(run("mentions", "show", id), "Mention "+id, "word velo", "mal -2.00 (negated by no)", "negative -0.61, confidence 0.50, by lexicon")
	wants(run("mentions", "correct", id, "--sentiment", "positive", "--by", "eva", "--reason", "a joke"), id+" counts as positive")
	wants(run("mentions", "show", id), "from negative to positive by eva a joke", "positive +0.50")
	wants(run("listen", "forum"), "Velo abre en Girona", "positive +0.50  es  @ana@forum.example")
	moved := "update social_source_state t set moved = 'https://velo.example/new' from social_source s where s.id = t.source_id and s.name = 'forum'"
	if _, err := s.db.Pool.Exec(context.Background(), moved); err != nil {
		t.Fatal(err)
	}
	wants(run("source", "list"), "NAME", "forum", "Webhook", "Listening", "forum has moved for ever to https://velo.example/new")
	for _, args := range [][]string{
		{"mentions", "--since", "yesterday"},
		{"mentions", "--limit", "0"},
		{"mentions", "correct", id, "--sentiment", "sad", "--by", "eva"},
		{"mentions", "correct", id, "--sentiment", "neutral"},
		{"mentions", "show", "nothing"},
		{"listen", "nobody"},
		{"listen", "nobody", "--tail"},
		{"mentions", "--topic", "brand"},
	} {
		if _, _, err := s.run(append(args, "--kubeconfig", s.kubeconfig)...); err == nil {
			t.Errorf("%v says nothing", args)
		}
	}
}

func TestPastTime(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	for text, want := range map[string]string{
		"6h": "2026-11-22T06:00:00+01:00", "7d": "2026-11-15T12:00:00+01:00", "2026-11-20": "2026-11-20T00:00:00+01:00",
		"2026-11-20 10:30": "2026-11-20T10:30:00+01:00", "2026-11-20T10:30:00Z": "2026-11-20T10:30:00Z",
		"yesterday": "", "-6h": "", "-1d": "", "xd": "", "": "",
	} {
		got, err := pastTime(text, now)
		if want == "" && err == nil || want != "" && (err != nil || got.Format(time.RFC3339) != want) {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}

func TestListenShowsWhatComesIn(t *testing.T) {
	s := newShop(t)
	topic := s.hear()
	s.say(topic, "1", "Velo antes", sentiment.Negative)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	command := NewCommand()
	reader, writer := io.Pipe()
	command.SetOut(writer)
	command.SetErr(os.Stderr)
	command.SetArgs([]string{"listen", "forum", "--tail", "--kubeconfig", s.kubeconfig, "--output", "json"})
	ended := make(chan error, 1)
	go func() { ended <- command.ExecuteContext(ctx) }()
	lines := bufio.NewScanner(reader)
	next := func() (m mentionInfo) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("it has ended: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if got := next().Text; got != "Velo antes" {
		t.Errorf("begins with %q", got)
	}
	for i := range 3 {
		text := fmt.Sprintf("Velo ahora %d", i)
		s.say(topic, fmt.Sprint("n", i), text, sentiment.Neutral)
		if got := next().Text; got != text {
			t.Errorf("then %q, want %q", got, text)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("a person who has seen enough is told %v", err)
	}
}

// TestNothingIsSkippedWhenTheConnectionBreaks has a server whose connections break after each event.
func TestNothingIsSkippedWhenTheConnectionBreaks(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		place := len(asked)
		if place == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "retry: 2000\n\n: beat\n\nevent: mention\nid: %d\ndata: {\"id\": \"m%d\",\ndata:  \"text\": \"t%d\"}\n\n", place, place, place)
		if place == 4 {
			fmt.Fprintf(w, "event: mention\nid: 5\ndata: broken\n\n")
		}
	}))
	defer server.Close()
	var out, told bytes.Buffer
	l := listener{client: &tenantClient{base: server.URL, http: server.Client()}, out: &out, told: &told, output: outputJSON, pause: time.Millisecond}
	l.printer = newMentionPrinter(&out)
	err := l.follow(context.Background())
	if err == nil || !strings.Contains(err.Error(), "read a mention") {
		t.Errorf("it ended with %v", err)
	}
	if diff := cmp.Diff([]string{"", "1", "1", "3"}, asked); diff != "" {
		t.Errorf("asked from (-want +got):\n%s", diff)
	}
	if got := strings.Count(out.String(), "\n"); got != 3 || !strings.Contains(out.String(), `"text":"t4"`) {
		t.Errorf("shown: %s", out.String())
	}
	if !strings.Contains(told.String(), "the connection broke") {
		t.Errorf("told: %s", told.String())
	}
}

// TestTheLongestMentionIsShown has strangers fill all that a post may have with letters of which each takes six.
func TestTheLongestMentionIsShown(t *testing.T) {
	long := func(bytes int) string { return strings.Repeat("<", bytes) }
	m := mentionInfo{ID: "m1", Title: long(listen.MaxTitle), Text: long(listen.MaxText)}
	for range listen.MaxMembers {
		m.Links = append(m.Links, long(listen.MaxURL))
		m.Media = append(m.Media, mentionMedia{URL: long(listen.MaxURL), Description: long(4 << 10)})
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	err = readStream(strings.NewReader("event: mention\nid: 1\ndata: "+string(text)+"\n\n"), func() {}, func(streamEvent) error { shown++; return nil })
	if !errors.Is(err, io.EOF) || shown != 1 {
		t.Errorf("%d shown of a line of %d bytes: %v", shown, len(text), err)
	}
}

func TestReadStreamIsBounded(t *testing.T) {
	err := readStream(strings.NewReader("data: "+strings.Repeat("x", maxStreamLine)+"\n\n"), func() {}, func(streamEvent) error { return nil })
	if !errors.Is(err, bufio.ErrTooLong) {
		t.Errorf("a line that does not end: %v", err)
	}
}

// terminal opens a pseudo-terminal: what is written to slave can be read from master.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(filepath.Join("/dev/pts", fmt.Sprint(n)), os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestInATerminalSentimentHasColours(t *testing.T) {
	s := newShop(t)
	topic := s.hear()
	s.say(topic, "1", "Velo \x1b[5mno llega, y esta frase es tan larga que no cabe en la línea de un terminal corriente", sentiment.Negative)
	show := func(environment ...string) string {
		t.Helper()
		master, slave := terminal(t)
		command := exec.Command(os.Args[0], "listen", "forum", "--kubeconfig", s.kubeconfig) //nolint:gosec // this test binary
		command.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "NO_COLOR=") }), append(environment, runAsProgram+"=yes", "TERM=xterm")...)
		command.Stdout, command.Stderr = slave, os.Stderr
		if err := command.Run(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(master).ReadString('\n') // a terminal hands on what was written in pieces, and later
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(line, "\r\n")
	}
	line := show()
	if !strings.Contains(line, "\x1b[31mnegative -0.61\x1b[0m") || strings.Count(line, "\x1b") != 2 {
		t.Errorf("in colour: %q", line)
	}
	plain := show("NO_COLOR=1")
	if strings.Contains(plain, "\x1b") || !strings.HasSuffix(plain, "…") {
		t.Errorf("without colour: %q", plain)
	}
	if n := len([]rune(plain)); n > 100 {
		t.Errorf("%d letters on a line of 100", n)
	}
}

// countsFile writes five weeks of counts with a burst in the last hours.
func (s *shop) countsFile(until time.Time) string {
	s.t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	text.WriteString("time,mentions,negatives,authors\n")
	for at := until.AddDate(0, 0, -35); at.Before(until); at = at.Add(5 * time.Minute) {
		mentions, negatives := 2+r.IntN(3), r.IntN(2)
		if until.Sub(at) <= 3*time.Hour {
			mentions, negatives = mentions+9, negatives+9
		}
		fmt.Fprintf(&text, "%s,%d,%d,%d\n", at.Format(time.RFC3339), mentions, negatives, negatives)
	}
	text.WriteString("nonsense,1,1,1\n")
	return s.file("counts.csv", text.String())
}

func TestMonitorVerbs(t *testing.T) {
	s := newShop(t)
	topic := s.hear()
	until := time.Now().UTC().Truncate(5 * time.Minute).Add(-5 * time.Minute)
	file := s.countsFile(until)
	run := func(args ...string) string {
		t.Helper()
		out, told, err := s.run(append(append([]string{"monitor"}, args...), "--kubeconfig", s.kubeconfig)...)
		var verdict *verdictError
		if err != nil && !errors.As(err, &verdict) {
			t.Fatalf("%v: %v", args, err)
		}
		return out + told
	}
	wants := func(out string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%.1500s", want, out)
			}
		}
	}
	wants(run("backfill", "velo", file), "brand: 10080 steps of 5 minutes filled in", "line 10082: time is \"nonsense\"")
	if _, err := s.db.Pool.Exec(context.Background(), "update topic set matched_to = null, match_again = null"); err != nil { // there is nothing to compare it with
		t.Fatal(err)
	}
	for {
		e, err := s.db.EvaluateTopic(context.Background(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if !e.More {
			break
		}
	}
	s.say(topic, "1", "Velo mal", sentiment.Negative)
	wants(run("list"), "NAME", "velo", "Ready", " 1\n")
	wants(run("show", "velo", "--since", "36d"), "Monitor velo: baseline Ready, 1 open incidents", "brand   Brand", "100 %")
	wants(run("series", "velo", "--step", "1d", "--since", "3d"), "TIME (UTC)", "MENTIONS", "▇")
	var series seriesInfo
	if err := json.Unmarshal([]byte(run("series", "velo", "--step", "5m", "--since", "2h", "-o", "json")), &series); err != nil || len(series.Points) < 24 ||
		series.Topics[0] != "brand" || series.Points[3].Negatives < 9 {
		t.Errorf("series: %+v, %v", series, err)
	}
	incidents := run("incidents", "velo")
	wants(incidents, "brand", "still open", "Burst")
	var list struct{ Incidents []incidentInfo }
	if err := json.Unmarshal([]byte(run("incidents", "velo", "--open", "-o", "json")), &list); err != nil || len(list.Incidents) != 1 ||
		list.Incidents[0].Opened.Sub(until.Add(-3*time.Hour)) > time.Hour {
		t.Errorf("incidents: %+v, %v", list, err)
	}
	for _, args := range [][]string{
		{"show", "nobody"},
		{"series", "velo", "--step", "2h"},
		{"series", "velo", "--topic", "none"},
		{"series", "velo", "--since", "300d", "--step", "5m"},
		{"incidents", "nobody"},
		{"incidents", "velo", "--limit", "0"},
		{"backfill", "velo", filepath.Join(s.dir, "none.csv")},
		{"backfill", "nobody", file},
		{"backfill", "velo", s.file("empty.csv", "time,mentions,negatives,authors\n")},
		{"show", "velo", "--since", "x"},
	} {
		if _, _, err := s.run(append(append([]string{"monitor"}, args...), "--kubeconfig", s.kubeconfig)...); err == nil {
			t.Errorf("%v says nothing", args)
		} else {
			t.Logf("%v: %v", args, err)
		}
	}
}
