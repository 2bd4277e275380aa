package bluesky

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// session is our account's. Its tokens stay in memory: an access token lives for some hours, a refresh token for some months, and each is
// exchanged only once. Log-ins are counted (300 a day), and a connector may live for one poll only, so all connectors of a process that have the
// same credentials go on with the same session.
type session struct {
	network              *network
	identifier, password string
	did                  string
	access, refresh      string
}

// tokens are what createSession and refreshSession answer.
type tokens struct {
	AccessJWT  string `json:"accessJwt"`
	RefreshJWT string `json:"refreshJwt"`
	DID        string `json:"did"`
	Active     *bool  `json:"active"`
}

// sessions are those of this process, by server and credentials, of which they hold a hash.
type sessions struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]tokens
	rest map[[sha256.Size]byte]time.Time // until when their servers want to be left alone
}

// maxSessions is how many are remembered. Where there are more, all begin anew.
const maxSessions = 1000

var shared sessions

func (s *session) key() [sha256.Size]byte {
	return sha256.Sum256([]byte(s.network.settings.Service + "\x00" + s.identifier + "\x00" + s.password))
}

// resume goes on with the session that another connector has begun, if there is one.
func (s *session) resume() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if t, ok := shared.open[s.key()]; ok {
		s.access, s.refresh, s.did = t.AccessJWT, t.RefreshJWT, t.DID
	}
}

// share lets other connectors go on with this session, or with none where it is over.
func (s *session) share() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.open == nil || len(shared.open) >= maxSessions {
		shared.open = map[[sha256.Size]byte]tokens{}
	}
	if s.access == "" {
		delete(shared.open, s.key())
		return
	}
	shared.open[s.key()] = tokens{AccessJWT: s.access, RefreshJWT: s.refresh, DID: s.did}
}

// resting is the trouble that the server wants to be left alone for longer, which it told this connector or another one; nil where it does not.
func (s *session) resting() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	wait := shared.rest[s.key()].Sub(s.network.options.Now())
	if wait <= 0 {
		return nil
	}
	return &listen.Trouble{Reason: listen.Throttled, Wait: wait, Message: "The service wants to be left alone for a while."}
}

// leave remembers for how long the server wants to be left alone, if it does.
func (s *session) leave(err error) {
	wait := waitOf(err)
	if wait <= 0 {
		return
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.rest == nil || len(shared.rest) >= maxSessions {
		shared.rest = map[[sha256.Size]byte]time.Time{}
	}
	shared.rest[s.key()] = s.network.options.Now().Add(wait)
}

// ask makes a query as our account, with a session that is begun or renewed where it has to be. A server that wants to be left alone is not asked.
func (s *session) ask(ctx context.Context, name string, query url.Values, answer any) (time.Duration, error) {
	if err := s.resting(); err != nil {
		return 0, err
	}
	rest, err := s.askNow(ctx, name, query, answer)
	s.leave(err)
	return rest, err
}

func (s *session) askNow(ctx context.Context, name string, query url.Values, answer any) (time.Duration, error) {
	if s.access == "" {
		if err := s.begin(ctx); err != nil {
			return 0, err
		}
	}
	c := call{server: s.network.settings.Service, name: name, query: query, token: s.access}
	rest, err := s.network.ask(ctx, c, answer)
	if !isOver(err) {
		return rest, err
	}
	if err := s.renew(ctx); err != nil {
		return 0, err
	}
	c.token = s.access
	return s.network.ask(ctx, c, answer)
}

// isOver tells that a token is no longer good. An expired one is refused with status 400, others with 401.
func isOver(err error) bool {
	var trouble *listen.Trouble
	return isRefused(err, "ExpiredToken", "InvalidToken") || errors.As(err, &trouble) && trouble.Reason == listen.Unauthorized
}

// renew exchanges the refresh token, or begins anew where that is over too.
func (s *session) renew(ctx context.Context) error {
	token, spent := s.refresh, s.access
	if s.resume(); s.access != "" && s.access != spent {
		return nil // another connector was sooner
	}
	s.access, s.refresh = "", ""
	if token != "" {
		var t tokens
		_, err := s.network.ask(ctx, call{server: s.network.settings.Service, name: "com.atproto.server.refreshSession", post: true, token: token}, &t)
		if err == nil {
			return s.keep(t)
		}
		if !isOver(err) && !isRefused(err, "AccountTakedown") {
			s.access, s.refresh = spent, token // it was not asked, or not answered
			return err
		}
	}
	return s.begin(ctx)
}

// begin makes a session with the app password.
func (s *session) begin(ctx context.Context) error {
	var t tokens
	_, err := s.network.ask(ctx, call{
		server: s.network.settings.Service, name: "com.atproto.server.createSession", post: true,
		body: map[string]string{"identifier": s.identifier, "password": s.password},
	}, &t)
	var trouble *listen.Trouble
	if err != nil {
		s.share()
	}
	switch {
	case err == nil:
		return s.keep(t)
	case isRefused(err, "AuthFactorTokenRequired"):
		return listen.Troublef(listen.Unauthorized, "The password in the Secret is the account's own, for which a code is asked by mail: make an app password "+
			"in the settings of the account, and write that.")
	case isRefused(err, "AccountTakedown"):
		return listen.Troublef(listen.Forbidden, "The account was taken down by its service.")
	case errors.As(err, &trouble) && trouble.Reason == listen.Unauthorized:
		return listen.Troublef(listen.Unauthorized, "The service refuses the identifier and the app password in the Secret: they are wrong, or the app "+
			"password was revoked. Make a new one in the settings of the account.")
	case isRefused(err, "InvalidRequest"):
		return listen.Troublef(listen.Misdeclared, "The service cannot read the identifier in the Secret: write the account's handle without @, or its DID.")
	}
	return err
}

func (s *session) keep(t tokens) error {
	if t.AccessJWT == "" || !isDID([]byte(t.DID)) {
		return listen.Troublef(listen.Malformed, "The service answers a log-in with no session.")
	}
	if t.Active != nil && !*t.Active {
		return listen.Troublef(listen.Forbidden, "The account is not active: it is deactivated, suspended or taken down.")
	}
	s.access, s.refresh, s.did = t.AccessJWT, t.RefreshJWT, t.DID
	s.share()
	return nil
}

// ownDID is our account's identifier, without which nobody knows who speaks to us. While the service does not answer it is the one that was
// known before.
func (n *network) ownDID(ctx context.Context, at cursor) (string, error) {
	if n.session.did == "" {
		err := n.session.resting()
		if err == nil {
			err = n.session.begin(ctx)
			n.session.leave(err)
		}
		var trouble *listen.Trouble
		switch {
		case err == nil:
		case at.Inbox != nil && errors.As(err, &trouble) && !trouble.Reason.NeedsPerson():
			return at.Inbox.DID, nil
		default:
			return "", err
		}
	}
	return n.session.did, nil
}
