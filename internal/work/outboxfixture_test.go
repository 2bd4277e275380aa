package work_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver/bluesky"
	"github.com/tertulia-crm/tertulia/internal/deliver/mastodon"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/posttest"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/blueskytest"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// town is a house whose accounts are on networks, and people who write to them.
type town struct {
	*house
	instance *mastodontest.Server
	front    *posttest.Server // before the instance
	sky      *blueskytest.Network
	skyFront *posttest.Server
	timeout  time.Duration // of a request; zero: the usual
	people   int
}

const (
	veloDID = "did:plc:velo4velo4velo4velo4velo"
	anaDID  = "did:plc:anaanaanaanaanaanaanaana"
	skyKey  = "abcd-efgh-ijkl-mnop"
)

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{house: newHouse(t, 1)}
	w.instance = mastodontest.New(mastodontest.Options{Forgetful: true, Limit: 1 << 20})
	w.front = posttest.NewServer(t, w.instance, func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == "/api/v1/statuses" })
	w.instance.Change(func(o *mastodontest.Options) { o.URL = w.front.URL() })
	w.sky = blueskytest.New(blueskytest.Options{})
	w.sky.AddAccount(blueskytest.Account{DID: veloDID, Handle: "velo.example", Name: "Velo", Password: skyKey})
	w.sky.AddAccount(blueskytest.Account{DID: anaDID, Handle: "ana.example", Name: "Ana"})
	w.skyFront = posttest.NewServer(t, w.sky, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".createRecord") })
	for name, typ := range map[string]string{"fediverse": store.MastodonType, "sky": store.BlueskyType} {
		server := map[string]*posttest.Server{"fediverse": w.front, "sky": w.skyFront}[name].URL()
		if _, _, err := w.db.SaveChannel(context.Background(), store.Channel{Name: name, Type: typ, Social: store.SocialSettings{Server: server}}); err != nil {
			t.Fatal(err)
		}
		w.source(name, typ, name)
	}
	w.source("care", "Mailbox", "newsletter")
	w.login(mastodontest.Token, skyKey)
	return w
}

// login writes what the accounts log in with.
func (w *town) login(token, key string) {
	w.credentials(map[string]credentials.Channel{
		"fediverse": {AccessToken: token}, "sky": {Identifier: "velo.example", AppPassword: key}, "newsletter": {SigningKey: signingKey},
	})
}

func (w *town) source(name, typ, channel string) {
	w.t.Helper()
	w.exec(`insert into social_source (name, type, settings, poll_every, keep, reply_channel, suspended) values ($1, $2, '{}', '1 minute', '400 days', $3, true)`,
		name, typ, channel)
}

// options are those of a worker that knows the networks.
func (w *town) options() work.Options {
	o := w.house.options()
	o.Publisher = func(c store.Channel, secret credentials.Channel) (post.Publisher, error) {
		server := wire.Options{Base: c.Social.Server, Allowed: loopback, Timeout: w.timeout}
		if c.Type == store.BlueskyType {
			server.TLS = w.skyFront.TLS()
			return bluesky.New(bluesky.Options{Server: server, Identifier: secret.Identifier, Password: secret.AppPassword})
		}
		server.TLS = w.front.TLS()
		return mastodon.New(mastodon.Options{Server: server, Token: secret.AccessToken, Settled: 10 * time.Millisecond})
	}
	return o
}

// written is something that somebody wrote to us.
type written struct {
	source, id, text, title, thread, parent, visibility, language string
	network                                                       string // "": the source's
}

// hears has something come in, takes it up, and returns the mention and the conversation.
func (w *town) hears(m written) (mention int64, conversation string) {
	w.t.Helper()
	w.people++
	address := fmt.Sprintf("p%d@people.example", w.people)
	if m.visibility == "" {
		m.visibility = "Public"
	}
	if m.language == "" {
		m.language = "es"
	}
	network := map[string]string{"fediverse": "mastodon:" + strings.TrimPrefix(w.front.URL(), "https://"), "sky": "bluesky", "care": "mail:care"}[m.source]
	if m.network != "" {
		network = m.network
	}
	w.exec("insert into identifier (type, value) values ('email', $1) on conflict do nothing", address)
	var public string
	err := w.db.Pool.QueryRow(context.Background(), `
		with a as (
			insert into author (key, network, native_id, handle, identifier_id)
			select decode(md5($1), 'hex'), $2, $1, $1, (select id from identifier where value = $1) returning id
		) insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, title, text, language, thread, parent, label, polarity,
			confidence, engine)
		select decode(md5($3), 'hex'), $2, $3, (select id from social_source where name = $4), a.id, case when $4 = 'care' then 'Message' else 'Post' end, $5, now(),
			$6, $7, $8, nullif($9, ''), nullif($10, ''), 'neutral', 0, 1, 'test' from a returning id, public_id::text`,
		address, network, m.id, m.source, m.visibility, m.title, m.text, m.language, m.thread, m.parent).Scan(&mention, &public)
	if err != nil {
		w.t.Fatal(err)
	}
	conversation, err = w.db.TakeUpMention(context.Background(), public, store.Actor{Agent: "eva"})
	if err != nil {
		w.t.Fatal(err)
	}
	return mention, conversation
}

// answers has an agent answer, and returns the posting's id.
func (w *town) answers(conversation, text string) (dedup string) {
	w.t.Helper()
	var version int64
	if err := w.db.Pool.QueryRow(context.Background(), "select version from conversation where public_id::text = $1", conversation).Scan(&version); err != nil {
		w.t.Fatal(err)
	}
	done, err := w.db.AnswerConversation(context.Background(), conversation, store.Answer{By: store.Actor{Agent: "eva"}, Seen: version, Text: text})
	if err != nil {
		w.t.Fatal(err)
	}
	return "reply/" + done.Message
}

// hurries lets nothing wait for its time.
func (w *town) hurries() {
	w.exec("update outbox set not_before = now() where state in ('pending', 'intent') and not_before > now()")
}

func (w *town) state(dedup string) (state, reply string) {
	w.t.Helper()
	if err := w.db.Pool.QueryRow(context.Background(), "select state, coalesce(reply, '') from outbox where dedup = $1", dedup).Scan(&state, &reply); err != nil {
		w.t.Fatal(err)
	}
	return state, reply
}

// comesTo waits until a posting is in a state.
func (w *town) comesTo(dedup string, want store.PostingState) (reply string) {
	w.t.Helper()
	state := ""
	w.eventually(dedup+" should be "+string(want), func() bool {
		w.hurries()
		state, reply = w.state(dedup)
		return state == string(want)
	})
	return reply
}

// message reads what the conversation shows of an answer.
func (w *town) message(dedup string) string {
	w.t.Helper()
	var line string
	err := w.db.Pool.QueryRow(context.Background(), "select concat_ws('|', state, text, url) from message where public_id::text = $1",
		strings.TrimPrefix(dedup, "reply/")).Scan(&line)
	if err != nil {
		w.t.Fatal(err)
	}
	return line
}

func (w *town) ask(sql string) string {
	w.t.Helper()
	var text string
	if err := w.db.Pool.QueryRow(context.Background(), sql).Scan(&text); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return text
}
