package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/inbound"
	"github.com/tertulia-crm/tertulia/internal/server/sns"
	"github.com/tertulia-crm/tertulia/internal/signature"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const hookRoute = "POST /hooks/{channel}"

// hooks is what a tenant keeps for what providers post.
type hooks struct {
	sns *sns.Client

	mu    sync.Mutex
	known map[string]store.HookSettings // by channel
	read  time.Time
}

// hooksKept is how long the settings of hooks are kept, so that a stranger who posts costs no query.
const hooksKept = 5 * time.Second

func newHooks(o sns.Options) *hooks {
	return &hooks{sns: sns.New(o)}
}

// find tells what is declared of a channel's hook; false where it has none.
func (h *hooks) find(ctx context.Context, db *store.DB, channel string) (store.HookSettings, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil { // others waited for the database before
		return store.HookSettings{}, false, err
	}
	if h.known == nil || time.Since(h.read) > hooksKept {
		known, err := db.ReturnHooks(ctx)
		if err != nil {
			return store.HookSettings{}, false, err
		}
		h.known, h.read = known, time.Now()
	}
	settings, ok := h.known[channel]
	return settings, ok, nil
}

// delivery is a request of a provider's.
type delivery struct {
	t       *tenant
	channel string
	hook    store.HookSettings
	key     string // of the hook
	link    []byte // the tenant's link key
	body    []byte
	now     time.Time
}

// receive answers what a provider posts: 200 when it is on disk, 401 where the provider did not sign it, and 503 where it
// cannot be told or written now, so that the provider tries again.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	d := delivery{t: tenantOf(r.Context()), channel: r.PathValue("channel"), now: time.Now()}
	ctx, cancel := context.WithTimeout(r.Context(), hookTimeout)
	defer cancel()
	hook, ok, err := d.t.hooks.find(ctx, d.t.db, d.channel)
	if err != nil {
		answerFailure(ctx, w, err)
		return
	}
	if !ok {
		writeProblem(w, http.StatusNotFound, "There is no hook at this address.")
		return
	}
	d.hook, d.key = hook, s.tenants.hookKey(d.t, d.channel)
	if d.hook.Type != hookSES && d.key == "" {
		writeProblem(w, http.StatusServiceUnavailable, "The hook's key has not arrived on this server.")
		return
	}
	if d.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, inbound.MaxHook)); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			writeProblem(w, http.StatusRequestEntityTooLarge, "A hook takes no more than 256 KiB.")
		} else {
			writeProblem(w, http.StatusBadRequest, "The request broke off.")
		}
		return
	}
	if d.link, err = d.t.linkKey(ctx); err != nil {
		answerFailure(ctx, w, err)
		return
	}
	reports, err := d.open(ctx, r.Header)
	switch {
	case errors.Is(err, inbound.ErrSignature):
		writeProblem(w, http.StatusUnauthorized, sentence(err))
	case errors.Is(err, inbound.ErrReport):
		writeProblem(w, http.StatusBadRequest, sentence(err))
	case errors.Is(err, sns.ErrUnavailable):
		writeProblem(w, http.StatusServiceUnavailable, sentence(err))
	case err != nil:
		answerFailure(ctx, w, err)
	default:
		s.keep(ctx, w, d, reports)
	}
}

// hookTimeout bounds a request: a provider waits for ten to thirty seconds.
const hookTimeout = 9 * time.Second

// keep writes down what was reported, and says so.
func (s *Server) keep(ctx context.Context, w http.ResponseWriter, d delivery, reports []inbound.Report) {
	if len(reports) > 0 {
		list := make([]store.Returned, len(reports))
		for i, r := range reports {
			list[i] = store.Returned{Source: strings.ToLower(d.hook.Type), SourceID: r.ID, Notice: r.Notice, Address: r.Address}
		}
		taken, err := d.t.db.TakeReturned(ctx, d.channel, list, nil)
		if err != nil {
			answerFailure(ctx, w, err)
			return
		}
		for _, r := range taken {
			s.metrics.returned.WithLabelValues(d.t.id, d.channel, string(r.Notice.Kind)).Inc()
		}
	}
	w.WriteHeader(http.StatusOK)
}

// The types of hooks, as they stand in a channel's row.
const (
	hookGeneric = "Generic"
	hookSES     = "SES"
	hookMailgun = "Mailgun"
)

// open checks who signed and reads what follows.
func (d delivery) open(ctx context.Context, header http.Header) ([]inbound.Report, error) {
	switch d.hook.Type {
	case hookGeneric:
		return d.openGeneric(header)
	case hookMailgun:
		return d.openMailgun(ctx)
	case hookSES:
		return d.openSNS(ctx)
	}
	return nil, errUnknownHook
}

var (
	errReplayed = errors.Join(inbound.ErrSignature, errors.New("its token came with something else before"))
	// errUnknownHook is of a channel that a newer operator has declared.
	errUnknownHook = errors.New("the hook's type is not known to this server")
)

// clockSkew is by how much the clocks of servers and of their database may differ.
const clockSkew = time.Hour

// openMailgun remembers the token that was signed, with what it came: the rest is not signed. The same token with the same content is
// the provider who did not hear the answer.
func (d delivery) openMailgun(ctx context.Context) ([]inbound.Report, error) {
	m, err := inbound.OpenMailgun(d.key, d.body, d.now)
	if err != nil {
		return nil, err
	}
	genuine, err := d.t.db.RememberToken(ctx, d.channel, m.Token, d.body, m.SignedAt.Add(inbound.MailgunTolerance+clockSkew))
	if err != nil {
		return nil, err
	}
	if !genuine {
		return nil, errReplayed
	}
	return m.Reports(d.link)
}

func (d delivery) openGeneric(header http.Header) ([]inbound.Report, error) {
	keys, err := signature.ParseKeys(d.key)
	if err != nil {
		return nil, err // the operator has checked it
	}
	id := header.Get(signature.IDHeader)
	err = keys.Verify(id, header.Get(signature.TimestampHeader), header.Get(signature.SignatureHeader), d.body, d.now)
	if err != nil {
		return nil, errors.Join(inbound.ErrSignature, err)
	}
	report, err := inbound.ReadGeneric(d.link, id, d.body)
	if err != nil {
		return nil, err
	}
	return []inbound.Report{report}, nil
}

func (d delivery) openSNS(ctx context.Context) ([]inbound.Report, error) {
	message, err := inbound.ReadSNS(d.body)
	if err != nil {
		return nil, err
	}
	if err := d.t.hooks.sns.Verify(ctx, d.hook.TopicARN, message); err != nil {
		return nil, err
	}
	log := logr.FromContextOrDiscard(ctx).WithValues("tenant", d.t.id, "channel", d.channel)
	switch message.Type {
	case inbound.SNSSubscription:
		if err := d.t.hooks.sns.Confirm(ctx, message); err != nil {
			return nil, err
		}
		log.Info("Confirmed the subscription of a hook", "topic", d.hook.TopicARN)
		return nil, nil
	case inbound.SNSUnsubscription:
		log.Info("A hook was unsubscribed: bounces and complaints do not arrive any more", "topic", d.hook.TopicARN)
		return nil, nil
	}
	return message.SESReports(d.link), nil
}

// hookKey is the key with which a channel's provider signs; "" where it has not come.
func (ts *tenants) hookKey(t *tenant, channel string) string {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return t.credentials.Channels[channel].HookKey
}

func answerFailure(ctx context.Context, w http.ResponseWriter, err error) {
	status, detail := failure(ctx, err)
	writeProblem(w, status, detail)
}

// sentence is an error on one line, for a problem.
func sentence(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") + "." }
