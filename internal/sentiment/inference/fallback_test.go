package inference_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
)

// failures keeps what the engine tells of its server.
type failures struct {
	mu   sync.Mutex
	said []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, err)
}

func (f *failures) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.said) == 0 {
		return ""
	}
	return f.said[len(f.said)-1].Error()
}

func TestTheFallBackJudgesWhereTheServerFails(t *testing.T) {
	forever := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		said   string
	}{
		"hangs": {forever, "deadline exceeded"},
		"begins an answer and hangs": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`[[{"label":`))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "deadline exceeded"},
		"drips": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
			}
		}, ""},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"500":      {says(500, "a stack trace"), "500"},
		"429":      {says(429, ""), "429"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/predict", http.StatusTemporaryRedirect)
		}, "307"},
		"no JSON":                        {says(200, "<html>"), "shape"},
		"nothing":                        {says(200, ""), "shape"},
		"another shape":                  {says(200, `{"label":"positive","score":1}`), "shape"},
		"one list":                       {says(200, `[{"label":"positive","score":1}]`), "shape"},
		"null":                           {says(200, `null`), "0 posts"},
		"too many":                       {says(200, `[[{"label":"positive","score":1}],[{"label":"positive","score":1}]]`), "2 posts"},
		"no labels":                      {says(200, `[[]]`), "0 labels"},
		"very many labels":               {says(200, `[[`+strings.TrimSuffix(strings.Repeat(`{"label":"positive","score":0.1},`, 1000), ",")+`]]`), "1000 labels"},
		"unknown label":                  {says(200, `[[{"label":"`+strings.Repeat("toxic", 1000)+`","score":1}]]`), "a label that is none of those known"},
		"a label that is the post":       {says(200, `[[{"label":"a wonderful shop","score":1}]]`), "a label that is none of those known"},
		"score of 7":                     {says(200, `[[{"label":"positive","score":7}]]`), "score"},
		"negative score":                 {says(200, `[[{"label":"positive","score":-1}]]`), "score"},
		"all zero":                       {says(200, `[[{"label":"positive","score":0}]]`), "score"},
		"a score too large for a number": {says(200, `[[{"label":"positive","score":1e999}]]`), "shape"},
		"huge":                           {says(200, "["+strings.Repeat(" ", 3<<20)+"]"), "longer than"},
		"deep":                           {says(200, strings.Repeat("[", 500_000)), "shape"},
	} {
		t.Run(name, func(t *testing.T) {
			var f failures
			e := newEngine(t, newServer(t, c.answer), func(o *inference.Options) {
				o.Failed = f.add
				switch name {
				case "hangs", "begins an answer and hangs", "drips": // without end
					o.Timeout = 200 * time.Millisecond
				}
			})
			verdicts, err := e.Judge(t.Context(), english("a wonderful shop"))
			if err != nil {
				t.Fatal(err)
			}
			if v := verdicts[0]; v.Engine != sentiment.LexiconName || v.Label != sentiment.Positive {
				t.Errorf("%s says %s, want the lexicon to say positive", v.Engine, v.Label)
			}
			if said := f.last(); !strings.Contains(said, c.said) || said == "" || len(said) > 300 || strings.Contains(said, "wonderful") {
				t.Errorf("it tells of the failure: %q, want something about %q, short, and without the post", said, c.said)
			}
		})
	}
}

func TestAServerThatFailsIsLeftAloneAndTriedAgain(t *testing.T) {
	g := gomega.NewWithT(t)
	s := newServer(t, says(http.StatusInternalServerError, ""))
	var f failures
	e := newEngine(t, s, func(o *inference.Options) { o.Failures, o.Rest, o.Failed = 3, time.Hour, f.add })
	judge := func() string {
		verdicts, err := e.Judge(t.Context(), english("a good shop"))
		g.Expect(err).NotTo(gomega.HaveOccurred())
		return verdicts[0].Engine
	}
	for range 20 {
		g.Expect(judge()).To(gomega.Equal(sentiment.LexiconName))
	}
	g.Expect(s.asked.Load()).To(gomega.BeEquivalentTo(3), "the server was asked although it failed")
	g.Expect(f.last()).To(gomega.Equal(inference.ErrResting.Error()))

	e = newEngine(t, s, func(o *inference.Options) { o.Failures, o.Rest = 3, 300*time.Millisecond })
	for range 3 {
		g.Expect(judge()).To(gomega.Equal(sentiment.LexiconName))
	}
	s.become(judges(t))
	g.Eventually(judge, "20s", "50ms").Should(gomega.Equal(inference.Name))
	g.Expect(judge()).To(gomega.Equal(inference.Name))
}

// TestAServerThatHangsIsLeftAloneAlthoughNobodyWaits: the time for a batch ends before that for a request, each time.
func TestAServerThatHangsIsLeftAloneAlthoughNobodyWaits(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	var f failures
	var mu sync.Mutex
	outcomes, fallback, resting := map[inference.Outcome]int{}, 0, false
	e := newEngine(t, s, func(o *inference.Options) {
		o.Failures, o.Timeout, o.Patience, o.Rest, o.Batch, o.Parallel, o.Failed = 2, time.Minute, 2*time.Second, time.Hour, 1, 1, f.add
		o.Asked = func(outcome inference.Outcome, n int) {
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
			fallback += n
		}
		o.Resting = func(is bool) { resting = is }
	})
	for range 3 {
		verdicts, err := e.Judge(t.Context(), english("a good shop", "a bad shop"))
		if err != nil || verdicts[0].Engine != sentiment.LexiconName || verdicts[0].Label != sentiment.Positive || verdicts[1].Label != sentiment.Negative {
			t.Fatalf("%+v %v, want the lexicon's verdicts", verdicts, err)
		}
	}
	if asked := s.asked.Load(); asked != 2 || f.last() != inference.ErrResting.Error() || !resting {
		t.Errorf("the server was asked %d times, the last failure is %q, resting: %v", asked, f.last(), resting)
	}
	want := map[inference.Outcome]int{inference.Failed: 2, inference.Late: 2, inference.Rested: 2}
	if diff := cmp.Diff(want, outcomes); diff != "" || fallback != 6 {
		t.Errorf("%d posts fell back, outcomes (-want +got):\n%s", fallback, diff)
	}
}

// TestWhatWasAnsweredInTimeStands: a server that is slow judges as much as it can.
func TestWhatWasAnsweredInTimeStands(t *testing.T) {
	t.Parallel()
	var slow sync.Once
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		answered := false
		slow.Do(func() {
			judges(t)(w, r)
			answered = true
		})
		if !answered {
			<-r.Context().Done()
		}
	})
	e := newEngine(t, s, func(o *inference.Options) {
		o.Timeout, o.Patience, o.Batch, o.Parallel = time.Minute, 10*time.Second, 1, 1 // of which the second post takes all that is left
	})
	verdicts, err := e.Judge(t.Context(), english("a good shop", "a good shop"))
	if err != nil || verdicts[0].Engine != inference.Name || verdicts[1].Engine != sentiment.LexiconName {
		t.Errorf("%+v %v, want the server's verdict on the first and the lexicon's on the second", verdicts, err)
	}
}

func TestACallerWhoLeavesDoesNotOpenTheCircuit(t *testing.T) {
	arrived := make(chan struct{}, 10)
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	e := newEngine(t, s, func(o *inference.Options) { o.Failures, o.Timeout = 1, time.Minute })
	for range 3 {
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := e.Judge(ctx, english("a good shop"))
			done <- err
		}()
		<-arrived
		leave()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("it ends with %v, want the end of the context", err)
		}
	}
	s.become(judges(t))
	verdicts, err := e.Judge(t.Context(), english("a good shop"))
	if err != nil || verdicts[0].Engine != inference.Name {
		t.Errorf("%v %v, want the server's verdict", verdicts, err)
	}
}

// brokenEngine judges nothing, or one post less than it should.
type brokenEngine struct{ err error }

func (b brokenEngine) Judge(_ context.Context, posts []sentiment.Post) ([]sentiment.Verdict, error) {
	return make([]sentiment.Verdict, len(posts)-1), b.err
}

func TestAFallBackThatFailsIsAnError(t *testing.T) {
	for name, broken := range map[string]brokenEngine{"fails": {errors.New("no words")}, "leaves one out": {}} {
		e := newEngine(t, newServer(t, says(500, "")), func(o *inference.Options) { o.Fallback = broken })
		if verdicts, err := e.Judge(t.Context(), english("one", "two")); err == nil || verdicts != nil {
			t.Errorf("%s: %v %v, want an error and no verdicts", name, verdicts, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := inference.Options{URL: "http://inference.example:8080", Protocol: inference.Predict, Fallback: brokenEngine{}}
	if _, err := inference.New(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*inference.Options)
		says   string
	}{
		"no URL":         {func(o *inference.Options) { o.URL = "" }, "URL"},
		"a file":         {func(o *inference.Options) { o.URL = "file:///etc/passwd" }, "URL"},
		"a password":     {func(o *inference.Options) { o.URL = "http://u:p@inference.example" }, "URL"},
		"a query":        {func(o *inference.Options) { o.URL += "/?a=b" }, "URL"},
		"no protocol":    {func(o *inference.Options) { o.Protocol = "" }, "Protocol"},
		"no fall-back":   {func(o *inference.Options) { o.Fallback = nil }, "Fallback"},
		"chat, no model": {func(o *inference.Options) { o.Protocol = inference.Chat }, "Model"},
		"label of 2":     {func(o *inference.Options) { o.Labels = map[string]float64{"a": 2} }, "Labels"},
		"no labels":      {func(o *inference.Options) { o.Labels = map[string]float64{} }, "Labels"},
		"negative batch": {func(o *inference.Options) { o.Batch = -1 }, "negative"},
		"negative time":  {func(o *inference.Options) { o.Timeout = -1 }, "negative"},
	} {
		o := good
		c.change(&o)
		if _, err := inference.New(o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error about %s", name, err, c.says)
		}
	}
}
