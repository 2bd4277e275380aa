package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type sentimentOutput struct {
	Body struct {
		Server    *sentimentServerBody    `json:"server,omitempty" doc:"The server that is asked first. Absent: none is named, and nobody outside of here reads the posts."`
		Languages []sentimentLanguageBody `json:"languages" doc:"Those with words of their own, and those in which something was learned from corrections. In all others emoji alone decide, or the server."`
	}
}

type sentimentServerBody struct {
	Protocol string `json:"protocol" enum:"Predict,Chat" doc:"How it is spoken to."`
	Model    string `json:"model,omitempty" doc:"The model that it is asked for; with Chat alone."`
}

type sentimentLanguageBody struct {
	Language string              `json:"language" doc:"Its code, such as es."`
	Engine   string              `json:"engine" enum:"http,learned,lexicon" doc:"What judges posts in it now: http is the server, learned what was learned from corrections, lexicon words and rules."`
	Fallback string              `json:"fallback,omitempty" enum:"learned,lexicon" doc:"What judges what the server does not. Absent where none is named."`
	Trial    *sentimentTrialBody `json:"trial,omitempty" doc:"The last time that it was learned from corrections. Absent: there were never enough of them."`
}

type sentimentTrialBody struct {
	At          time.Time `json:"at" doc:"When."`
	Corrections int       `json:"corrections" doc:"How many corrections there were."`
	HeldBack    int       `json:"held_back" doc:"On how many texts the two were compared. Nothing was learned from these."`
	F1Model     float64   `json:"f1_model" doc:"Macro-F1 on them, from 0 to 1, of what was learned; 0 where nothing was tried."`
	F1Lexicon   float64   `json:"f1_lexicon" doc:"That of words and rules."`
	Chance      float64   `json:"chance" doc:"How likely the gain is chance, by the worse of two tests."`
	Used        bool      `json:"used" doc:"Whether what was learned judges posts."`
	Refused     string    `json:"refused,omitempty" doc:"Why it does not."`
}

func (s *Server) registerSentiment(api huma.API) {
	register(api, huma.Operation{
		OperationID: "get-sentiment", Method: http.MethodGet, Path: "/v1/sentiment", Tags: []string{"Listening"},
		Summary: "Tell what judges how posts speak, and what learning from corrections came to",
		Description: "In each language: which engine judges posts, and how the last trial of what was learned from people's corrections went. A model is " +
			"used only while it beats words and rules on corrections that were held back.",
		Security: requires(scopeMonitorsRead),
	}, getSentiment)
}

func getSentiment(ctx context.Context, _ *struct{}) (*sentimentOutput, error) {
	db := tenantOf(ctx).db
	server, err := db.LoadSentimentServer(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	trials, err := db.SentimentModels(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &sentimentOutput{}
	if server != nil {
		out.Body.Server = &sentimentServerBody{Protocol: server.Protocol, Model: server.Model}
	}
	out.Body.Languages = describeLanguages(trials, server != nil)
	return out, nil
}

// describeLanguages tells of the languages with words first, then of the others in which there was a trial.
func describeLanguages(trials []store.SentimentModel, asked bool) []sentimentLanguageBody {
	of := map[string]*store.SentimentModel{}
	languages := []string{sentiment.Spanish, sentiment.English}
	for i := range trials {
		t := &trials[i]
		if of[t.Language] = t; t.Language != sentiment.Spanish && t.Language != sentiment.English {
			languages = append(languages, t.Language)
		}
	}
	bodies := make([]sentimentLanguageBody, len(languages))
	for i, language := range languages {
		b := sentimentLanguageBody{Language: language, Engine: sentiment.LexiconName}
		if t := of[language]; t != nil {
			used := t.Refused == ""
			if used {
				b.Engine = learned.Name
			}
			b.Trial = &sentimentTrialBody{
				At: t.TrainedAt, Corrections: t.Corrections, HeldBack: t.HeldBack, F1Model: t.F1Model, F1Lexicon: t.F1Lexicon, Chance: t.P,
				Used: used, Refused: t.Refused,
			}
		}
		if asked {
			b.Engine, b.Fallback = inference.Name, b.Engine
		}
		bodies[i] = b
	}
	return bodies
}
