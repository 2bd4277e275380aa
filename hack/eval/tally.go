package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// classes is how many labels there are.
const classes = 3

// bands is into how many parts the confidence is divided.
const bands = 5

// tally counts how a file was judged.
type tally struct {
	confusion [classes][classes]int // by what people said, then by what the engine said
	band      [bands]struct{ all, right int }
	found     map[string]int // languages, as the engine finds them without a tag
	language  string
	wrong     []mistake
	judged    int
}

// mistake is a post that was judged wrongly.
type mistake struct {
	post    labelled
	verdict sentiment.Verdict
}

// judging is an engine that needs no time to speak of.
type judging interface {
	Of(post sentiment.Post) sentiment.Verdict
}

// judge judges each post with its language's tag, and looks whether the lexicon finds that without.
func judge(engine judging, lexicon *sentiment.Lexicon, language string, posts []labelled) *tally {
	t := &tally{language: language, found: map[string]int{}}
	for _, post := range posts {
		v := engine.Of(sentiment.Post{Text: post.text, Language: language})
		got := slices.Index(sentiment.Labels(), v.Label)
		t.judged++
		t.confusion[post.label][got]++
		b := &t.band[min(int(v.Confidence*bands), bands-1)]
		b.all++
		if got == post.label {
			b.right++
		} else {
			t.wrong = append(t.wrong, mistake{post, v})
		}
		t.found[lexicon.Identify(post.text)]++
	}
	return t
}

// f1 is the harmonic mean of precision and recall of a label, from 0 to 100.
func (t *tally) f1(label int) float64 {
	said, is := 0, 0
	for i := range classes {
		said += t.confusion[i][label]
		is += t.confusion[label][i]
	}
	if said+is == 0 {
		return 0
	}
	return 200 * float64(t.confusion[label][label]) / float64(said+is)
}

// macroF1 is the mean over labels, each of which counts alike.
func (t *tally) macroF1() float64 {
	sum := 0.0
	for label := range classes {
		sum += t.f1(label)
	}
	return sum / classes
}

func (t *tally) print(w io.Writer, name string) {
	fmt.Fprintf(w, "%s: macro-F1 %.1f over %d posts\n", name, t.macroF1(), t.judged)
	fmt.Fprintf(w, "  %-14s %9s %9s %9s %9s\n", "people \\ we", "negative", "neutral", "positive", "F1")
	for i, label := range sentiment.Labels() {
		c := t.confusion[i]
		fmt.Fprintf(w, "  %-14s %9d %9d %9d %9.1f\n", label, c[0], c[1], c[2], t.f1(i))
	}
	fmt.Fprintf(w, "  confidence, and how many were right:")
	for i, b := range t.band {
		if b.all > 0 {
			fmt.Fprintf(w, "  %.1f-%.1f: %.2f of %d", float64(i)/bands, float64(i+1)/bands, float64(b.right)/float64(b.all), b.all)
		}
	}
	own, unknown := t.found[t.language], t.found[sentiment.Unknown]
	fmt.Fprintf(w, "\n  language without a tag: right %.1f %%, unknown %.1f %%, wrong %.1f %%\n\n",
		t.percent(own), t.percent(unknown), t.percent(t.judged-own-unknown))
}

func (t *tally) percent(n int) float64 { return 100 * float64(n) / float64(max(t.judged, 1)) }

// printWrong shows mistakes spread over the file.
func (t *tally) printWrong(w io.Writer, n int) {
	if n == 0 || len(t.wrong) == 0 {
		return
	}
	step := max(1, len(t.wrong)/n)
	for i := 0; i < len(t.wrong) && n > 0; i, n = i+step, n-1 {
		m := t.wrong[i]
		v := m.verdict
		fmt.Fprintf(w, "  people %s, we %s %+.2f %.2f: %s\n", sentiment.Labels()[m.post.label], v.Label, v.Polarity, v.Confidence, m.post.text)
		for _, word := range v.Words {
			fmt.Fprintf(w, "      %s %+.2f %v\n", word.Text, word.Weight, word.Because)
		}
	}
}
