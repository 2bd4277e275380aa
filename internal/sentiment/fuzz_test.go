package sentiment_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// longestJudging is for how long the longest text may be judged, on a slow and busy machine.
const longestJudging = 20 * time.Second

// FuzzJudge throws texts at the engine: it never panics, what it says lies within bounds, and it takes its time from the
// length of the text alone.
func FuzzJudge(f *testing.F) {
	l := newLexicon(f)
	for _, language := range []string{sentiment.Spanish, sentiment.English} {
		for _, s := range readSentences(f, language) {
			f.Add(s.text, language, uint16(1))
		}
	}
	for _, text := range []string{
		"n\u0303", "\u0303", "#", "#A_bC", "@", "@@@.", "&", "&;", "&lt;3", ":", ":)", "f***", "*", "a*****b", "\"\"\"", "http://", "!?!?", "\xff", "ﬁ", "İ", "/s", "''''", "a'b'c",
		"very not very no bad pero but", "💔🙄", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	} {
		f.Add(text, "", uint16(3000))
	}
	f.Fuzz(func(t *testing.T, text, language string, times uint16) {
		if many := min(int(times), 2*sentiment.MaxText/(len(text)+1)); many > 1 {
			text = strings.Repeat(text, many)
		}
		began := time.Now()
		v := l.Of(sentiment.Post{Text: text, Language: language})
		if took := time.Since(began); took > longestJudging {
			t.Errorf("%d bytes took %v", len(text), took)
		}
		if math.IsNaN(v.Polarity) || v.Polarity < -1 || v.Polarity > 1 || math.IsNaN(v.Confidence) || v.Confidence < 0 || v.Confidence > 1 {
			t.Errorf("polarity %v, confidence %v", v.Polarity, v.Confidence)
		}
		if v.Label != sentiment.LabelOf(v.Polarity) || !slices.Contains(sentiment.Labels(), v.Label) {
			t.Errorf("label %q of the polarity %v", v.Label, v.Polarity)
		}
		if len(v.Words) > 8 || len(v.Language) > 3 || v.Cut != (len(text) > sentiment.MaxText) {
			t.Errorf("%d words, language %q, cut %v of %d bytes", len(v.Words), v.Language, v.Cut, len(text))
		}
		for _, w := range v.Words {
			if !utf8.ValidString(w.Text) || strings.ContainsFunc(w.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) || math.IsNaN(w.Weight) {
				t.Errorf("word %q with the weight %v", w.Text, w.Weight)
			}
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	l := newLexicon(b)
	for _, language := range []string{sentiment.Spanish, sentiment.English} {
		b.Run(language, func(b *testing.B) {
			sentences := readSentences(b, language)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.Of(sentiment.Post{Text: sentences[i%len(sentences)].text, Language: language})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
		})
	}
}
