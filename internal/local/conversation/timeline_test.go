package conversation

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/monitor"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// told is an event in words, to compare.
func told(e Event) string {
	what := "wrote " + e.Post.Text
	if e.Deleted {
		what = "deleted " + e.Post.Text
	}
	return e.At.Format(time.RFC3339Nano) + " " + e.Post.Author.Handle + " " + what
}

func toldAll(t *Timeline, after, until time.Time) []string {
	var all []string
	for e := range t.Events(after, until) {
		all = append(all, told(e))
	}
	return all
}

func TestWhoeverAsksAgainIsToldTheSame(t *testing.T) {
	timeline := &Timeline{Seed: 1, Crisis: noon.Add(-time.Hour)}
	since := noon.Add(-8 * time.Hour)
	whole := toldAll(timeline, since, noon)
	if len(whole) < 100 {
		t.Fatalf("%d events in eight hours, with a crisis", len(whole))
	}
	if !slices.IsSorted(whole) {
		t.Error("they are not in order")
	}
	var parts []string
	for at := since; at.Before(noon); at = at.Add(7 * time.Minute) {
		parts = append(parts, toldAll(timeline, at, minTime(at.Add(7*time.Minute), noon))...)
	}
	if diff := cmp.Diff(whole, parts); diff != "" {
		t.Errorf("in parts it is something else (-whole +parts):\n%s", diff)
	}
	if other := toldAll(&Timeline{Seed: 2}, since, noon); cmp.Equal(whole, other) {
		t.Error("another seed says the same")
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func TestThereIsVarietyInWhatIsSaid(t *testing.T) {
	texts, kinds := map[string]int{}, map[string]int{}
	for e := range (&Timeline{Seed: 1}).Events(noon.AddDate(0, 0, -35), noon) {
		if e.Deleted {
			kinds["deleted"]++
			continue
		}
		kinds["posts"]++
		kinds["in "+e.Post.Language]++
		kinds["about "+e.Post.About]++
		kinds[string(e.Post.Mood)]++
		if e.Post.Parent != nil {
			kinds["answers"]++
			if !e.At.After(e.Post.Parent.At) {
				t.Errorf("answered before it was written: %s", told(e))
			}
		}
		if e.Post.Author == theShop {
			kinds["by the shop"]++
		}
		texts[e.Post.Text]++
		if e.Post.About != "" && !strings.Contains(strings.ToLower(e.Post.Text), strings.ToLower(e.Post.About)) {
			t.Errorf("about %s: %s", e.Post.About, e.Post.Text)
		}
		if strings.ContainsAny(e.Post.Text, "{}") {
			t.Errorf("a place is not filled in: %s", e.Post.Text)
		}
	}
	t.Logf("%d texts: %v", len(texts), kinds)
	for kind, least := range map[string]int{
		"about Velo": 5000, "about Pedalia": 3000, "about Rodamar": 1000, "about ": 8000, "in es": 8000, "in en": 5000, "answers": 1000, "by the shop": 200,
		"deleted": 100, "negative": 2000, "positive": 3000,
	} {
		if kinds[kind] < least {
			t.Errorf("%s: %d, want at least %d", kind, kinds[kind], least)
		}
	}
	if len(texts) < kinds["posts"]/4 {
		t.Errorf("%d texts in %d posts", len(texts), kinds["posts"])
	}
}

// TestTheLexiconReadsMostOfItAsItIsMeant is no measure of the lexicon: these sentences are invented. It sees to it that the example shows
// what it is meant to show.
func TestTheLexiconReadsMostOfItAsItIsMeant(t *testing.T) {
	lexicon, err := sentiment.NewLexicon()
	if err != nil {
		t.Fatal(err)
	}
	right, all, missed := map[Mood]int{}, map[Mood]int{}, map[string]bool{}
	for e := range (&Timeline{Seed: 1, Crisis: noon.Add(-6 * time.Hour)}).Events(noon.AddDate(0, 0, -10), noon) {
		if e.Deleted || e.Post.About == "" {
			continue
		}
		v := lexicon.Of(sentiment.Post{Text: e.Post.Text, Language: e.Post.Language})
		all[e.Post.Mood]++
		if string(v.Label) == string(e.Post.Mood) {
			right[e.Post.Mood]++
		} else if len(missed) < 60 {
			missed[string(e.Post.Mood)+" as "+string(v.Label)+": "+e.Post.Text] = true
		}
	}
	for mood, n := range all {
		share := float64(right[mood]) / float64(n)
		t.Logf("%s: %.0f %% of %d", mood, 100*share, n)
		if share < 0.8 {
			t.Errorf("%s: %.0f %% are read so, want 80", mood, 100*share)
		}
	}
	if t.Failed() || testing.Verbose() {
		for text := range missed {
			t.Log(text)
		}
	}
}

// brand is the topic by which the example listens.
var brand = match.Topic{
	Name: "velo", Any: []match.Term{{Word: "velo"}}, Except: []match.Term{{Phrase: "velo de novia"}, {Phrase: "tupido velo"}},
}

// counted are the counts of steps of 5 minutes, as a monitor sees them: by topic and verdict, with nothing that the inventor knows.
func counted(t *testing.T, timeline *Timeline, since, until time.Time) []monitor.Count {
	t.Helper()
	lexicon, err := sentiment.NewLexicon()
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := match.Compile([]match.Topic{brand})
	if err != nil {
		t.Fatal(err)
	}
	var counts []monitor.Count
	for at := since; at.Before(until); at = at.Add(slot) {
		c := monitor.Count{Start: at}
		authors := map[*Person]bool{}
		for e := range timeline.Events(at.Add(-time.Nanosecond), at.Add(slot-time.Nanosecond)) {
			if e.Deleted || len(matcher.Match(&match.Post{Text: e.Post.Text}, nil)) == 0 {
				continue
			}
			c.Mentions++
			if lexicon.Of(sentiment.Post{Text: e.Post.Text, Language: e.Post.Language}).Label == sentiment.Negative {
				c.Negatives++
				authors[e.Post.Author] = true
			}
		}
		c.Authors = len(authors)
		counts = append(counts, c)
	}
	return counts
}

// alarms are the incidents that a monitor opens in five weeks.
func alarms(t *testing.T, timeline *Timeline) []monitor.Change {
	t.Helper()
	detector, err := monitor.New(monitor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var opened []monitor.Change
	for _, c := range counted(t, timeline, noon.AddDate(0, 0, -35), noon) {
		changes, err := detector.Observe(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range changes {
			if change.Kind == monitor.Opened {
				opened = append(opened, change)
			}
		}
	}
	return opened
}

// TestTheCrisisIsNoticed bounds how often there is another alarm by what monitors promise: three in thirty days.
func TestTheCrisisIsNoticed(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		timeline := &Timeline{Seed: seed, Crisis: noon.Add(-100 * time.Minute)}
		opened := alarms(t, timeline)
		if len(opened) == 0 || len(opened) > 4 {
			t.Errorf("seed %d: %d incidents: %+v", seed, len(opened), opened)
			continue
		}
		last := opened[len(opened)-1]
		after := last.At.Sub(timeline.Crisis)
		t.Logf("seed %d: the last of %d, told %v after it began: %+v", seed, len(opened), after, last.Incident.Evidence)
		if after < 0 || after > 60*time.Minute {
			t.Errorf("seed %d: told %v after it began", seed, after)
		}
	}
	if opened := alarms(t, &Timeline{Seed: 1}); len(opened) > 3 {
		t.Errorf("without a crisis: %+v", opened)
	}
}
