package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// listening is a fixture with a source, and a monitor of two topics.
type listening struct {
	*fixture
	topics map[string]int64
	begun  time.Time
}

func newListening(t *testing.T) *listening {
	t.Helper()
	l := &listening{fixture: newFixture(t), topics: map[string]int64{}, begun: time.Now().UTC().Truncate(time.Second).Add(-time.Hour)}
	ctx := context.Background()
	for _, name := range []string{"forum", "reviews"} {
		if _, _, err := l.db.SaveSource(ctx, store.Source{Name: name, Type: "Webhook", Settings: json.RawMessage("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := l.db.SaveMonitor(ctx, store.Monitor{Name: "velo", Topics: []store.MonitorTopic{
		{Role: store.BrandTopic, Definition: match.Topic{Name: "brand", Any: []match.Term{{Word: "velo"}}}},
		{Role: store.CompetitorTopic, Definition: match.Topic{Name: "rival", Any: []match.Term{{Word: "pedalia"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	topics, _, err := l.db.Topics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		l.topics[topic.Name] = topic.ID
	}
	return l
}

// said is a post about the brand that somebody wrote some minutes after the beginning.
func (l *listening) said(id string, minute int, text, language string, label sentiment.Label) store.Judged {
	polarity := map[sentiment.Label]float64{sentiment.Negative: -0.6, sentiment.Positive: 0.6}[label]
	j := store.Judged{
		Post: listen.Post{
			ID: id, Kind: listen.Original, Visibility: listen.Public, Text: text, CreatedAt: l.begun.Add(time.Duration(minute) * time.Minute),
			URL: "https://forum.example/" + id, Author: listen.Account{ID: "ana", Handle: "ana@forum.example", Name: "Ana"},
			Engagement: &listen.Engagement{Likes: 3},
		},
		Language: language, Engine: "lexicon",
		Sentiment: sentiment.Verdict{Label: label, Polarity: polarity, Confidence: 0.7, Words: []sentiment.Word{{Text: "palabra", Weight: 2, Because: []string{"exclaimed"}}}},
		Topics:    []store.TopicMatch{{Topic: l.topics["brand"], Terms: []string{"word velo"}}},
	}
	if strings.Contains(text, "Pedalia") {
		j.Topics = []store.TopicMatch{{Topic: l.topics["rival"], Terms: []string{"word pedalia"}}}
	}
	return j
}

func (l *listening) take(source string, posts ...store.Judged) {
	l.t.Helper()
	l.takeBatch(source, listen.Batch{}, posts...)
}

func (l *listening) takeBatch(source string, b listen.Batch, posts ...store.Judged) {
	l.t.Helper()
	b.Network = "webhook:" + source
	if _, err := l.db.TakeHooked(context.Background(), source, b, posts); err != nil {
		l.t.Fatal(err)
	}
}

type mentionSeen struct {
	ID        string
	NativeID  string `json:"native_id"`
	Text      string
	Author    *struct{ ID, Handle string }
	Sentiment struct {
		Label, Engine string
		Polarity      float64
		Words         []struct{ Word string }
	}
	Topics  []struct{ Monitor, Topic string }
	Sources []string
}

// mentions lists mentions by the networks' ids.
func (l *listening) mentions(query string) (ids []string, list []mentionSeen, next string) {
	l.t.Helper()
	var page struct {
		Mentions []mentionSeen
		Next     string
	}
	answer := l.request(http.MethodGet, "/v1/mentions"+query, "")
	if answer.status != http.StatusOK {
		l.t.Fatalf("%s: %d %s", query, answer.status, answer.body)
	}
	answer.json(l.t, &page)
	ids = []string{}
	for _, m := range page.Mentions {
		ids = append(ids, m.NativeID)
	}
	return ids, page.Mentions, page.Next
}

func TestMentionsAreFound(t *testing.T) {
	l := newListening(t)
	l.take("forum",
		l.said("1", 1, "Velo me ha cobrado dos veces", "es", sentiment.Negative),
		l.said("2", 2, "I love the jackets of Velo", "en", sentiment.Positive),
		l.said("3", 3, "Pedalia abre tienda en Girona", "es", sentiment.Neutral))
	review := l.said("r", 4, "Una chaqueta comodísima de Velo", "es", sentiment.Positive)
	review.Kind, review.Rating, review.Author = listen.Review, &listen.Rating{Value: 5, Best: 5}, listen.Account{ID: "leo", Handle: "leo"}
	l.take("reviews", review)
	_, all, _ := l.mentions("")
	for query, want := range map[string][]string{
		"":                                      {"r", "3", "2", "1"},
		"?source=reviews":                       {"r"},
		"?monitor=velo&topic=rival":             {"3"},
		"?monitor=velo":                         {"r", "3", "2", "1"},
		"?sentiment=positive&language=es":       {"r"},
		"?kind=Review":                          {"r"},
		"?network=webhook:forum":                {"3", "2", "1"},
		"?author=" + all[0].Author.ID:           {"r"},
		"?q=" + url.QueryEscape("cobrar veces"): {"1"}, // other forms
		"?q=chaqueta":                           {"r"},
		"?q=jacket":                             {"2"},
		"?q=comodisima":                         {"r"},
		"?q=" + url.QueryEscape(`"dos veces"`):  {"1"},
		"?q=" + url.QueryEscape("velo -dos"):    {"r", "2"},
		"?q=nothing":                            {},
		"?to=" + l.begun.Format(time.RFC3339):   {},
		"?from=" + l.begun.Add(3*time.Minute).Format(time.RFC3339): {"r", "3"},
	} {
		if got, _, _ := l.mentions(query); !cmp.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	first, list, next := l.mentions("?limit=3")
	rest, _, last := l.mentions("?limit=3&after=" + next)
	if !cmp.Equal(append(first, rest...), []string{"r", "3", "2", "1"}) || next == "" || last != "" {
		t.Errorf("pages: %v %q, %v %q", first, next, rest, last)
	}
	if m := list[2]; m.Author.Handle != "ana@forum.example" || m.Sentiment.Label != "positive" || m.Sentiment.Words[0].Word != "palabra" ||
		m.Topics[0].Topic != "brand" || m.Sources[0] != "forum" {
		t.Errorf("a mention: %+v", m)
	}
	for query, want := range map[string]int{
		"?after=zzz": 422, "?sentiment=sad": 422, "?topic=brand": 422, "?limit=1000": 422, "?source=nobody": 404, "?monitor=none": 404,
		"?author=00000000-0000-4000-8000-000000000000": 404, "?q=" + strings.Repeat("x", 301): 422, "?author=nobody": 404,
		"?from=2026-11-22T00:00:00Z&to=2026-11-22T00:00:00Z": 422, "?from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z": 422,
		// What no text is, in each place where the database would have to read it.
		"?source=%00": 422, "?monitor=%ff": 422, "?author=%00": 422, "?thread=%ff": 422, "?network=a%00": 422, "?language=%00": 422,
		// Whatever somebody searches for is only words.
		"?q=%00": 200, "?q=%ff%fe": 200, "?q=" + url.QueryEscape(`"`): 200, "?q=" + url.QueryEscape(`-- or OR "" - -" or -`): 200,
		"?q=" + url.QueryEscape(`&|!():*<-> \ ' ; drop table mention; --`): 200, "?q=" + url.QueryEscape(strings.Repeat("-a or ", 50)): 200,
		"?q=" + url.QueryEscape(strings.Repeat("ñ", 300)): 200, "?q=" + url.QueryEscape("de la y the of"): 200, "?q=%20%20": 200,
	} {
		if answer := l.request(http.MethodGet, "/v1/mentions"+query, ""); answer.status != want {
			t.Errorf("%s: %d, want %d: %.300s", query, answer.status, want, answer.body)
		}
	}
	for query, want := range map[string]string{
		"?source=nobody": `no source \"nobody\"`, "?monitor=none": `no monitor \"none\"`, "?monitor=velo&topic=none": `no topic \"none\"`,
		"?monitor=none&topic=brand": `no monitor \"none\"`, "?author=nobody": `no author \"nobody\"`, "?thread=nothing": "no such mention",
	} {
		if answer := l.request(http.MethodGet, "/v1/mentions"+query, ""); answer.status != http.StatusNotFound || !strings.Contains(answer.body, want) {
			t.Errorf("%s: %d %s, want one that says %s", query, answer.status, answer.body, want)
		}
	}
	if strings.Contains(l.log.String(), "Request failed") {
		t.Errorf("what somebody asked for is logged as a failure of ours: %s", l.log)
	}
}

func TestAMentionHasItsEditionsAndItsConversation(t *testing.T) {
	l := newListening(t)
	first := l.said("1", 1, "Velo no llega", "es", sentiment.Negative)
	answer := l.said("2", 5, "Ya va, dice Velo", "es", sentiment.Neutral)
	answer.Parent, answer.Thread, answer.Kind = "1", "1", listen.Reply
	l.take("forum", first, answer)
	edited := l.said("1", 1, "Velo ya ha llegado", "es", sentiment.Positive)
	edited.EditedAt, edited.Revision = edited.CreatedAt.Add(time.Minute), "2"
	l.take("forum", edited)
	_, list, _ := l.mentions("?sentiment=positive")
	var detail struct {
		Mention     mentionSeen
		Revisions   []struct{ Text, Label string }
		Thread      []mentionSeen
		Corrections []struct{ Was, Label, By, Token, Reason string }
	}
	path := "/v1/mentions/" + list[0].ID
	l.request(http.MethodGet, path, "").json(t, &detail)
	if detail.Mention.Text != "Velo ya ha llegado" || len(detail.Revisions) != 1 || detail.Revisions[0].Text != "Velo no llega" || detail.Revisions[0].Label != "negative" ||
		len(detail.Thread) != 1 || detail.Thread[0].NativeID != "2" {
		t.Errorf("%+v", detail)
	}

	// Deleted means forgotten, corrections too.
	if answer := l.request(http.MethodPost, path+"/sentiment", `{"label": "negative", "by": "eva", "reason": "ironic"}`); answer.status != http.StatusOK {
		t.Fatalf("correct: %d %s", answer.status, answer.body)
	}
	l.request(http.MethodGet, path, "").json(t, &detail)
	if len(detail.Corrections) != 1 || detail.Corrections[0].Was != "positive" || detail.Corrections[0].By != "eva" || detail.Mention.Sentiment.Engine != "person" {
		t.Errorf("corrected: %+v", detail)
	}
	l.takeBatch("forum", listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}}})
	if answer := l.request(http.MethodGet, path, ""); answer.status != http.StatusNotFound {
		t.Errorf("what was deleted: %d %s", answer.status, answer.body)
	}
	if answer := l.request(http.MethodPost, path+"/sentiment", `{"label": "neutral", "by": "eva"}`); answer.status != http.StatusNotFound {
		t.Errorf("correct what was deleted: %d %s", answer.status, answer.body)
	}
	if left := l.rows("select reason from mention_correction"); len(left) != 0 {
		t.Errorf("what was said of it is left: %v", left)
	}
	if strings.Contains(l.log.String(), "llega") || strings.Contains(l.log.String(), "ana") {
		t.Errorf("the log names people, or what they wrote: %s", l.log)
	}
}

func TestACorrectionCounts(t *testing.T) {
	l := newListening(t)
	l.take("forum", l.said("1", 1, "Velo otra vez", "es", sentiment.Neutral), l.said("2", 2, "Velo mal", "es", sentiment.Negative))
	tally := func() string {
		return strings.Join(l.rows("select sum(mentions)::int, sum(negatives)::int, sum(positives)::int, sum(engagement)::int from monitor_tally"), ";")
	}
	before := tally()
	_, list, _ := l.mentions("?sentiment=neutral")
	path := "/v1/mentions/" + list[0].ID + "/sentiment"
	for _, step := range []struct{ label, want string }{
		{"neutral", before}, {"negative", "2|2|0|6"}, {"positive", "2|1|1|6"}, {"positive", "2|1|1|6"}, {"neutral", "2|1|0|6"},
	} {
		if answer := l.request(http.MethodPost, path, fmt.Sprintf(`{"label": %q, "by": "eva"}`, step.label)); answer.status != http.StatusOK {
			t.Fatalf("%s: %d %s", step.label, answer.status, answer.body)
		}
		if got := tally(); got != step.want {
			t.Errorf("as %s: %s, want %s", step.label, got, step.want)
		}
	}
	// What the network counts anew is no other edition, and leaves the correction alone.
	more := l.said("1", 1, "Velo otra vez", "es", sentiment.Negative)
	more.Engagement = &listen.Engagement{Likes: 10}
	l.take("forum", more)
	if got := tally(); got != "2|1|0|13" {
		t.Errorf("after new likes: %s", got)
	}
	for body, want := range map[string]int{`{"label": "sad", "by": "eva"}`: 422, `{"label": "neutral"}`: 422, `{"label": "neutral", "by": ""}`: 422, `{"label": "negative", "by": "e\u0000va"}`: 422} {
		if answer := l.request(http.MethodPost, path, body); answer.status != want {
			t.Errorf("%s: %d %s", body, answer.status, answer.body)
		}
	}
}

func TestWhoMaySeeWhatPeopleWrote(t *testing.T) {
	l := newListening(t)
	l.take("forum", l.said("1", 1, "Velo bien", "es", sentiment.Positive))
	_, list, _ := l.mentions("")
	one := "/v1/mentions/" + list[0].ID
	for scope, allowed := range map[string][]string{
		"mentions:read":  {"GET /v1/mentions", "GET " + one, "GET /v1/mentions/stream", "GET /v1/monitors/velo/influence"},
		"mentions:write": {"POST " + one + "/sentiment"},
		"monitors:read": {
			"GET /v1/monitors", "GET /v1/monitors/velo", "GET /v1/monitors/velo/series", "GET /v1/monitors/velo/share", "GET /v1/monitors/velo/terms",
			"GET /v1/monitors/velo/incidents", "GET /v1/monitors/velo/engagement", "GET /v1/monitors/velo/responses", "GET /v1/sources",
		},
		"monitors:write": {"POST /v1/monitors/velo/counts"},
		"contacts:read":  nil,
	} {
		token := l.tokenWith(scope)
		for _, operation := range []string{
			"GET /v1/mentions", "GET " + one, "GET /v1/mentions/stream", "POST " + one + "/sentiment", "GET /v1/monitors", "GET /v1/monitors/velo",
			"GET /v1/monitors/velo/series", "GET /v1/monitors/velo/share", "GET /v1/monitors/velo/terms", "GET /v1/monitors/velo/incidents",
			"GET /v1/monitors/velo/engagement", "GET /v1/monitors/velo/responses", "GET /v1/sources", "POST /v1/monitors/velo/counts",
			"GET /v1/monitors/velo/influence",
		} {
			method, path, _ := strings.Cut(operation, " ")
			status := 0
			if path == "/v1/mentions/stream" {
				s := l.stream(token, "", "")
				status = s.status
				s.close()
			} else {
				status = l.requestAs(token, method, l.base+path, `{"label": "neutral", "by": "eva"}`).status
			}
			if may := slices.Contains(allowed, operation); may == (status == http.StatusForbidden) {
				t.Errorf("%s with %s: %d", operation, scope, status)
			}
		}
	}
	if answer := l.requestAs("", http.MethodGet, l.base+"/v1/mentions", ""); answer.status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", answer.status)
	}
}

// stream is an open stream.
type stream struct {
	t      *testing.T
	status int
	header http.Header
	lines  *bufio.Scanner
	close  func()
}

func (f *fixture) stream(token, query, last string) *stream {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+"/v1/mentions/stream"+query, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		cancel()
		f.t.Fatal(err)
	}
	s := &stream{t: f.t, status: response.StatusCode, header: response.Header, lines: bufio.NewScanner(response.Body), close: func() {
		cancel()
		_ = response.Body.Close()
	}}
	s.lines.Buffer(nil, 1<<20)
	f.t.Cleanup(s.close)
	return s
}

type event struct{ id, name, data string }

// next is the next event; the zero value when the stream has ended.
func (s *stream) next() (e event) {
	s.t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			return e
		}
	}
	if err := s.lines.Err(); errors.Is(err, context.DeadlineExceeded) {
		s.t.Errorf("the stream has neither told of anything nor ended: %v", err)
	}
	return event{}
}

// mention is the next mention, by the network's id, with the event's.
func (s *stream) mention() (native, id string) {
	s.t.Helper()
	for {
		e := s.next()
		if e.name == "" {
			s.t.Fatalf("the stream has ended: %v", s.lines.Err())
		}
		var m mentionSeen
		if e.name != "mention" {
			continue
		}
		if err := json.Unmarshal([]byte(e.data), &m); err != nil {
			s.t.Fatal(err)
		}
		return m.NativeID, e.id
	}
}

func TestMentionsAreStreamed(t *testing.T) {
	l := newListening(t)
	l.take("forum", l.said("0", 0, "Velo antes", "es", sentiment.Neutral))
	all := l.stream(l.token, "", "")
	negative := l.stream(l.token, "?sentiment=negative&q=llega", "")
	if first := all.next(); all.status != http.StatusOK || all.header.Get("Content-Type") != "text/event-stream" || first.name != "here" || first.id == "" {
		t.Fatalf("%d %v: begins with %+v", all.status, all.header, first)
	}
	negative.next()
	l.take("forum", l.said("1", 1, "Velo bien", "es", sentiment.Positive), l.said("2", 2, "Velo\nno llegó", "es", sentiment.Negative))
	for _, want := range []string{"1", "2"} {
		if got, _ := all.mention(); got != want {
			t.Errorf("streamed %q, want %q", got, want)
		}
	}
	got, place := negative.mention()
	if got != "2" {
		t.Errorf("of the negative ones %q", got)
	}
	all.close()
	l.take("forum", l.said("3", 3, "Velo sin más", "es", sentiment.Neutral), l.said("4", 4, "Velo aún no llega", "es", sentiment.Negative))
	if got, _ := negative.mention(); got != "4" {
		t.Errorf("of the negative ones %q", got)
	}
	again := l.stream(l.token, "", place)
	for _, want := range []string{"3", "4"} {
		if got, _ := again.mention(); got != want {
			t.Errorf("after the last event %q, want %q", got, want)
		}
	}
	// Who claims to be further than there is anything goes on from now.
	ahead := l.stream(l.token, "", "999999999")
	ahead.next()
	l.take("forum", l.said("5", 5, "Velo al final", "es", sentiment.Neutral))
	if got, _ := ahead.mention(); got != "5" {
		t.Errorf("who is ahead is told of %q", got)
	}
	for query, want := range map[string]int{
		"?sentiment=sad": 422, "?limit=3": 422, "?source=nobody": 404, "?topic=brand": 422, "?language=" + strings.Repeat("x", 99): 422, "?source=%00": 422,
		"?q=" + url.QueryEscape(strings.Repeat("ñ", 301)): 422, "?q=" + url.QueryEscape(strings.Repeat("ñ", 300)): 200, // letters, as in the list
	} {
		if s := l.stream(l.token, query, ""); s.status != want {
			t.Errorf("%s: %d, want %d", query, s.status, want)
		}
	}
	if answer := l.request(http.MethodHead, "/v1/mentions/stream", ""); answer.status != http.StatusOK || answer.body != "" {
		t.Errorf("HEAD: %d %s", answer.status, answer.body)
	}
	if s := l.stream(l.token, "", "x"); s.status != http.StatusUnprocessableEntity {
		t.Errorf("an id that is none: %d", s.status)
	}
}

// TestAStreamIsPatientWithARestoredDatabase has a database that knows less than it did, so that streams wait for what was there already.
func TestAStreamIsPatientWithARestoredDatabase(t *testing.T) {
	l := newListening(t)
	set := func(last int) {
		t.Helper()
		if _, err := l.db.Pool.Exec(context.Background(), "select setval('mention_id_seq', $1)", last); err != nil {
			t.Fatal(err)
		}
	}
	transactions := func() (n int) {
		t.Helper()
		err := l.db.Pool.QueryRow(context.Background(), "select xact_commit from pg_stat_database where datname = current_database()").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	set(1000)
	before := l.stream(l.token, "", "")
	before.next()
	l.take("forum", l.said("1", 1, "Velo antes", "es", sentiment.Neutral))
	before.mention()
	set(500)
	after := l.stream(l.token, "", "")
	after.next()
	// PostgreSQL counts what a connection did about once a second.
	began, looks := transactions(), time.NewTicker(100*time.Millisecond)
	defer looks.Stop()
	for range 25 {
		<-looks.C
		if n := transactions() - began; n > 300 {
			t.Fatalf("%d transactions while nothing was to be read", n)
		}
	}
	for _, id := range []string{"2", "3"} {
		l.take("forum", l.said(id, 2, "Velo después", "es", sentiment.Neutral))
		if got, _ := after.mention(); got != id {
			t.Errorf("streamed %q, want %q", got, id)
		}
	}
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	l := newListening(t)
	stays, ends := l.stream(l.token, "", ""), l.stream(l.tokenWith("mentions:read"), "", "")
	stays.next()
	ends.next()
	if answer := l.request(http.MethodDelete, "/v1/tokens/mentions-read-only", ""); answer.status >= 300 {
		t.Fatalf("revoke: %d %s", answer.status, answer.body)
	}
	if e := ends.next(); e.name != "" {
		t.Errorf("with a revoked token it goes on: %+v", e)
	}
	l.take("forum", l.said("1", 1, "Velo bien", "es", sentiment.Positive))
	if got, _ := stays.mention(); got != "1" {
		t.Errorf("the other one is told of %q", got)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	l := newListening(t)
	var open []*stream
	for i := range 32 {
		s := l.stream(l.token, "", "")
		if s.status != http.StatusOK {
			t.Fatalf("stream %d: %d", i, s.status)
		}
		open = append(open, s)
	}
	more := l.stream(l.token, "", "")
	if more.status != http.StatusTooManyRequests || more.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d %v", more.status, more.header)
	}
	open[0].close()
	gomega.NewWithT(t).Eventually(func() int { return l.stream(l.token, "", "").status }, patience).Should(
		gomega.Equal(http.StatusOK), "the place of one that has ended is free again")
	// A server that is told to stop ends its streams.
	ended := make(chan event, 1)
	open[1].next()
	go func() { ended <- open[1].next() }()
	l.stop()
	if e := <-ended; e.name != "" {
		t.Errorf("it goes on with %+v", e)
	}
}
