package sentiment_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// sentence is a line of testdata.
type sentence struct {
	text   string
	label  sentiment.Label
	missed bool // the engine is known to judge it wrongly
}

func readSentences(t testing.TB, language string) []sentence {
	t.Helper()
	file, err := os.Open("testdata/" + language + ".tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var all []sentence
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if lines.Text() == "" || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		label, text, found := strings.Cut(lines.Text(), "\t")
		label, missed := strings.CutSuffix(label, "?")
		if !found || text == "" || !slices.Contains(sentiment.Labels(), sentiment.Label(label)) {
			t.Fatalf("testdata/%s.tsv: a line is a label, a tab and a post, not %q", language, lines.Text())
		}
		all = append(all, sentence{text, sentiment.Label(label), missed})
	}
	return all
}

func TestSentencesOfOurOwnAreJudgedAsPeopleJudgeThem(t *testing.T) {
	l := newLexicon(t)
	for _, language := range []string{sentiment.Spanish, sentiment.English} {
		sentences := readSentences(t, language)
		if len(sentences) < 150 {
			t.Errorf("%s has only %d sentences", language, len(sentences))
		}
		seen := map[string]bool{}
		for _, s := range sentences {
			if seen[s.text] {
				t.Errorf("%s: %q stands here twice", language, s.text)
			}
			seen[s.text] = true
			v := l.Of(sentiment.Post{Text: s.text, Language: language})
			switch {
			case s.missed && v.Label == s.label:
				t.Errorf("%s: %q is judged rightly by now: take its question mark away", language, s.text)
			case !s.missed && v.Label != s.label:
				t.Errorf("%s: %q is %s %+.2f, want %s; decided by %+v", language, s.text, v.Label, v.Polarity, s.label, v.Words)
			}
		}
	}
}
