package learned

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// TestWhatIsHeldBackIsNotLearnedFrom: whatever is said of it, the model is the same.
func TestWhatIsHeldBackIsNotLearnedFrom(t *testing.T) {
	lexicon, err := sentiment.NewLexicon()
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{"La tabla salió rana", "Hoy llega el lunes", "El eje va que mata"}
	var whole []Correction
	for i := range 300 {
		c := Correction{Key: fmt.Append(nil, i), Text: fmt.Sprintf("%s, dice %c%c", texts[i%3], 'a'+i%26, 'a'+i/26), Label: sentiment.Labels()[i%3]}
		whole = append(whole, c)
	}
	training, held := divide(lexicon, sentiment.Spanish, whole)
	used, trial, err := Try(t.Context(), lexicon, sentiment.Spanish, whole, nil)
	if err != nil || used == nil || trial.HeldBack != len(held) || len(held) != len(whole)-len(training) || trial.HeldBack < 30 {
		t.Fatalf("%+v, %v", trial, err)
	}
	without, err := Train(t.Context(), lexicon, sentiment.Spanish, training)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := used.MarshalBinary()
	b, _ := without.MarshalBinary()
	if !bytes.Equal(a, b) {
		t.Error("what is held back changes the model")
	}
}

// TestWhoSaysTheSameIsOnOneSide: copies, with other links, accounts, numbers and capitals, are no proof of what was learned of them.
func TestWhoSaysTheSameIsOnOneSide(t *testing.T) {
	lexicon, err := sentiment.NewLexicon()
	if err != nil {
		t.Fatal(err)
	}
	var all []Correction
	for i := range 400 {
		text := fmt.Sprintf("@ana%d La frase %c%c dice esto %d https://a.example/%d", i, 'a'+i%40%20, 'a'+i%40/20, i, i)
		if i%2 == 0 {
			text = strings.ToUpper(text[:len(text)/2]) + text[len(text)/2:]
		}
		all = append(all, Correction{Key: fmt.Append(nil, i), Text: text, Label: sentiment.Labels()[(i%40*7+i%40/5)%3]})
	}
	training, held := divide(lexicon, sentiment.Spanish, all)
	sides := map[string]int{}
	for i, side := range [][]Correction{training, held} {
		for _, c := range side {
			sides[sameText(lexicon, sentiment.Spanish, c)] |= 1 << i
		}
	}
	for text, side := range sides {
		if side == 3 {
			t.Errorf("%q is on both sides", text)
		}
	}
	if len(sides) != 40 || len(held) == 0 || len(held) > 20 || len(training) < 200 {
		t.Errorf("%d texts, %d held back, %d to learn from", len(sides), len(held), len(training))
	}
	// What the labels are, only who learns it by heart knows.
	if used, trial, err := Try(t.Context(), lexicon, sentiment.Spanish, all, nil); err != nil || used != nil {
		t.Errorf("what was learned by heart is used: %+v, %v", trial, err)
	}
}
