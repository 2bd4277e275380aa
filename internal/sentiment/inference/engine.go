// Package inference asks a server that runs a model how posts speak. It implements sentiment.Engine over HTTP, for two
// protocols: the /predict of text-embeddings-inference, and chat completions with a JSON schema, as OpenAI defined them and
// many servers speak them. The server is hostile, as all that is outside: what it says is bounded in size and time and
// checked, and where it fails, another engine judges.
package inference

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/errgroup"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// Name is how verdicts name this engine. Those of posts that the fall-back judged bear its name.
const Name = "http"

// A Protocol is how a server is spoken to.
type Protocol string

// The protocols.
const (
	// Predict is POST /predict of text-embeddings-inference, for models that classify a text.
	Predict Protocol = "Predict"
	// Chat is POST /v1/chat/completions with response_format json_schema.
	Chat Protocol = "Chat"
)

// Options say which server is asked, and how patiently. URL, Protocol and Fallback are required; Chat needs a Model.
type Options struct {
	URL      string // where the protocol's path begins, such as http://inference.example:8080
	Protocol Protocol
	Model    string // for Chat
	Token    string // sent as a bearer; "" sends none

	// Fallback judges what the server did not.
	Fallback sentiment.Engine
	// Identify finds the language of posts without a tag; nil leaves it unknown.
	Identify func(text string) string
	// Labels are the polarities of the labels that a model behind Predict gives. Default: UsualLabels.
	Labels map[string]float64

	// Batch is how many posts go into one request. Default: 32 for Predict; 1 for Chat, where a post could talk the model into
	// judging its neighbours wrongly.
	Batch int
	// Parallel is how many requests are under way at a time. Default: 4.
	Parallel int
	// Timeout of one request, to the last byte of its answer. Default: 5 s for Predict, 30 s for Chat, and half of Patience at most.
	Timeout time.Duration
	// Patience is how long all requests of one call may take together; 0 is without end. What the server has not answered by then is judged
	// by the fall-back, and a request that is under way has failed: a server that hangs must not go unnoticed because nobody waits for it.
	Patience time.Duration
	// MaxText is how many bytes of a post are sent. Default: 4,000.
	MaxText int
	// MaxAnswer is how many bytes of an answer are read. Default: 1 MiB.
	MaxAnswer int64
	// Failures is how many requests fail one after the other until the server is left alone. Default: 5.
	Failures int
	// Rest is for how long it is left alone before one request tries again. Default: 30 s.
	Rest time.Duration

	// Transport makes the connections. Default: http.DefaultTransport. Redirects are never followed.
	Transport http.RoundTripper
	// Failed is told why a request failed, never with a post's text; nil tells nobody. It may be called from several goroutines.
	Failed func(error)
	// Asked is told what became of each batch that was to be asked about, and how many posts the fall-back judged of it. As Failed.
	Asked func(outcome Outcome, fallback int)
	// Resting is told when the server begins to be left alone (true), and when it has answered again. As Failed.
	Resting func(bool)
}

// Outcome is what became of a request.
type Outcome string

// The outcomes.
const (
	Answered Outcome = "answered"
	Failed   Outcome = "failed"
	Rested   Outcome = "resting" // it was not made, because those before it failed
	Late     Outcome = "late"    // it was not made, because those before it took all the time
)

// Outcomes are all there are.
func Outcomes() []Outcome { return []Outcome{Answered, Failed, Rested, Late} }

// ErrResting is what Failed is told of requests that were not made, because those before them failed.
var ErrResting = errors.New("the server failed lately and is left alone for a while")

// ErrLate is what Failed is told of requests that were not made, because those before them took all the time.
var ErrLate = errors.New("the server takes too long: not all posts were put to it")

// Engine judges by a server, and by its fall-back. It is safe to use from several goroutines.
type Engine struct {
	options  Options
	endpoint string
	client   *http.Client
	breaker  *gobreaker.CircuitBreaker[[]opinion]
}

var _ sentiment.Engine = (*Engine)(nil)

// An opinion is what a server says of one post. One that is not known was not usable.
type opinion struct {
	polarity, confidence float64
	known                bool
}

// New checks the options. An error names the one that is wrong.
func New(o Options) (*Engine, error) {
	base, err := url.Parse(o.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("the option URL must be the address of a server, such as http://inference.example:8080, without user, query and fragment")
	}
	path, err := o.complete()
	if err != nil {
		return nil, err
	}
	return &Engine{
		options: o, endpoint: base.JoinPath(path).String(),
		client: &http.Client{
			Transport:     o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		breaker: gobreaker.NewCircuitBreaker[[]opinion](gobreaker.Settings{
			Timeout:     o.Rest,
			ReadyToTrip: func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= o.Failures },
			IsExcluded:  func(err error) bool { return errors.Is(err, errCallerLeft) },
			OnStateChange: func(_ string, _, to gobreaker.State) {
				// One that is tried again has not answered yet.
				if o.Resting != nil && to != gobreaker.StateHalfOpen {
					o.Resting(to == gobreaker.StateOpen)
				}
			},
		}),
	}, nil
}

// complete sets what was left out, checks the rest, and returns the path of the protocol.
func (o *Options) complete() (path string, err error) {
	if o.Fallback == nil {
		return "", errors.New("the option Fallback is required: something must judge while the server does not")
	}
	switch o.Protocol {
	case Predict:
		path = "predict"
		setDefault(&o.Batch, 32)
		setDefault(&o.Timeout, o.within(5*time.Second))
		if o.Labels == nil {
			o.Labels = UsualLabels()
		}
		if o.Labels, err = checkLabels(o.Labels); err != nil {
			return "", err
		}
	case Chat:
		path = "v1/chat/completions"
		setDefault(&o.Batch, 1)
		setDefault(&o.Timeout, o.within(30*time.Second))
		if o.Model == "" {
			return "", errors.New("the option Model is required with Chat")
		}
	default:
		return "", fmt.Errorf("the option Protocol must be %q or %q", Predict, Chat)
	}
	setDefault(&o.Parallel, 4)
	setDefault(&o.MaxText, 4000)
	setDefault(&o.MaxAnswer, 1<<20)
	setDefault(&o.Failures, 5)
	setDefault(&o.Rest, 30*time.Second)
	if min(o.Batch, o.Parallel, o.MaxText, o.Failures) < 0 || min(o.Timeout, o.Rest, o.Patience) < 0 || o.MaxAnswer < 0 {
		return "", errors.New("no number and no time of the options may be negative")
	}
	return path, nil
}

// within is how long a request may take by default: so that one that hangs leaves time for another.
func (o *Options) within(usual time.Duration) time.Duration {
	if o.Patience > 0 {
		return min(usual, o.Patience/2)
	}
	return usual
}

func setDefault[T int | int64 | time.Duration](value *T, standard T) {
	if *value == 0 {
		*value = standard
	}
}

// Judge asks the server in batches, and the fall-back for what the server did not answer. It fails only where the context
// ends or the fall-back fails.
func (e *Engine) Judge(ctx context.Context, posts []sentiment.Post) ([]sentiment.Verdict, error) {
	verdicts := make([]sentiment.Verdict, len(posts))
	asking := ctx
	if e.options.Patience > 0 {
		limited, cancel := context.WithTimeout(ctx, e.options.Patience)
		defer cancel()
		asking = limited
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(e.options.Parallel)
	for from := 0; from < len(posts); from += e.options.Batch {
		to := min(from+e.options.Batch, len(posts))
		group.Go(func() error { return e.judgeBatch(ctx, asking, posts[from:to], verdicts[from:to]) })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("judge posts: %w", err)
	}
	return verdicts, nil
}

// errCallerLeft is the end of the caller's context, which says nothing about the server.
var errCallerLeft = errors.New("nobody waits for the answer any more")

// judgeBatch fills the verdicts on one batch. The server is asked until asking ends.
func (e *Engine) judgeBatch(ctx, asking context.Context, posts []sentiment.Post, verdicts []sentiment.Verdict) error {
	opinions, err := e.opinions(ctx, asking, posts)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		opinions = make([]opinion, len(posts))
	}
	var left []sentiment.Post
	var at []int
	for i, o := range opinions {
		if o.known {
			verdicts[i] = e.verdict(posts[i], o)
			continue
		}
		left, at = append(left, posts[i]), append(at, i)
	}
	e.tell(err, len(left))
	if len(left) == 0 {
		return nil
	}
	others, err := e.options.Fallback.Judge(ctx, left)
	if err != nil {
		return fmt.Errorf("fall back: %w", err)
	}
	if len(others) != len(left) {
		return fmt.Errorf("fall back: %d verdicts on %d posts", len(others), len(left))
	}
	for i, v := range others {
		verdicts[at[i]] = v
	}
	return nil
}

// opinions asks the server, unless it is left alone or there is no time left to ask it.
func (e *Engine) opinions(ctx, asking context.Context, posts []sentiment.Post) ([]opinion, error) {
	if asking.Err() != nil {
		return nil, ErrLate
	}
	opinions, err := e.breaker.Execute(func() ([]opinion, error) {
		opinions, err := e.ask(asking, posts)
		if err != nil && ctx.Err() != nil {
			return nil, errors.Join(errCallerLeft, ctx.Err())
		}
		return opinions, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = ErrResting
	}
	return opinions, err
}

// tell tells what became of a request.
func (e *Engine) tell(err error, fallback int) {
	outcome := Failed
	switch {
	case err == nil:
		outcome = Answered
	case errors.Is(err, ErrResting):
		outcome = Rested
	case errors.Is(err, ErrLate):
		outcome = Late
	}
	if e.options.Asked != nil {
		e.options.Asked(outcome, fallback)
	}
	if err != nil && e.options.Failed != nil {
		e.options.Failed(err)
	}
}

// verdict is what a server's opinion means. The label follows from the polarity, as everywhere.
func (e *Engine) verdict(post sentiment.Post, o opinion) sentiment.Verdict {
	language := sentiment.LanguageOf(post.Language)
	if language == sentiment.Unknown && e.options.Identify != nil {
		language = e.options.Identify(post.Text)
	}
	return sentiment.Verdict{
		Label: sentiment.LabelOf(o.polarity), Polarity: o.polarity, Confidence: o.confidence, Language: language, Engine: Name,
		Cut: len(post.Text) > e.options.MaxText,
	}
}
