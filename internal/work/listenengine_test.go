package work_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// TestPostsAreJudgedByTheTenantsServer: by the one that it names, with the token of the moment, and by words and rules where that fails.
func TestPostsAreJudgedByTheTenantsServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Inputs []json.RawMessage }
		if r.Header.Get("Authorization") != "Bearer second" || json.NewDecoder(r.Body).Decode(&body) != nil {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		answers := make([][]map[string]any, len(body.Inputs))
		for i := range answers {
			answers[i] = []map[string]any{{"label": "negative", "score": 0.9}, {"label": "positive", "score": 0.1}}
		}
		_ = json.NewEncoder(w).Encode(answers)
	}))
	t.Cleanup(server.Close)
	h, s := newHouse(t, 0), newSquare(t)
	token := func(text string) {
		t.Helper()
		tenant := credentials.Tenant{ID: tenantID, DatabaseURL: h.runtime, SentimentToken: text}
		if err := credentials.Write(h.tenants, tenant); err != nil {
			t.Fatal(err)
		}
	}
	judgedBy := func(engine string) {
		t.Helper()
		h.eventually("a new post should be judged by "+engine, func() bool {
			s.says("Me encanta, es una maravilla")
			var by string
			err := h.db.Pool.QueryRow(t.Context(), "select coalesce((select engine from mention order by id desc limit 1), '')").Scan(&by)
			return err == nil && by == engine
		})
	}
	token("first")
	h.listens(s, nil)
	o := h.options()
	o.Metrics = work.NewMetrics()
	h.worker(o)
	judgedBy(sentiment.LexiconName)
	if _, asked := gathered(t, o.Metrics)["tertulia_sentiment_requests_total answered "+tenantID]; asked {
		t.Error("a server that nobody named was asked")
	}
	h.exec("update tenant set sentiment = $1", &store.SentimentServer{Protocol: "Predict", URL: server.URL})
	token("second") // the first one never held
	judgedBy(inference.Name)
	token("third") // which does not hold either
	h.eventually("failures should be told, and that the server is left alone", func() bool {
		s.says("Me encanta, es una maravilla")
		told := gathered(t, o.Metrics)
		return told["tertulia_sentiment_requests_total answered "+tenantID] > 0 && told["tertulia_sentiment_requests_total failed "+tenantID] >= 5 &&
			told["tertulia_sentiment_fallback_posts_total "+tenantID] >= 5 && told["tertulia_sentiment_server_resting "+tenantID] == 1
	})
	h.exec("update tenant set sentiment = null")
	judgedBy(sentiment.LexiconName)
}
