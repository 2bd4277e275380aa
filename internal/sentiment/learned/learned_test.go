package learned_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
)

func newLexicon(t testing.TB) *sentiment.Lexicon {
	t.Helper()
	l, err := sentiment.NewLexicon()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// house is how people talk in one house, whose slang the lexicon reads wrongly or not at all.
type house struct {
	language string
	says     map[sentiment.Label][]string // what is said, by how it is meant
	about    []string
	around   []string
}

var houses = map[string]house{
	"skaters in Spanish": {
		language: sentiment.Spanish,
		says: map[sentiment.Label][]string{
			sentiment.Positive: {"es una bestia", "va que mata", "es criminal 🛹", "está que quema", "me dejó muerto, brutal"},
			sentiment.Negative: {"salió rana", "es puro humo", "ya cruje otra vez", "se me ha gripado 🧊", "no rula"},
			sentiment.Neutral:  {"la bestia azul llega el lunes", "con el aviso de muerte súbita de la final", "en la pista del humo", "hoy toca junta", "modelo rana junior"},
		},
		about:  []string{"La tabla", "El eje nuevo", "La rueda", "Mi pedido", "La lija"},
		around: []string{"según mi hermano", "desde el martes", "en el parque", "después de la lluvia", "", "con mis amigos", "esta mañana", "al salir"},
	},
	"gamers in English": {
		language: sentiment.English,
		says: map[sentiment.Label][]string{
			sentiment.Positive: {"is sick", "absolutely slaps", "is nasty good 🔥", "goes insanely hard", "killed it"},
			sentiment.Negative: {"is mid", "is cheeks", "got nerfed again 🧢", "is so washed", "fell off"},
			sentiment.Neutral:  {"drops the boss raid on friday", "shows the damage numbers", "has the death counter in the menu", "patch notes are up", "is on the perfect run list"},
		},
		about:  []string{"This controller", "The new skin", "That headset", "The update", "Their server"},
		around: []string{"imo", "since monday", "on my setup", "after the patch", "", "with the squad", "this morning", "tbh"},
	},
}

// corrections are n of what is said in a house, with the label that people give it.
func (h house) corrections(n int, from uint64) []learned.Correction {
	random := rand.New(rand.NewPCG(from, 1))
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	var all []learned.Correction
	for i := range n {
		label := sentiment.Labels()[random.IntN(3)]
		all = append(all, learned.Correction{
			Key: fmt.Appendf(nil, "mention %d/%d", from, i), Label: label,
			Text: strings.Join(strings.Fields(pick(h.about)+" "+pick(h.says[label])+" "+pick(h.around)), " "),
		})
	}
	return all
}

func try(t testing.TB, language string, corrections []learned.Correction, others []string) (*learned.Model, learned.Trial) {
	t.Helper()
	m, trial, err := learned.Try(context.Background(), newLexicon(t), language, corrections, others)
	if err != nil {
		t.Fatal(err)
	}
	if (m == nil) != (trial.Refused != "") {
		t.Errorf("a model: %v, refused for %q", m != nil, trial.Refused)
	}
	return m, trial
}

// judging is an engine that judges one post.
type judging interface {
	Of(post sentiment.Post) sentiment.Verdict
}

// right is how many of corrections are judged as people do.
func right(engine judging, language string, corrections []learned.Correction) (n int) {
	for _, c := range corrections {
		if engine.Of(sentiment.Post{Text: c.Text, Language: language}).Label == c.Label {
			n++
		}
	}
	return n
}

func TestItLearnsHowAHouseTalks(t *testing.T) {
	for name, h := range houses {
		t.Run(name, func(t *testing.T) {
			l := newLexicon(t)
			m, trial := try(t, h.language, h.corrections(300, 1), nil)
			if m == nil {
				t.Fatalf("it is not used: %+v", trial)
			}
			if trial.F1Model < 0.85 || trial.F1Lexicon > 0.7 || trial.P >= 0.05 || trial.HeldBack < 40 || trial.HeldBack > 80 {
				t.Errorf("the trial: %+v", trial)
			}
			engine := learned.New(l, map[string]*learned.Model{h.language: m})
			later := h.corrections(300, 2)
			if before, after := right(l, h.language, later), right(engine, h.language, later); after < 270 || before > 200 {
				t.Errorf("of 300 new posts it judges %d rightly, the lexicon %d", after, before)
			}
			// Nobody said anything of other posts: they are judged as before.
			for text, label := range map[string]sentiment.Label{
				"Muchas gracias, me encanta": sentiment.Positive, "What a terrible experience, I hate it": sentiment.Negative, "Abren a las nueve": sentiment.Neutral,
			} {
				if got := engine.Of(sentiment.Post{Text: text}).Label; got != label {
					t.Errorf("%q is now %s", text, got)
				}
			}
		})
	}
}

func TestWhatWasLearnedIsNamed(t *testing.T) {
	h, l := houses["gamers in English"], newLexicon(t)
	m, _ := try(t, h.language, h.corrections(300, 1), nil)
	engine := learned.New(l, map[string]*learned.Model{h.language: m})
	verdicts, err := engine.Judge(t.Context(), []sentiment.Post{
		{Text: "My new headset slaps", Language: "en-GB"}, {Text: "La tabla es genial", Language: "es"},
	})
	if err != nil {
		t.Fatal(err)
	}
	v := verdicts[0]
	if v.Engine != learned.Name || v.Label != sentiment.Positive || v.Language != sentiment.English || v.Polarity < 0.25 || v.Confidence <= 0.34 {
		t.Errorf("it says %+v", v)
	}
	named := slices.IndexFunc(v.Words, func(w sentiment.Word) bool { return w.Text == "slaps" })
	if named < 0 || v.Words[named].Weight <= 0 || !cmp.Equal(v.Words[named].Because, []string{"learned"}) {
		t.Errorf("the words are %+v", v.Words)
	}
	if diff := cmp.Diff(l.Of(sentiment.Post{Text: "La tabla es genial", Language: "es"}), verdicts[1]); diff != "" {
		t.Errorf("a language without a model is not the lexicon's alone (-lexicon +got):\n%s", diff)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := engine.Judge(ended, []sentiment.Post{{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("when the context has ended: %v", err)
	}
	if _, _, err := learned.Try(ended, l, h.language, h.corrections(300, 1), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a trial when the context has ended: %v", err)
	}
}

// TestNoiseIsNotLearned: people who press anything teach nothing. Of so many trials one in twenty may pass by chance, by the level of one test;
// by all conditions together it is fewer.
func TestNoiseIsNotLearned(t *testing.T) {
	h := houses["skaters in Spanish"]
	used := 0
	for from := range uint64(20) {
		corrections := h.corrections(250, 100+from)
		random := rand.New(rand.NewPCG(from, 2))
		for i := range corrections {
			corrections[i].Label = sentiment.Labels()[random.IntN(3)]
		}
		if m, trial := try(t, h.language, corrections, nil); m != nil {
			used++
			t.Logf("used: %+v", trial)
		}
	}
	if used > 1 {
		t.Errorf("%d of 20 models of noise are used", used)
	}
}

func TestWhatIsNotUsed(t *testing.T) {
	h := houses["skaters in Spanish"]
	all := h.corrections(600, 1)
	var positive []learned.Correction
	for _, c := range all {
		if c.Label == sentiment.Positive || len(positive)%15 == 0 {
			positive = append(positive, c)
		}
	}
	l := newLexicon(t)
	turned := slices.Clone(all) // the newer half agrees with the lexicon
	for i := len(turned) / 2; i < len(turned); i++ {
		turned[i].Label = l.Of(sentiment.Post{Text: turned[i].Text, Language: h.language}).Label
	}
	var plain []learned.Correction // what the lexicon knows
	for i := range 300 {
		texts := map[sentiment.Label]string{sentiment.Positive: "Me encanta, es genial", sentiment.Negative: "Qué asco, es horrible", sentiment.Neutral: "Abren a las nueve"}
		label := sentiment.Labels()[i%3]
		plain = append(plain, learned.Correction{Key: fmt.Append(nil, i), Text: texts[label], Label: label})
	}
	var others []string
	for range 100 {
		others = append(others, "La tabla salió rana", "Es puro humo")
	}
	for name, c := range map[string]struct {
		corrections []learned.Correction
		others      []string
		because     string
	}{
		"none":                                 {nil, nil, "0 corrections are too few"},
		"too few":                              {all[:199], nil, "199 corrections are too few"},
		"too few of a label":                   {positive[:200], nil, "corrections say"},
		"the lexicon is right":                 {plain, nil, "does not beat the lexicon"},
		"newer corrections say otherwise":      {turned, nil, "does not beat the lexicon"},
		"what nobody corrected is all changed": {all, others, "nobody corrected"},
	} {
		t.Run(name, func(t *testing.T) {
			m, trial := try(t, h.language, c.corrections, c.others)
			if m != nil || !strings.Contains(trial.Refused, c.because) {
				t.Errorf("got %+v, want it refused for %q", trial, c.because)
			}
		})
	}
}

func TestTheSameCorrectionsMakeTheSameModel(t *testing.T) {
	h := houses["gamers in English"]
	var blobs [2][]byte
	for i := range blobs {
		m, _ := try(t, h.language, h.corrections(400, 3), nil)
		blob, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		blobs[i] = blob
	}
	if !bytes.Equal(blobs[0], blobs[1]) {
		t.Error("two models of the same corrections differ")
	}
	if len(blobs[0]) != learned.Size || learned.Size > 256<<10 {
		t.Errorf("a model has %d bytes, want %d and no more than 256 KiB", len(blobs[0]), learned.Size)
	}
	for _, word := range []string{"slaps", "cheeks", "mid"} {
		if bytes.Contains(blobs[0], []byte(word)) {
			t.Errorf("the model holds the word %q", word)
		}
	}
}

// hostile are texts that people do not write.
var hostile = []string{
	"", "\xff\xfe", strings.Repeat("a", 1<<20), strings.Repeat("no ", 1<<16), strings.Repeat("🛹", 1<<16), strings.Repeat("x! ", 1<<16), "\x00\x01", "\u202egenial",
	strings.Repeat("#", 1000), "0 1 2 3", "not not not", "n\u0303\u0303", "<script>alert(1)</script>", ":) :( :)", strings.Repeat("é", 5) + "bcdé",
}

func TestHostileTextsAreLearnedFromAndJudged(t *testing.T) {
	h, l := houses["gamers in English"], newLexicon(t)
	corrections := h.corrections(300, 4)
	for i, text := range hostile {
		corrections = append(corrections, learned.Correction{Key: fmt.Append(nil, i), Text: text, Label: sentiment.Labels()[i%3]})
	}
	corrections = append(corrections, learned.Correction{Key: nil, Text: "x", Label: "no label at all"})
	m, trial := try(t, h.language, corrections, nil)
	if m == nil {
		t.Fatalf("it is not used: %+v", trial)
	}
	engine := learned.New(l, map[string]*learned.Model{h.language: m})
	for _, text := range hostile {
		checkVerdict(t, engine.Of(sentiment.Post{Text: text, Language: h.language}), text)
	}
}

func checkVerdict(t *testing.T, v sentiment.Verdict, text string) {
	t.Helper()
	name := text[:min(len(text), 20)]
	if !(v.Polarity >= -1 && v.Polarity <= 1) || !(v.Confidence >= 0 && v.Confidence <= 1) || v.Label != sentiment.LabelOf(v.Polarity) || len(v.Words) > 8 {
		t.Errorf("%q: %+v", name, v)
	}
	for _, w := range v.Words {
		if !utf8.ValidString(w.Text) || strings.ContainsFunc(w.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) || !(w.Weight > -1e3 && w.Weight < 1e3) {
			t.Errorf("%q: the word %q with the weight %v", name, w.Text, w.Weight)
		}
	}
}
