package sentiment_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// TestRules compares posts that differ in one thing: what one rule does.
func TestRules(t *testing.T) {
	l := newLexicon(t)
	for name, c := range map[string]struct{ language, better, worse string }{
		"amplifier":               {"es", "la bici es muy buena", "la bici es buena"},
		"amplifier behind":        {"es", "me gusta muchísimo", "me gusta"},
		"diminisher":              {"es", "la bici es buena", "la bici es un poco buena"},
		"bad, amplified":          {"en", "the bike is bad", "the bike is really bad"},
		"bad, weakened":           {"en", "the bike is slightly bad", "the bike is bad"},
		"negated good":            {"es", "es buena", "no es buena"},
		"negated by an n't":       {"en", "it is good", "it isn't good"},
		"negated bad":             {"en", "it is not terrible", "it is terrible"},
		"negation behind":         {"es", "me gusta", "me gusta nada"},
		"negation ends at commas": {"es", "no, es buena", "no es buena"},
		"negation ends at but":    {"en", "not cheap but good", "not cheap and not good"},
		"negation has a reach":    {"en", "I did not buy one of those other two there, good", "I did not buy good"},
		"not only":                {"es", "no solo es buena", "no es buena"},
		"contrast":                {"es", "es lenta, pero buena", "es buena, pero lenta"},
		"concession":              {"en", "it is good although slow", "it is slow although good"},
		"exclamation":             {"en", "it is good!!!", "it is good"},
		"capitals":                {"en", "it is GOOD", "it is good"},
		"drawn out":               {"es", "está buenísimaaaa", "está buenísima"},
		"question":                {"en", "it is good", "is it good?"},
		"emoji":                   {"es", "la bici 😍", "la bici"},
		"emoticon":                {"en", "the bike :)", "the bike :("},
		"curse as emphasis":       {"en", "fucking great", "great"},
		"curse alone":             {"es", "la bici", "joder la bici"},
		"censored curse":          {"en", "the bike", "f**k the bike"},
		"working, negated":        {"es", "la app funciona", "la app no funciona"},
		"phrase before words":     {"es", "vale la pena", "la pena"},
		"mocking":                 {"en", "great service 😍", "great service 🙄"},
		"scare quotes":            {"es", "qué servicio rápido", `qué servicio "rápido"`},
		"marked irony":            {"es", "qué gran servicio", "qué gran servicio #ironía"},
		"/s":                      {"en", "what a great service", "what a great service /s"},
		"enjoying bad things":     {"en", "I love riding", "I love waiting for a delayed train"},
		"praise before bad news":  {"es", "Genial, otra bici", "Genial, otro retraso"},
		"mended":                  {"en", "they solved my problem", "they are my problem"},
		"courtesy in a question":  {"es", "gracias", "¿tienen la M? gracias"},
		"a negation of nothing":   {"es", "la bici", "no la bici"},
		"a cry":                   {"en", "the bike!", "the bike"},
		"said again":              {"en", "good wheels, nice frame", "good wheels, good frame"},
		"filler":                  {"es", "es bueno", "bueno, es"},
		"accents on their own":    {"es", "esta\u0301 geniaaal", "está"},
		"hashtag of words":        {"es", "#MeEncanta", "#MeVoy"},
		"entities of HTML":        {"en", "&lt;3 it", "&amp; it"},
	} {
		t.Run(name, func(t *testing.T) {
			better := l.Of(sentiment.Post{Text: c.better, Language: c.language})
			worse := l.Of(sentiment.Post{Text: c.worse, Language: c.language})
			if better.Polarity <= worse.Polarity {
				t.Errorf("%q has %+.2f %v, %q has %+.2f %v: want the first to be better", c.better, better.Polarity, better.Words, c.worse, worse.Polarity, worse.Words)
			}
		})
	}
}

func TestWhatIsNoPartOfATextIsPassedOver(t *testing.T) {
	l := newLexicon(t)
	for name, text := range map[string]string{
		"an account":       "@good_bad @terrible@bad.example",
		"a link":           "https://bad.example/terrible?awful www.horrible.example/bad",
		"brackets":         "Toyota (NYSE:TM): results (see page 3)",
		"times of the day": "from 10:30 to 8:00",
		"nothing":          "",
		"spaces":           " \t\n \u00a0",
		"no UTF-8":         "\xff\xfe\xf0\x9f",
		"unknown emoji":    "🪛🧷",
	} {
		v := l.Of(sentiment.Post{Text: text, Language: "en"})
		if v.Polarity != 0 || v.Label != sentiment.Neutral || len(v.Words) != 0 {
			t.Errorf("%s: %+v, want nothing", name, v)
		}
	}
}

func TestAVerdictSaysWhatDecidedAndWhy(t *testing.T) {
	v := newLexicon(t).Of(sentiment.Post{Text: "La bici es MUY bonita, pero el servicio no es nada bueno 😡", Language: "es"})
	var words []string
	for _, w := range v.Words {
		words = append(words, w.Text+": "+strings.Join(w.Because, ", "))
	}
	for _, want := range []string{"bonita: amplified by muy, before pero", "bueno: negated by nada, behind pero", "😡: "} {
		if !slices.Contains(words, want) {
			t.Errorf("the words that decided are %q, want %q among them", words, want)
		}
	}
	if !slices.IsSortedFunc(v.Words, func(a, b sentiment.Word) int { return int(math.Copysign(1, math.Abs(b.Weight)-math.Abs(a.Weight))) }) {
		t.Errorf("the weightiest does not come first: %+v", v.Words)
	}
	if v.Label != sentiment.Negative || v.Engine != sentiment.LexiconName || v.Language != "es" {
		t.Errorf("verdict: %+v", v)
	}
}

func TestALongTextIsCutAndSaysSo(t *testing.T) {
	v := newLexicon(t).Of(sentiment.Post{Text: "good " + strings.Repeat("x ", sentiment.MaxText) + " terrible", Language: "en"})
	if !v.Cut || v.Label != sentiment.Positive || len(v.Words) != 1 {
		t.Errorf("cut %v, %s, %v: want the beginning judged only", v.Cut, v.Label, v.Words)
	}
}

func TestOtherLanguagesAreReadByTheirSignsAlone(t *testing.T) {
	l := newLexicon(t)
	v := l.Of(sentiment.Post{Text: "terrible terrible 😍", Language: "fr"})
	if v.Label != sentiment.Positive || v.Language != "fr" || v.Confidence >= l.Of(sentiment.Post{Text: "😍", Language: "en"}).Confidence {
		t.Errorf("verdict: %+v, want what the emoji says, with less confidence", v)
	}
}

func TestBatchesKeepTheirOrderAndEndWithTheContext(t *testing.T) {
	l := newLexicon(t)
	verdicts, err := l.Judge(t.Context(), []sentiment.Post{{Text: "terrible", Language: "en"}, {Text: "great", Language: "en"}})
	if err != nil || len(verdicts) != 2 || verdicts[0].Label != sentiment.Negative || verdicts[1].Label != sentiment.Positive {
		t.Errorf("%+v %v", verdicts, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if verdicts, err := l.Judge(ctx, make([]sentiment.Post, 1)); !errors.Is(err, context.Canceled) || verdicts != nil {
		t.Errorf("%v %v, want the end of the context", verdicts, err)
	}
}
