package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestSentimentEngines(t *testing.T) {
	s := newShop(t)
	run := func(args ...string) string {
		t.Helper()
		out, _, err := s.run(append([]string{"sentiment", "engines", "--kubeconfig", s.kubeconfig}, args...)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	for _, m := range []store.SentimentModel{
		{Language: "es", Model: []byte("weights"), LastCorrection: 9, Trial: learned.Trial{Corrections: 400, HeldBack: 71, F1Model: 0.75, F1Lexicon: 0.5, P: 0.01}},
		{Language: "pt", LastCorrection: 9, Trial: learned.Trial{Corrections: 250, P: 1, Refused: "3 corrections say neutral"}},
	} {
		if err := s.db.SaveSentimentModel(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	var rows []string
	for line := range strings.Lines(run()) {
		cells := strings.Fields(line)
		if len(cells) > 5 && cells[3] != "TRIED" && cells[3] != "-" {
			cells = append(cells[:3], cells[5:]...) // without the time
		}
		rows = append(rows, strings.Join(cells, " "))
	}
	want := []string{
		"LANGUAGE ENGINE ELSE TRIED CORRECTIONS HELD BACK LEARNED LEXICON USED", "es learned - 400 71 75.0 50.0 yes", "en lexicon - - - - - - -",
		"pt lexicon - 250 - - - no: 3 corrections say neutral",
	}
	if got := strings.Join(rows, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("it prints\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if _, err := s.db.Pool.Exec(context.Background(), `update tenant set sentiment = '{"protocol": "Chat", "url": "https://inference.example", "model": "small"}'`); err != nil {
		t.Fatal(err)
	}
	if out := run(); !strings.Contains(out, "A server is asked first: Chat small") || !strings.Contains(out, "es        http    learned") {
		t.Errorf("with a server it prints\n%s", out)
	}
	var found sentimentInfo
	if err := json.Unmarshal([]byte(run("--output", "json")), &found); err != nil || len(found.Languages) != 3 || found.Languages[0].Trial.F1Model != 0.75 ||
		found.Server == nil {
		t.Errorf("as JSON: %+v, %v", found, err)
	}
}
