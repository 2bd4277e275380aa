package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// corrected stores n posts of a language, from a number on, and has people say that they are negative.
func (l listening) corrected(lease store.SourceLease, language string, from, n int) {
	l.t.Helper()
	var posts []store.Judged
	for i := from; i < from+n; i++ {
		posts = append(posts, post(fmt.Sprintf("%s%d", language, i), func(j *store.Judged) { j.Language, j.Text = language, fmt.Sprint("Corrected ", i) }))
	}
	l.take(lease, posts...)
	l.say(language, from, n)
}

func (l listening) say(language string, from, n int) {
	l.t.Helper()
	for i := from; i < from+n; i++ {
		id := query(l.t, l.DB, fmt.Sprintf("select public_id::text from mention where native_id = '%s%d'", language, i))[0]
		if _, err := l.CorrectSentiment(context.Background(), id, sentiment.Negative, store.Decider{Token: "agents", By: "ana"}); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l listening) due(want ...string) {
	l.t.Helper()
	got, err := l.SentimentToLearn(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		l.t.Errorf("to learn (-want +got):\n%s", diff)
	}
}

func (l listening) lesson(language string) store.SentimentLesson {
	l.t.Helper()
	lesson, err := l.SentimentLesson(context.Background(), language)
	if err != nil {
		l.t.Fatal(err)
	}
	return lesson
}

func TestWhenIsLearned(t *testing.T) {
	l := newListening(t, "a")
	a := l.lease("a")
	save := func(m store.SentimentModel) {
		t.Helper()
		if err := l.SaveSentimentModel(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	l.due()
	l.corrected(a, "es", 0, learned.Least-1)
	l.corrected(a, "en", 0, 3)
	l.due()
	l.corrected(a, "es", learned.Least-1, 1)
	l.due("es")
	lesson := l.lesson("es")
	save(store.SentimentModel{Language: "es", LastCorrection: lesson.LastCorrection, Trial: learned.Trial{Corrections: learned.Least, Refused: "chance"}})
	l.due()
	l.say("es", 0, 49)
	l.due()
	l.say("es", 49, 1)
	l.due("es")
	save(store.SentimentModel{Language: "es", LastCorrection: l.lesson("es").LastCorrection, Model: []byte{1}, Trial: learned.Trial{Corrections: 200}})
	l.due()
	l.exec("update sentiment_model set trained_at = now() - interval '25 h'")
	l.due("es")
	save(store.SentimentModel{Language: "es"}) // nothing is left of what was corrected
	if left, err := l.SentimentModels(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

func TestWhatIsLearnedFrom(t *testing.T) {
	l := newListening(t, "a")
	a := l.lease("a")
	long := strings.Repeat("a", 5000)
	l.take(a, post("o1"), post("o2", func(j *store.Judged) { j.Language = "en" }), post("o3", func(j *store.Judged) { j.Title, j.Text = "Title", long }))
	l.corrected(a, "es", 0, 5)
	l.corrected(a, "en", 0, 1)
	l.corrected(a, "", 0, 1)
	l.say("es", 0, 1)                                                               // again, so that it is the newest
	l.take(a, post("es1", edited(0, "2", "It says something else now")))            // and is judged anew
	l.batch(a, listen.Batch{Deleted: []listen.Deletion{{PostID: "es2"}}})           // forgotten
	l.exec("update mention set title = 'Title', text = '' where native_id = 'es3'") // a title alone
	lesson := l.lesson("es")
	var got []string
	keys := map[string]bool{}
	for _, c := range lesson.Corrections {
		got = append(got, c.Text+": "+string(c.Label))
		keys[string(c.Key)] = true
	}
	if diff := cmp.Diff([]string{"Title: negative", "Corrected 4: negative", "Corrected 0: negative"}, got); diff != "" {
		t.Errorf("corrections (-want +got):\n%s", diff)
	}
	if len(keys) != 3 || keys[""] {
		t.Errorf("%d keys of 3 mentions", len(keys))
	}
	others := append([]string{}, lesson.Others...)
	for i := range others {
		others[i] = others[i][:20]
	}
	less := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff([]string{"It says something else now"[:20], "La bicicleta o1 de V", "Title\n\n" + long[:13]}, others, less); diff != "" {
		t.Errorf("others (-want +got):\n%s", diff)
	}
	if n := max(len(lesson.Others[0]), len(lesson.Others[1]), len(lesson.Others[2])); n != 4000 {
		t.Errorf("of a long one %d characters are read", n)
	}
}

func TestModelsInUseAreKept(t *testing.T) {
	l := newListening(t)
	ctx := t.Context()
	version := func() string {
		t.Helper()
		v, err := l.SentimentModelVersion(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	seen := map[string]string{"nothing": version()}
	save := func(what string, m store.SentimentModel, changes bool) {
		t.Helper()
		before := version()
		if err := l.SaveSentimentModel(ctx, m); err != nil {
			t.Fatal(err)
		}
		if seen[what] = version(); (seen[what] != before) != changes {
			t.Errorf("%s: the version was %q and is %q", what, before, seen[what])
		}
	}
	trial := learned.Trial{Corrections: 300, HeldBack: 60, F1Model: 0.8, F1Lexicon: 0.6, P: 0.01}
	used := store.SentimentModel{Language: "es", Model: []byte("model"), LastCorrection: 7, Trial: trial}
	save("one that is used", used, true)
	save("one that is not", store.SentimentModel{Language: "en", Trial: learned.Trial{Corrections: 300, P: 1, Refused: "chance"}}, false)
	models, err := l.SentimentModelsInUse(ctx)
	if diff := cmp.Diff(map[string][]byte{"es": []byte("model")}, models); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	list, err := l.SentimentModels(ctx)
	used.Model = nil
	want := []store.SentimentModel{{Language: "en", Trial: learned.Trial{Corrections: 300, P: 1, Refused: "chance"}}, used}
	if diff := cmp.Diff(want, list, cmpopts.IgnoreFields(store.SentimentModel{}, "TrainedAt")); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	save("another", store.SentimentModel{Language: "es", Model: []byte("other"), Trial: trial}, true)
	save("it is dropped", store.SentimentModel{Language: "es", Trial: learned.Trial{Corrections: 300, Refused: "chance"}}, true)
	if models, err := l.SentimentModelsInUse(ctx); err != nil || len(models) != 0 {
		t.Errorf("in use: %v, %v", models, err)
	}
	if err := l.SaveSentimentModel(ctx, store.SentimentModel{Language: "es", Model: make([]byte, 256<<10+1), Trial: trial}); err == nil {
		t.Error("a model of more than 256 KiB is kept")
	}
}
