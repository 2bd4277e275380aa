package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestSentimentIsTold(t *testing.T) {
	l := newListening(t)
	type trial struct {
		Corrections int
		HeldBack    int     `json:"held_back"`
		F1Model     float64 `json:"f1_model"`
		F1Lexicon   float64 `json:"f1_lexicon"`
		Chance      float64
		Used        bool
		Refused     string
	}
	type language struct {
		Language, Engine, Fallback string
		Trial                      *trial
	}
	type told struct {
		Server    *struct{ Protocol, Model, URL string }
		Languages []language
	}
	ask := func(want told) {
		t.Helper()
		var got told
		l.get("/v1/sentiment", &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	ask(told{Languages: []language{{"es", "lexicon", "", nil}, {"en", "lexicon", "", nil}}})

	ctx := context.Background()
	for _, m := range []store.SentimentModel{
		{Language: "es", Model: []byte("weights"), LastCorrection: 9, Trial: learned.Trial{Corrections: 400, HeldBack: 71, F1Model: 0.75, F1Lexicon: 0.5, P: 0.01}},
		{Language: "en", LastCorrection: 9, Trial: learned.Trial{Corrections: 210, HeldBack: 40, F1Model: 0.5, F1Lexicon: 0.6, P: 0.9, Refused: "it does not beat the lexicon"}},
		{Language: "pt", LastCorrection: 9, Trial: learned.Trial{Corrections: 250, P: 1, Refused: "3 corrections say neutral"}},
	} {
		if err := l.db.SaveSentimentModel(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	es, en, pt := &trial{400, 71, 0.75, 0.5, 0.01, true, ""}, &trial{210, 40, 0.5, 0.6, 0.9, false, "it does not beat the lexicon"}, &trial{250, 0, 0, 0, 1, false, "3 corrections say neutral"}
	ask(told{Languages: []language{{"es", "learned", "", es}, {"en", "lexicon", "", en}, {"pt", "lexicon", "", pt}}})

	if _, err := l.db.Pool.Exec(ctx, `update tenant set sentiment = '{"protocol": "Chat", "url": "https://inference.example/secret", "model": "small"}'`); err != nil {
		t.Fatal(err)
	}
	ask(told{
		Server:    &struct{ Protocol, Model, URL string }{Protocol: "Chat", Model: "small"},
		Languages: []language{{"es", "http", "learned", es}, {"en", "http", "lexicon", en}, {"pt", "http", "lexicon", pt}},
	})
	if answer := l.request(http.MethodGet, "/v1/sentiment", ""); strings.Contains(answer.body, "inference.example") {
		t.Errorf("it tells where the server is: %s", answer.body)
	}
}
