package learned

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// said are n outcomes of one kind.
func said(n, people, lexicon, model int) []outcome {
	return slices.Repeat([]outcome{{people: people, lexicon: lexicon, model: model}}, n)
}

func TestMacroF1(t *testing.T) {
	// By hand: the model is right on 3 of 4 negative and 2 of 3 neutral ones, and says positive once, where it is neutral.
	outcomes := slices.Concat(said(3, 0, 1, 0), said(1, 0, 1, 1), said(2, 1, 1, 1), said(1, 1, 1, 2))
	if got, want := macroF1(outcomes, byModel), (2*3.0/(4+3)+2*2.0/(3+3)+0)/3; math.Abs(got-want) > 1e-12 {
		t.Errorf("macro-F1 %v, want %v", got, want)
	}
	if got, want := macroF1(outcomes, byLexicon), (2*3.0/(3+7))/3; math.Abs(got-want) > 1e-12 {
		t.Errorf("the lexicon's is %v, want %v", got, want)
	}
}

func TestMcNemar(t *testing.T) {
	for name, c := range map[string]struct {
		model, lexicon int // alone right
		want           float64
	}{
		"neither":     {0, 0, 1},
		"five to one": {5, 1, (6 + 1) / 64.0},
		"five to nil": {5, 0, 1 / 32.0},
		"even":        {3, 3, (20 + 15 + 6 + 1) / 64.0},
	} {
		t.Run(name, func(t *testing.T) {
			outcomes := slices.Concat(said(c.model, 2, 0, 2), said(c.lexicon, 2, 2, 0), said(10, 1, 1, 1), said(10, 1, 0, 0))
			if got := mcNemar(outcomes); math.Abs(got-c.want) > 1e-9 {
				t.Errorf("p %v, want %v", got, c.want)
			}
		})
	}
}

func TestBootstrap(t *testing.T) {
	for name, c := range map[string]struct {
		outcomes  []outcome
		low, high float64
	}{
		"nothing":     {nil, 1, 1},
		"much better": {slices.Concat(said(30, 0, 1, 0), said(30, 1, 1, 1), said(30, 2, 1, 2)), 0, 0.001},
		"the same":    {said(50, 0, 0, 0), 1, 1},
		"a hint":      {slices.Concat(said(20, 0, 0, 0), said(20, 1, 1, 1), said(2, 2, 1, 2), said(1, 2, 2, 1), said(20, 2, 2, 2)), 0.1, 0.5},
		"a bit worse": {slices.Concat(said(20, 0, 0, 0), said(20, 1, 1, 1), said(2, 2, 2, 1), said(20, 2, 2, 2)), 0.8, 1},
		"one alone":   {said(1, 0, 1, 0), 0, 0.001},
	} {
		t.Run(name, func(t *testing.T) {
			if p := bootstrap(c.outcomes); p < c.low || p > c.high {
				t.Errorf("p %v, want one from %v to %v", p, c.low, c.high)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	good := slices.Concat(said(30, 0, 1, 0), said(30, 1, 1, 1), said(30, 2, 1, 2))
	drifted := slices.Concat(good, said(45, 0, 0, 0), said(22, 2, 2, 2), said(23, 2, 2, 1))
	for name, c := range map[string]struct {
		trial    Trial
		outcomes []outcome
		want     string
	}{
		"good":            {Trial{F1Model: 0.7, F1Lexicon: 0.5, P: 0.01, Changed: 0.5}, good, ""},
		"no better":       {Trial{F1Model: 0.5, F1Lexicon: 0.5, P: 0.01}, good, "it does not beat the lexicon on what was held back"},
		"chance":          {Trial{F1Model: 0.7, F1Lexicon: 0.5, P: 0.05}, good, "its gain over the lexicon may be chance"},
		"no number":       {Trial{F1Model: 0.7, F1Lexicon: 0.5, P: math.NaN()}, good, "its gain over the lexicon may be chance"},
		"changes most":    {Trial{F1Model: 0.7, F1Lexicon: 0.5, P: 0.01, Changed: 0.51}, good, "it judges most posts that nobody corrected otherwise than the lexicon"},
		"drifted of late": {Trial{F1Model: 0.7, F1Lexicon: 0.5, P: 0.01}, drifted, "the lexicon is better on the newer half of what was held back"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refusal(&c.trial, c.outcomes); got != c.want {
				t.Errorf("refused for %q, want %q", got, c.want)
			}
		})
	}
}

func TestATextIsAlwaysInTheSamePart(t *testing.T) {
	var counts [folds]int
	for i := range 5000 {
		text := fmt.Sprint("said ", i)
		if foldOf(text) != foldOf(strings.Clone(text)) {
			t.Fatalf("%q is in two parts", text)
		}
		counts[foldOf(text)]++
	}
	for fold, n := range counts {
		if n < 850 || n > 1150 {
			t.Errorf("part %d has %d of 5000", fold, n)
		}
	}
}
