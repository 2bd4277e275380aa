package inference_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
)

func TestPredictJudgesInBatchesAndKeepsTheOrder(t *testing.T) {
	s := newServer(t, judges(t))
	e := newEngine(t, s, func(o *inference.Options) { o.Batch = 3 })
	var posts []sentiment.Post
	var want []sentiment.Label
	for i := range 10 {
		text, label := fmt.Sprintf("post %d is good", i), sentiment.Positive
		if i%3 == 0 {
			text, label = fmt.Sprintf("post %d", i), sentiment.Negative
		}
		posts, want = append(posts, sentiment.Post{Text: text, Language: "en"}), append(want, label)
	}
	verdicts, err := e.Judge(t.Context(), posts)
	if err != nil {
		t.Fatal(err)
	}
	var got []sentiment.Label
	for _, v := range verdicts {
		got = append(got, v.Label)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if asked := s.asked.Load(); asked != 4 {
		t.Errorf("the server was asked %d times for 10 posts in batches of 3, want 4", asked)
	}
	wantFirst := sentiment.Verdict{Label: sentiment.Negative, Polarity: -0.88, Confidence: 0.9, Language: "en", Engine: inference.Name}
	if diff := cmp.Diff(wantFirst, verdicts[0], cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("first verdict (-want +got):\n%s", diff)
	}
}

func TestPredictReadsTheLabelsOfUsualModels(t *testing.T) {
	for name, c := range map[string]struct {
		scores string
		want   float64
	}{
		"names in capitals": {`[{"label":"POS","score":0.5},{"label":"NEU","score":0.25},{"label":"NEG","score":0.25}]`, 0.25},
		"numbers":           {`[{"label":"LABEL_0","score":1},{"label":"LABEL_2","score":0}]`, -1},
		"stars":             {`[{"label":"5 stars","score":0.5},{"label":"4 stars","score":0.5}]`, 0.75},
		"the best only":     {`[{"label":"negative","score":0.7}]`, -1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, newServer(t, says(http.StatusOK, "["+c.scores+"]")), nil)
			verdicts, err := e.Judge(t.Context(), english("a post"))
			if err != nil {
				t.Fatal(err)
			}
			if v := verdicts[0]; v.Engine != inference.Name || v.Polarity != c.want {
				t.Errorf("%s says %v, want %s to say %v", v.Engine, v.Polarity, inference.Name, c.want)
			}
		})
	}
}

func TestWhatIsSentIsBoundedAndValid(t *testing.T) {
	var mu sync.Mutex
	var sent []string
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		var question struct{ Inputs [][]string }
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
			t.Errorf("the question is no JSON: %v", err)
		}
		mu.Lock()
		for _, input := range question.Inputs {
			sent = append(sent, input[0])
		}
		mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer secret" || !strings.HasPrefix(r.Header.Get("User-Agent"), "tertulia") {
			t.Errorf("headers: %v", r.Header)
		}
		judgesAll(w, len(question.Inputs))
	})
	e := newEngine(t, s, func(o *inference.Options) { o.MaxText, o.Token = 100, "secret" })
	verdicts, err := e.Judge(t.Context(), english(strings.Repeat("ñ", 1000), "x"+strings.Repeat("😍", 1000), "bad \xff byte", "", " \n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range sent {
		if len(text) > 100 || strings.TrimSpace(text) == "" || !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
			t.Errorf("post %d was sent as %q", i, text)
		}
	}
	if !verdicts[0].Cut || !verdicts[1].Cut || verdicts[2].Cut {
		t.Errorf("cut: %v %v %v, want the two long ones", verdicts[0].Cut, verdicts[1].Cut, verdicts[2].Cut)
	}
	if want := strings.Repeat("ñ", 50); len(sent) != 5 || sent[0] != want {
		t.Errorf("sent %q", sent)
	}
}

func judgesAll(w http.ResponseWriter, n int) {
	_, _ = w.Write([]byte("[" + strings.TrimSuffix(strings.Repeat(`[{"label":"neutral","score":1}],`, n), ",") + "]"))
}
