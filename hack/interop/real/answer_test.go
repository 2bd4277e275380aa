//go:build interop

package real

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/smtp"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	secrets "github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/inbound/imap/imaptest"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// care is a tenant with a worker, which listens to real servers and answers over them.
type care struct {
	t  *testing.T
	db *store.DB
}

// thisMachine is where the servers are.
var thisMachine = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func newCare(t *testing.T, channel store.Channel, source store.Source, secret secrets.Channel, login secrets.Source) *care {
	t.Helper()
	db, _ := storetest.NewDurable(t)
	c := &care{t: t, db: db}
	ctx := t.Context()
	if _, err := db.Pool.Exec(ctx, "insert into tenant (id, namespace, display_name, time_zone) values ('interop', 'interop', 'Velo', 'Europe/Madrid')"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.SaveChannel(ctx, channel); err != nil {
		t.Fatal(err)
	}
	source.ReplyChannel, source.Interval = channel.Name, time.Second
	if _, _, err := db.SaveSource(ctx, source); err != nil {
		t.Fatal(err)
	}
	tenants := t.TempDir()
	err := secrets.Write(tenants, secrets.Tenant{
		ID: "interop", DatabaseURL: storetest.URL(t, db), Channels: map[string]secrets.Channel{channel.Name: secret},
		Sources: map[string]secrets.Source{source.Name: login},
	})
	if err != nil {
		t.Fatal(err)
	}
	worker, err := work.New(work.Options{TenantsDir: tenants, ListenNetworks: thisMachine, NoLookups: true, CampaignPoll: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *care) ask(sql string, arguments ...any) (text string) {
	c.t.Helper()
	if err := c.db.Pool.QueryRow(c.t.Context(), sql, arguments...).Scan(&text); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return text
}

// conversation waits for the one in which somebody said this, and returns its number.
func (c *care) conversation(said string) (number string) {
	c.t.Helper()
	eventually(c.t, "the conversation about "+said, func() {}, func() bool {
		number = c.ask(`select coalesce(max(v.number)::text, '') from conversation v join message g on g.conversation_id = v.id join mention m on m.id = g.mention_id
			where m.text like '%' || $1 || '%'`, said)
		return number != ""
	})
	return number
}

// answer has an agent answer, and waits until that has left.
func (c *care) answer(number, text string) {
	c.t.Helper()
	seen, err := strconv.ParseInt(c.ask("select version::text from conversation where number = $1::text::bigint", number), 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.db.AnswerConversation(c.t.Context(), number, store.Answer{By: store.Actor{Agent: "eva"}, Seen: seen, Text: text}); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "the answer to leave", func() {}, func() bool {
		state := c.ask("select concat_ws(' ', state, reason) from message where text = $1", text)
		if strings.HasPrefix(state, "Failed") || strings.HasPrefix(state, "Ambiguous") {
			c.t.Fatalf("the answer is %s", state)
		}
		return strings.HasPrefix(state, "Sent")
	})
}

func TestBlueskyAnswer(t *testing.T) {
	n := startNetwork(t)
	us, ana := n.join("tienda"), n.join("ana")
	key := us.appPassword("responder")
	via := newCutter(t, n.Service)
	settings, err := json.Marshal(map[string]any{"service": n.Service, "jetstream": "ws://127.0.0.1:1/subscribe", "mentions": true})
	if err != nil {
		t.Fatal(err)
	}
	c := newCare(t, store.Channel{Name: "sky", Type: store.BlueskyType, Social: store.SocialSettings{Server: via.URL}},
		store.Source{Name: "sky", Type: "Bluesky", Settings: settings}, secrets.Channel{Identifier: us.Handle, AppPassword: key},
		secrets.Source{"identifier": us.Handle, "app-password": key})
	report := report{"Bluesky, conversations", theirServers}
	report.holds(t, "a worker logs in, and the channel shows as whom", func(t *testing.T) {
		eventually(t, "the account", func() {}, func() bool { return c.ask("select coalesce(account, '') from channel") == "@"+us.Handle })
	})
	var complaint written
	report.holds(t, "a complaint that names us becomes a conversation; the answer, cut at createRecord, stands in its thread once", func(t *testing.T) {
		complaint = ana.post(map[string]any{
			"text":   "@" + us.Handle + " mi bici llegó rota",
			"facets": []any{map[string]any{"index": map[string]any{"byteStart": 0, "byteEnd": len(us.Handle) + 1}, "features": []any{map[string]any{"$type": "app.bsky.richtext.facet#mention", "did": us.DID}}}},
		})
		number := c.conversation("llegó rota")
		via.cut.Store(true)
		go c.hurry()
		c.answer(number, "Lo sentimos: te mandamos otra.")
		p := &publishing{n: n, us: us}
		got, posts := p.count(t, "Lo sentimos: te mandamos otra.")
		if posts != 1 || got.Reply.Parent != complaint || got.Reply.Root != complaint {
			t.Errorf("%d posts, and it answers %+v, not %+v", posts, got.Reply, complaint)
		}
	})
	report.holds(t, "what the customer writes back comes into the same conversation", func(t *testing.T) {
		var answer struct{ Records []written }
		n.call(us, http.MethodGet, "com.atproto.repo.listRecords", "?collection=app.bsky.feed.post&repo="+url.QueryEscape(us.DID), nil, &answer)
		if len(answer.Records) != 1 {
			t.Fatalf("we have %+v", answer.Records)
		}
		us.awaitShown(answer.Records[0])
		ana.post(map[string]any{"text": "¡Gracias!", "reply": map[string]any{"root": complaint.reference(), "parent": answer.Records[0].reference()}})
		if first, second := c.conversation("llegó rota"), c.conversation("¡Gracias!"); first != second {
			t.Errorf("it is in conversation %s, and the first in %s", second, first)
		}
	})
}

// hurry has what is to be looked for looked for at once.
func (c *care) hurry() {
	for range 300 {
		if _, err := c.db.Pool.Exec(context.Background(), "update outbox set not_before = now() where state = 'intent' and not_before > now()"); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

const complaintByMail = "From: Ana <ana@velo.example>\r\nTo: <hola@velo.example>\r\nSubject: =?utf-8?q?Mi_pedido_lleg=C3=B3_roto?=\r\nMessage-ID: <queja@velo.example>\r\n" +
	"Date: Sun, 22 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nEstá roto.\r\n"

func TestMailAnswer(t *testing.T) {
	dovecot := imaptest.New(t)
	postfix := startPostfix(t, dovecot.Maildir())
	host, port, err := splitAddress(postfix)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(map[string]any{"host": dovecot.Host, "port": dovecot.Port, "tls": "None"})
	if err != nil {
		t.Fatal(err)
	}
	c := newCare(t, store.Channel{Name: "care", Type: store.EmailType, Email: store.EmailSettings{
		From: "Velo <hola@velo.example>", Host: host, Port: port, TLS: "None", Connections: 1, DKIM: "None",
	}}, store.Source{Name: "care", Type: "Mailbox", Settings: settings}, secrets.Channel{},
		secrets.Source{"username": dovecot.Username, "password": dovecot.Password})
	deliver := func(mail string) {
		t.Helper()
		if err := smtp.SendMail(postfix, nil, "ana@velo.example", []string{"hola@velo.example"}, []byte(mail)); err != nil {
			t.Fatal(err)
		}
	}
	// What Dovecot shows her: everything for velo.example lies in one maildir.
	hers := newReader(t, open(t, "Mailbox", options(t, map[string]any{"host": dovecot.Host, "port": dovecot.Port, "tls": "None"}, map[string]string{
		"username": dovecot.Username, "password": dovecot.Password,
	})), nil)
	report := report{"Mail, conversations", "Postfix, Dovecot (Debian)"}
	report.holds(t, "a mail becomes a conversation; the answer leaves by Postfix and stands in its thread", func(t *testing.T) {
		deliver(complaintByMail)
		c.answer(c.conversation("Está roto"), "Lo sentimos: te mandamos otro.")
		eventually(t, "the answer in Dovecot", hers.poll, func() bool { _, there := hers.find("te mandamos otro"); return there })
		p, _ := hers.find("te mandamos otro")
		if p.Parent != "queja@velo.example" || p.Thread != "queja@velo.example" || p.Title != "Re: Mi pedido llegó roto" {
			t.Errorf("the answer is %+v", p)
		}
	})
	report.holds(t, "what the customer writes back to it comes into the same conversation", func(t *testing.T) {
		p, there := hers.find("te mandamos otro")
		if !there {
			t.Fatal("there is no answer")
		}
		deliver(fmt.Sprintf("From: <ana@velo.example>\r\nTo: <hola@velo.example>\r\nSubject: Re: Mi pedido\r\nMessage-ID: <gracias@velo.example>\r\n"+
			"In-Reply-To: <%s>\r\nDate: Sun, 22 Nov 2026 11:00:00 +0100\r\n\r\nMuy amables\r\n", p.ID))
		if first, second := c.conversation("Está roto"), c.conversation("Muy amables"); first != second {
			t.Errorf("it is in conversation %s, and the first in %s", second, first)
		}
	})
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, _ := strings.Cut(address, ":")
	port, err = strconv.Atoi(text)
	return host, port, err
}
