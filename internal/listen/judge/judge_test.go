package judge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func newJudge(t *testing.T, topics ...store.Topic) *Judge {
	t.Helper()
	j, err := New(Options{})
	if err == nil {
		err = j.Follow(t.Context(), &declared{topics, 1}, func(err error) { t.Error(err) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// declared are topics as a database keeps them.
type declared struct {
	topics  []store.Topic
	version int64
}

func (d *declared) TopicVersion(context.Context) (int64, error) { return d.version, nil }

func (d *declared) Topics(context.Context) ([]store.Topic, int64, error) {
	return d.topics, d.version, nil
}

func brand(id int64, monitor, name, word string, sources ...string) store.Topic {
	return store.Topic{ID: id, Monitor: monitor, Name: name, Sources: sources, Definition: match.Topic{Name: name, Any: []match.Term{{Word: word}}}}
}

func post(id, text string) listen.Post { return listen.Post{ID: id, Text: text, CreatedAt: now} }

func TestABatchIsUnderstood(t *testing.T) {
	j := newJudge(t, brand(7, "velo", "brand", "velo"), brand(8, "rivals", "brand", "pedalia"), brand(9, "shop", "all", "bici", "reviews", "forum"))
	titled := post("3", "")
	titled.Title = "Pedalia y Velo: horribles, una vergüenza"
	tagged := post("4", "Bella giornata oggi")
	tagged.Language = "it-IT"
	named := post("5", "hola")
	named.Mentions = []listen.Account{{Handle: "velo@square.example", ID: "https://square.example/velo"}}
	b := listen.Batch{
		Network: "square", Next: listen.Cursor("5"), Rejected: map[string]int{"it has no date": 2}, Gaps: []listen.Gap{{Reason: "the stream\nbroke"}},
		Posts: []listen.Post{post("1", "Me encanta mi nueva bici de Velo, es una maravilla"), post("", "who knows"), titled, tagged, named},
		Deleted: []listen.Deletion{
			{PostID: "9"}, {}, {PostID: strings.Repeat("x", 1000)}, {AuthorID: "a\x00b"}, {AuthorID: "gone"},
		},
	}
	got, err := j.Batch(t.Context(), b, Wanted{Languages: []string{"es", "en"}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		ID, Language string
		Label        sentiment.Label
		Topics       []store.TopicMatch
	}
	var rows []row
	for _, p := range got.Posts {
		rows = append(rows, row{p.ID, p.Language, p.Sentiment.Label, p.Topics})
	}
	want := []row{
		{"1", "es", sentiment.Positive, []store.TopicMatch{
			{Topic: 7, Terms: []string{`word "velo"`}}, {Topic: 9, Terms: []string{`word "bici"`}, Sources: []string{"reviews", "forum"}},
		}},
		{"3", "es", sentiment.Negative, []store.TopicMatch{{Topic: 7, Terms: []string{`word "velo"`}}, {Topic: 8, Terms: []string{`word "pedalia"`}}}},
		{"5", "", sentiment.Neutral, nil},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("posts: -want +got:\n%s", diff)
	}
	rest := listen.Batch{
		Network: "square", Next: listen.Cursor("5"), Deleted: []listen.Deletion{{PostID: "9"}, {AuthorID: "gone"}},
		Gaps:     []listen.Gap{{To: now, Reason: "the stream broke"}},
		Rejected: map[string]int{"it has no date": 2, "it has no id": 1, "a deletion has no usable id": 3},
	}
	if diff := cmp.Diff(rest, got.Batch); diff != "" {
		t.Errorf("beside posts: -want +got:\n%s", diff)
	}
	if got.Unwanted != 1 {
		t.Errorf("%d posts were unwanted", got.Unwanted)
	}
}

// Posts are compared with the topics that are in force when they are stored, whichever those were when they were judged.
func TestTopicsThatChangeBeforeABatchIsStored(t *testing.T) {
	d := &declared{[]store.Topic{brand(1, "velo", "a", "velo")}, 1}
	j := newJudge(t, d.topics...)
	b, err := j.Batch(t.Context(), listen.Batch{Network: "n", Posts: []listen.Post{post("1", "La bici de Velo")}}, Wanted{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	d.topics, d.version = []store.Topic{brand(3, "velo", "c", "bici")}, 2
	learned, stored := 0, []store.Judged(nil)
	learn := func(ctx context.Context) error {
		learned++
		return j.Follow(ctx, d, func(err error) { t.Error(err) })
	}
	_, err = j.Keep(t.Context(), &b, learn, func(_ context.Context, _ listen.Batch, posts []store.Judged) (store.TakenMentions, error) {
		if posts[0].TopicVersion != d.version {
			return store.TakenMentions{}, fmt.Errorf("store: %w", store.ErrTopicsChanged)
		}
		stored = posts
		return store.TakenMentions{}, nil
	})
	if err != nil || learned != 1 || len(stored) != 1 {
		t.Fatalf("learned %d times, %d stored, %v", learned, len(stored), err)
	}
	if diff := cmp.Diff([]store.TopicMatch{{Topic: 3, Terms: []string{`word "bici"`}}}, stored[0].Topics); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	away := errors.New("away")
	_, err = j.Keep(t.Context(), &b, func(context.Context) error { return away }, func(context.Context, listen.Batch, []store.Judged) (store.TakenMentions, error) {
		return store.TakenMentions{}, store.ErrTopicsChanged
	})
	if !errors.Is(err, away) {
		t.Errorf("topics that cannot be read: %v", err)
	}
}

// A topic that cannot be compiled, which the operator refuses, must not make the others deaf.
func TestATopicThatCannotBeCompiled(t *testing.T) {
	j, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &declared{[]store.Topic{brand(1, "velo", "a", "velo"), brand(2, "velo", "broken", "two words"), brand(3, "velo", "c", "bici")}, 5}
	var unfit []error
	follow := func() {
		t.Helper()
		if err := j.Follow(t.Context(), d, func(err error) { unfit = append(unfit, err) }); err != nil {
			t.Error(err)
		}
	}
	if follow(); len(unfit) != 1 || !strings.Contains(unfit[0].Error(), "velo/broken") {
		t.Errorf("got %v", unfit)
	}
	got, err := j.Batch(t.Context(), listen.Batch{Network: "n", Posts: []listen.Post{post("1", "La bici de Velo")}}, Wanted{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	want := []store.TopicMatch{{Topic: 1, Terms: []string{`word "velo"`}}, {Topic: 3, Terms: []string{`word "bici"`}}}
	if diff := cmp.Diff(want, got.Posts[0].Topics); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// The same version is not compiled again, another one is.
	d.topics = nil
	if follow(); len(j.topics.current.Load().ids) != 2 {
		t.Error("the same version is read again")
	}
	d.version = 6
	if follow(); len(j.topics.current.Load().ids) != 0 {
		t.Error("another version is not read")
	}
}

func TestABatchThatCannotBeStored(t *testing.T) {
	j := newJudge(t)
	for name, b := range map[string]listen.Batch{
		"no network":          {Posts: []listen.Post{post("1", "x")}},
		"a cursor that is no": {Network: "n", Next: listen.Cursor("{")},
		"a cursor of 100 KiB": {Network: "n", Next: listen.Cursor(`"` + strings.Repeat("x", 100<<10) + `"`)},
	} {
		var trouble *listen.Trouble
		if _, err := j.Batch(t.Context(), b, Wanted{Now: now}); !errors.As(err, &trouble) || trouble.Reason != listen.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// shelf takes posts as a database does that refuses some.
type shelf struct {
	poison map[string]bool
	took   []string
	next   []string
	calls  int
	away   int // the call at which it is not there; 0 for none
}

func (s *shelf) take(_ context.Context, b listen.Batch, posts []store.Judged) (store.TakenMentions, error) {
	s.calls++
	if s.calls == s.away {
		return store.TakenMentions{}, &pgconn.PgError{Code: "57P01"}
	}
	for _, p := range posts {
		if s.poison[p.ID] {
			return store.TakenMentions{}, fmt.Errorf("store: %w", &pgconn.PgError{Code: "22021"})
		}
	}
	for _, p := range posts {
		s.took = append(s.took, p.ID)
	}
	if b.Next != nil {
		s.next = append(s.next, fmt.Sprint(string(b.Next), b.Rejected))
	}
	return store.TakenMentions{Stored: len(posts)}, nil
}

func TestAPoisonousPostIsFound(t *testing.T) {
	for name, poison := range map[string][]string{
		"none": nil, "one": {"4"}, "the first": {"0"}, "the last": {"9"}, "two together": {"4", "5"}, "all": strings.Split("0123456789", ""),
	} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{poison: map[string]bool{}}
			for _, id := range poison {
				s.poison[id] = true
			}
			j := Judged{Batch: listen.Batch{Network: "n", Next: listen.Cursor("10")}}
			var want []string
			for i := range 10 {
				id := fmt.Sprint(i)
				j.Posts = append(j.Posts, store.Judged{Post: post(id, "x")})
				if !s.poison[id] {
					want = append(want, id)
				}
			}
			taken, err := keep(t.Context(), &j, s.take)
			if err != nil || taken.Stored != 10-len(poison) {
				t.Errorf("%d stored, %v", taken.Stored, err)
			}
			if diff := cmp.Diff(want, s.took); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			told := map[string]int(nil)
			if len(poison) > 0 {
				told = map[string]int{refusedByDatabase: len(poison)}
			}
			if diff := cmp.Diff([]string{fmt.Sprint("10", told)}, s.next); diff != "" {
				t.Errorf("the cursor moves once, at the end, with what was refused: -want +got:\n%s", diff)
			}
			if got := j.Outcomes(taken)["rejected"]; got != len(poison) {
				t.Errorf("%d are counted as rejected", got)
			}
		})
	}
}

// A database that goes away in the middle of it leaves the cursor where it was.
func TestADatabaseThatGoesAwayWhileAPostIsLookedFor(t *testing.T) {
	for away := 1; away <= 7; away++ {
		s := &shelf{poison: map[string]bool{"2": true}, away: away}
		j := Judged{Batch: listen.Batch{Network: "n", Next: listen.Cursor("4")}}
		for i := range 4 {
			j.Posts = append(j.Posts, store.Judged{Post: post(fmt.Sprint(i), "x")})
		}
		_, err := keep(t.Context(), &j, s.take)
		if ended := s.calls < away; ended != (err == nil) || err != nil && len(s.next) > 0 {
			t.Errorf("away at call %d: %v, cursor %v", away, err, s.next)
		}
	}
}
