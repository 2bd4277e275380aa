package bluesky

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// session is our account's. Log-ins are counted (300 a day), so it is kept, and renewed rather than begun.
type session struct {
	Access  string `json:"accessJwt"`
	Refresh string `json:"refreshJwt"`
	DID     string `json:"did"`
	Active  *bool  `json:"active"`
}

var didPattern = regexp.MustCompile(`^did:[a-z]{1,16}:[A-Za-z0-9._:%-]{1,230}$`)

// refusal is how XRPC servers refuse.
type refusal struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

func said(a *wire.Answer) (r refusal) {
	_ = json.Unmarshal(a.Body, &r) // what stands before a server answers as it likes
	return r
}

func (r refusal) words(status int) string { return wire.Words(status, r.Error+" "+r.Message) }

// isOver tells that a token is no longer good. An expired one is refused with status 400, others with 401.
func isOver(a *wire.Answer) bool {
	name := said(a).Error
	return a.Status == http.StatusUnauthorized && name != "AccountTakedown" || name == "ExpiredToken" || name == "InvalidToken"
}

// ask makes a request as our account, with a session that is begun or renewed where it has to be. An answer that a token is over is none: the
// request was not carried out, and is made again. The error is the request's own, to be judged by whoever asks.
func (p *Publisher) ask(ctx context.Context, r wire.Request) (*wire.Answer, *wire.Stop, error) {
	s, stop := p.login(ctx, "")
	if stop != nil {
		return nil, stop, nil
	}
	r.Token = s.Access
	a, err := p.client.Do(ctx, r)
	if err != nil || !isOver(a) {
		return a, nil, err
	}
	if s, stop = p.login(ctx, s.Access); stop != nil {
		return nil, stop, nil
	}
	r.Token = s.Access
	a, err = p.client.Do(ctx, r)
	if err == nil && isOver(a) {
		return nil, wire.Troubled(p.client.Trouble(stageOf(r.Path), a.Status, "the server gives out a session and does not take it", nil)), nil
	}
	return a, nil, err
}

var handlePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// Account implements post.Publisher.
func (p *Publisher) Account(ctx context.Context) (post.Account, error) {
	const path = "/xrpc/com.atproto.server.getSession"
	a, stop, err := p.ask(ctx, wire.Request{Method: http.MethodGet, Path: path})
	if stop == nil {
		stop = p.halt(path, a, err)
	}
	if stop != nil {
		return post.Account{}, stop.Err()
	}
	var said struct {
		Handle string `json:"handle"`
		DID    string `json:"did"`
	}
	if json.Unmarshal(a.Body, &said) != nil || !didPattern.MatchString(said.DID) {
		return post.Account{}, errors.New("the server does not say whose the session is")
	}
	if handle := strings.ToLower(said.Handle); handlePattern.MatchString(handle) && handle != "handle.invalid" {
		return post.Account{ID: said.DID, Handle: "@" + handle, Takes: limits.Takes(0)}, nil
	}
	return post.Account{ID: said.DID, Handle: said.DID, Takes: limits.Takes(0)}, nil
}

// login is the session, another one than the one of which the token is spent.
func (p *Publisher) login(ctx context.Context, spent string) (session, *wire.Stop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session.Access != "" && p.session.Access != spent {
		return p.session, nil
	}
	if p.session.Refresh != "" {
		const path = "/xrpc/com.atproto.server.refreshSession"
		a, err := p.client.Do(ctx, wire.Request{Method: http.MethodPost, Path: path, Token: p.session.Refresh})
		if err == nil && (isOver(a) || a.Status == http.StatusUnauthorized) {
			p.session = session{}
		} else if stop := p.keep(path, a, err); stop != nil {
			return session{}, stop
		} else {
			return p.session, nil
		}
	}
	return p.begin(ctx)
}

// begin makes a session with the app password.
func (p *Publisher) begin(ctx context.Context) (session, *wire.Stop) {
	const path = "/xrpc/com.atproto.server.createSession"
	if stop := p.client.Rest(path); stop != nil {
		return session{}, stop
	}
	data, err := json.Marshal(map[string]string{"identifier": p.o.Identifier, "password": p.o.Password})
	if err != nil {
		return session{}, wire.Refused("the credentials cannot be written as JSON")
	}
	a, err := p.client.Do(ctx, wire.Request{Method: http.MethodPost, Path: path, Body: data, ContentType: "application/json"})
	if err == nil {
		if reason := refusedLogin(a); reason != "" {
			return session{}, wire.Troubled(p.client.Trouble(stageOf(path), a.Status, reason, nil))
		}
	}
	return p.session, p.keep(path, a, err)
}

// refusedLogin tells what to mend where a log-in is refused, and "" where it is not.
func refusedLogin(a *wire.Answer) string {
	switch name := said(a).Error; {
	case name == "AuthFactorTokenRequired":
		return "the password in the Secret is the account's own, for which a code is asked by mail: make an app password in the settings of the " +
			"account, and write that"
	case name == "AccountTakedown":
		return "the account was taken down by its server"
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return "the server refuses the identifier and the app password in the Secret: they are wrong, or the app password was revoked; make a new one in the " +
			"settings of the account"
	case name == "InvalidRequest":
		return "the server cannot read the identifier in the Secret: write the account's handle without @, or its DID"
	case a.Status == http.StatusNotFound, a.Status == http.StatusNotImplemented:
		return "the server is none of the AT Protocol: check its address"
	}
	return ""
}

// keep keeps a session that a server gave. The caller holds the lock.
func (p *Publisher) keep(path string, a *wire.Answer, err error) *wire.Stop {
	if stop := p.client.Halt(stageOf(path), a, err); stop != nil {
		return stop
	}
	var s session
	if json.Unmarshal(a.Body, &s) != nil || s.Access == "" || !didPattern.MatchString(s.DID) {
		return wire.Deferred(0, "the server answers a log-in with no session")
	}
	if s.Active != nil && !*s.Active {
		return wire.Troubled(p.client.Trouble(stageOf(path), a.Status, "the account is not active: it is deactivated, suspended or taken down", nil))
	}
	p.session = s
	return nil
}

// halt judges a request that published nothing.
func (p *Publisher) halt(path string, a *wire.Answer, err error) *wire.Stop {
	stop := p.client.Halt(stageOf(path), a, err)
	if stop == nil || a == nil {
		return stop
	}
	if trouble := p.ofAccount(path, a); trouble != nil {
		return wire.Troubled(trouble)
	}
	if stop.Trouble == nil && isRefusal(a.Status) && a.Status != http.StatusTooManyRequests {
		return coded(a, wire.Refused("%s", said(a).words(a.Status)))
	}
	return stop
}

// ofAccount is the trouble that the account is refused whatever it asks; nil where it is not that.
func (p *Publisher) ofAccount(path string, a *wire.Answer) error {
	switch name := said(a).Error; {
	case name == "AccountTakedown", name == "AccountSuspended", name == "AccountDeactivated":
		return p.client.Trouble(stageOf(path), a.Status, "the account is not active: it is deactivated, suspended or taken down", nil)
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return p.client.Trouble(stageOf(path), a.Status, "the server does not allow it: check the account and make a new app password for it", nil)
	}
	return nil
}
