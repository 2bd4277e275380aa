package expr_test

import (
	"testing"
	"unicode"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// TestFoldedLetters holds the table of fold_case to Unicode's simple folding: letters that differ in case only become one, no two
// others do, and what has no case stays. A letter that got its case in a later Unicode than the table's stays as it is.
func TestFoldedLetters(t *testing.T) {
	var letters []string
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if unicode.SimpleFold(r) != r || unicode.IsLetter(r) && r%7 == 0 {
			letters = append(letters, string(r))
		}
	}
	rows, err := storetest.New(t).Pool.Query(t.Context(), "select fold_case(t) from unnest($1::text[]) with ordinality l (t, n) order by n", letters)
	if err != nil {
		t.Fatal(err)
	}
	folds, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	folded := map[string]string{}
	for i, letter := range letters {
		folded[letter] = folds[i]
	}
	changed, meaning := 0, map[string]rune{} // of a fold: the least letter of those that it stands for
	for letter, fold := range folded {
		r := []rune(letter)[0]
		least, known := r, fold != letter
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
			known = known || folded[string(other)] != string(other)
		}
		if !known {
			continue
		}
		if fold != letter {
			changed++
		}
		if next := folded[string(unicode.SimpleFold(r))]; next != fold {
			t.Errorf("%q becomes %q, and %q, which is the same letter, %q", letter, fold, unicode.SimpleFold(r), next)
		}
		if before, seen := meaning[fold]; seen && before != least {
			t.Errorf("%q stands for %q and %q", fold, before, least)
		}
		meaning[fold] = least
	}
	if changed < 1400 {
		t.Errorf("%d letters are folded, want 1,400 at least", changed)
	}
}
