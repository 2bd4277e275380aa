package work_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/deliver/smtp"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// trouble is what the channel's row says.
func (h *house) trouble() string {
	h.t.Helper()
	state, err := h.db.LoadChannelState(context.Background(), "newsletter")
	if err != nil {
		h.t.Fatal(err)
	}
	return state.Trouble
}

func TestRelayInTrouble(t *testing.T) {
	cases := map[string]struct {
		why   string
		begin func(h *house)
		mend  func(h *house)
		words string
	}{
		"Down": {
			why:   "nobody listens",
			begin: func(h *house) { h.relay.Stop() },
			mend:  func(h *house) { h.relay.Start() },
			words: "connect",
		},
		"Greeting": {
			why:   "the relay is busy",
			begin: func(h *house) { h.relay.Behave(refuse(delivertest.Greeting, "421 4.3.2 too busy")) },
			mend:  func(h *house) { h.relay.Behave(delivertest.Behaviour{}) },
			words: "greeting",
		},
		"Mail": {
			why:   "the relay does not take mail from this sender",
			begin: func(h *house) { h.relay.Behave(refuse(delivertest.Mail, "550 5.7.1 sender not allowed")) },
			mend:  func(h *house) { h.relay.Behave(delivertest.Behaviour{}) },
			words: "MAIL",
		},
		"Auth": {
			why: "the password is wrong, and is mended in its Secret",
			begin: func(h *house) {
				h.relay.Behave(delivertest.Behaviour{Auth: map[string]string{"velo": "right"}})
				h.channel(func(e *store.EmailSettings) { e.Authenticated = true })
				h.credentials(map[string]credentials.Channel{"newsletter": {Username: "velo", Password: "wrong"}})
			},
			mend: func(h *house) {
				h.credentials(map[string]credentials.Channel{"newsletter": {Username: "velo", Password: "right"}})
			},
			words: "AUTH",
		},
		"OtherRelay": {
			why:   "the manifest named the wrong port, and is mended",
			begin: func(h *house) { h.channel(func(e *store.EmailSettings) { e.Port = 1 }) },
			mend:  func(h *house) { h.channel(nil) },
			words: "connect",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 30)
			tc.begin(h)
			h.campaign(nil)
			h.worker(h.options())
			h.eventually("the channel should be in trouble: "+tc.why, func() bool { return strings.Contains(h.trouble(), tc.words) })
			if words := h.trouble(); strings.Contains(words, "people.example") || strings.Contains(words, "wrong") {
				t.Errorf("the words name a person or a secret: %q", words)
			}
			h.becomes("Sending planned 30 sent 0 failed 0 ambiguous 0 pending 30")
			tc.mend(h)
			h.becomes("Completed planned 30 sent 30 failed 0 ambiguous 0 pending 0")
			h.eventually("the trouble should be over", func() bool { return h.trouble() == "" })
			h.wantReceived(people(upTo(30)...))
		})
	}
}

// refuse is a relay that answers so at a stage.
func refuse(stage delivertest.Stage, reply string) delivertest.Behaviour {
	return delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == stage {
			return delivertest.Action{Reply: reply, Close: stage == delivertest.Greeting}
		}
		return delivertest.Action{}
	}}
}

// once is a relay that does something to each recipient's first message, if they are among these.
func once(stage delivertest.Stage, action delivertest.Action, to ...string) delivertest.Behaviour {
	var mu sync.Mutex
	done := map[string]bool{}
	return delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		mu.Lock()
		defer mu.Unlock()
		if e.Stage != stage || done[e.To] || !strings.Contains(strings.Join(to, " ")+" ", e.To+" ") {
			return delivertest.Action{}
		}
		done[e.To] = true
		return action
	}}
}

func TestRecipientsInTrouble(t *testing.T) {
	one := "c7@people.example"
	cases := map[string]struct {
		why   string
		relay delivertest.Behaviour
		want  string
		got   map[string]int
	}{
		"DeferredAtRcpt": {
			why: "greylisting", relay: once(delivertest.Rcpt, delivertest.Action{Reply: "450 4.7.1 greylisted"}, one),
			want: "Completed planned 30 sent 30 failed 0 ambiguous 0 pending 0", got: people(upTo(30)...),
		},
		"DeferredAtDot": {
			why: "the relay's disk is full for a moment", relay: once(delivertest.Dot, delivertest.Action{Reply: "452 4.3.1 try later"}, one),
			want: "Completed planned 30 sent 30 failed 0 ambiguous 0 pending 0", got: people(upTo(30)...),
		},
		"ClosedBeforeTheDot": {
			why: "the connection ended in the middle of a message", relay: once(delivertest.Data, delivertest.Action{Close: true}, one),
			want: "Completed planned 30 sent 30 failed 0 ambiguous 0 pending 0", got: people(upTo(30)...),
		},
		"RefusedAtRcpt": {
			why: "the mailbox does not exist", relay: once(delivertest.Rcpt, delivertest.Action{Reply: "550 5.1.1 no such user"}, one),
			want: "Completed planned 30 sent 29 failed 1 ambiguous 0 pending 0", got: people(append(upTo(6), upTo(30)[7:]...)...),
		},
		"RefusedAtDot": {
			why: "the content is refused", relay: once(delivertest.Dot, delivertest.Action{Reply: "554 5.7.1 spam"}, one),
			want: "Completed planned 30 sent 29 failed 1 ambiguous 0 pending 0", got: people(append(upTo(6), upTo(30)[7:]...)...),
		},
		"ClosedAfterTheDot": {
			why: "the message may have been taken: it is not sent again", relay: once(delivertest.Dot, delivertest.Action{Close: true}, one),
			want: "Completed planned 30 sent 29 failed 0 ambiguous 1 pending 0", got: people(upTo(30)...),
		},
		"HangsAfterTheDot": {
			why: "no answer within the time limit", relay: once(delivertest.Dot, delivertest.Action{Hang: true}, one),
			want: "Completed planned 30 sent 29 failed 0 ambiguous 1 pending 0", got: people(upTo(30)...),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 30)
			h.relay.Behave(tc.relay)
			h.campaign(nil)
			o := h.options()
			if name == "HangsAfterTheDot" {
				o.Transport = hastyTransport
			}
			h.worker(o)
			t.Log(tc.why)
			h.becomes(tc.want)
			h.wantReceived(tc.got)
			if t.Failed() {
				t.Log(h.rows())
			}
		})
	}
}

// always is a relay that does the same to every message.
func always(stage delivertest.Stage, action delivertest.Action) delivertest.Behaviour {
	return delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == stage {
			return action
		}
		return delivertest.Action{}
	}}
}

// hastyTransport is that of workers, but for the time that the answer to a final dot may take, which a test can wait for, and for which a machine may
// stand still.
func hastyTransport(c store.Channel, _ credentials.Channel, _ func(time.Time)) (deliver.Transport, error) {
	return smtp.New(smtp.Options{
		Host: c.Email.Host, Port: c.Email.Port, TLS: smtp.TLSMode(c.Email.TLS), Connections: c.Email.Connections,
		Timeouts: smtp.Timeouts{Dot: 5 * time.Second},
	})
}

// A relay that takes messages and says nothing must not make a whole audience ambiguous.
func TestARelayThatAnswersNoDot(t *testing.T) {
	const n = 1000
	h := newHouse(t, n)
	h.relay.Behave(always(delivertest.Dot, delivertest.Action{Close: true}))
	h.campaign(nil)
	o := h.options()
	o.ChannelBackoff = campaign.Backoff{First: time.Hour, Max: time.Hour}
	stop := h.worker(o)
	h.eventually("the channel should be in trouble", func() bool { return strings.Contains(h.trouble(), "final dot") })
	stop()
	ambiguous := h.status().Ambiguous
	if ambiguous == 0 || ambiguous > mostIntents {
		t.Errorf("%d messages are ambiguous, and at most %d may be", ambiguous, mostIntents)
	}
	h.relay.Behave(delivertest.Behaviour{})
	h.worker(h.options())
	h.becomes(fmt.Sprintf("Completed planned %d sent %d failed 0 ambiguous %d pending 0", n, n-ambiguous, ambiguous))
	h.everybodyOnce(n)
}

// What stands in the way of every message is the channel's trouble, and nobody's failure.
func TestNoMessageCanBeWritten(t *testing.T) {
	cases := map[string]struct {
		why         string
		begin, mend string
		words       string
	}{
		"PublicURL": {
			"no header can hold the address of the page for unsubscribing",
			"update tenant set public_url = 'https://münchen.example'", "update tenant set public_url = 'https://xn--mnchen-3ya.example'", "unsubscribe URL",
		},
		"From": {
			"the sender's domain is none",
			`update channel set settings = jsonb_set(settings, '{from}', '"hola@a..b"')`,
			`update channel set settings = jsonb_set(settings, '{from}', '"hola@velo.example"')`, "sender",
		},
		"ReplyTo": {
			"an address from a time when nobody checked it",
			`update channel set settings = jsonb_set(settings, '{replyTo}', '"nobody"')`,
			`update channel set settings = settings - 'replyTo'`, "reply address",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 20)
			h.exec(tc.begin)
			h.campaign(nil)
			h.worker(h.options())
			h.eventually("the channel should be in trouble: "+tc.why, func() bool { return strings.Contains(h.trouble(), tc.words) })
			h.becomes("Sending planned 20 sent 0 failed 0 ambiguous 0 pending 20")
			h.exec(tc.mend)
			h.becomes("Completed planned 20 sent 20 failed 0 ambiguous 0 pending 0")
			h.eventually("the trouble should be over", func() bool { return h.trouble() == "" })
		})
	}
}

// A channel that cannot even be tried is left alone for longer each time, too.
func TestAChannelThatCannotBeUsed(t *testing.T) {
	h := newHouse(t, 3)
	h.channel(func(e *store.EmailSettings) { e.Authenticated = true })
	h.campaign(nil)
	o := h.options()
	o.ChannelBackoff = campaign.Backoff{First: 20 * time.Millisecond, Max: time.Hour}
	var mu sync.Mutex
	var tries []time.Time
	o.Transport = func(c store.Channel, secret credentials.Channel, certificate func(time.Time)) (deliver.Transport, error) {
		mu.Lock()
		defer mu.Unlock()
		tries = append(tries, time.Now())
		return work.Transports{}.New(c, secret, certificate)
	}
	h.worker(o)
	h.eventually("the channel should be tried again and again", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(tries) >= 6
	})
	h.eventually("the author should learn what is missing", func() bool { return strings.Contains(h.trouble(), "username and password") })
	mu.Lock()
	defer mu.Unlock()
	// 20 + 40 + 80 + 160 + 320 ms, of which a fifth may be taken off.
	if took := tries[5].Sub(tries[0]); took < 400*time.Millisecond {
		t.Errorf("six tries took %s", took)
	}
}

// held is a relay that answers no final dot until it is released.
type held struct {
	h       *house
	release func()
}

// hold makes the relay wait at every dot, and waits until the first messages are there.
func (h *house) hold() held {
	h.t.Helper()
	arrived := make(chan struct{}, 1000)
	gate := make(chan struct{})
	var open sync.Once
	h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage != delivertest.Dot {
			return delivertest.Action{}
		}
		arrived <- struct{}{}
		return delivertest.Action{Wait: gate}
	}})
	hold := held{h: h, release: func() {
		open.Do(func() {
			h.relay.Behave(delivertest.Behaviour{})
			close(gate)
		})
	}}
	h.t.Cleanup(hold.release)
	h.waitArrived = func() { <-arrived }
	return hold
}

func TestPeopleChangeDuringTheSend(t *testing.T) {
	h := newHouse(t, 1000)
	hold := h.hold()
	h.campaign(nil)
	h.worker(patientOptions(h))
	h.waitArrived()
	// The last rows of a chunk are far from being intents yet.
	h.exec("update consent set granted = false, by_contact = true where contact_id = 990")
	h.exec("insert into suppression (address_hash, reason, source) select keyed_hash(key, 'c991@people.example'), 'bounced', 'test' from secret_key where purpose = 'address'")
	h.exec("delete from identifier_link where contact_id = 992")
	h.exec("update identifier set value = 'moved@people.example' where value = 'c993@people.example'")
	h.exec(`with gone as (delete from identifier_link where contact_id = 994)
		insert into identifier_link (identifier_id, contact_id, verified, source) select id, 994, false, 'test' from identifier where value = 'c995@people.example'`)
	h.exec("update identifier_link set verified = false where contact_id = 995")
	hold.release()
	h.becomes("Completed planned 1000 sent 996 failed 0 ambiguous 0 pending 0 DuplicateAddress 1 NoAddress 1 NoConsent 1 Suppressed 1")
	want := people(append(upTo(989), 995, 996, 997, 998, 999, 1000)...)
	want["moved@people.example"] = 1
	h.wantReceived(want)
}

func TestPauses(t *testing.T) {
	cases := map[string]struct {
		why          string
		pause, going func(h *house)
	}{
		"Suspended": {
			"spec.suspend is set and removed",
			func(h *house) { h.campaign(func(c *store.SendConfig) { c.Suspended = true }) },
			func(h *house) { h.campaign(nil) },
		},
		"Command": {
			"a person pauses and resumes",
			func(h *house) { h.command(campaign.Pause) },
			func(h *house) { h.command(campaign.Resume) },
		},
		"Deleted": {
			"the campaign is deleted and applied again",
			func(h *house) { _ = h.db.DormantSend(context.Background(), "spring") },
			func(h *house) { h.campaign(nil) },
		},
		"Tenant": {
			"the tenant is suspended",
			func(h *house) { h.exec("update tenant set suspended = true") },
			func(h *house) { h.exec("update tenant set suspended = false") },
		},
		"Channel": {
			"the channel is deleted and applied again",
			func(h *house) { _ = h.db.DormantChannel(context.Background(), "newsletter") },
			func(h *house) { h.channel(nil) },
		},
		"ChannelSuspended": {
			"the channel is suspended",
			func(h *house) { h.exec("update channel set suspended = true") },
			func(h *house) { h.exec("update channel set suspended = false") },
		},
		"Template": {
			"the template is deleted and applied again",
			func(h *house) { _ = h.db.DormantTemplate(context.Background(), "spring") },
			func(h *house) { h.template("Hola") },
		},
		"TemplateSuspended": {
			"the template is suspended",
			func(h *house) { h.exec("update template set suspended = true") },
			func(h *house) { h.exec("update template set suspended = false") },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 1000)
			hold := h.hold()
			h.campaign(nil)
			h.worker(patientOptions(h))
			h.waitArrived()
			tc.pause(h)
			hold.release()
			t.Log(tc.why)
			h.eventually("every chunk should be given back", func() bool {
				var held int
				if err := h.db.Pool.QueryRow(context.Background(), "select count(*) from send_chunk where leased_until is not null").Scan(&held); err != nil {
					t.Fatal(err)
				}
				return held == 0
			})
			s := h.status()
			if s.State != campaign.Sending || s.Sent == 0 || s.Sent > 100 || s.Ambiguous != 0 || s.Pending != 1000-s.Sent {
				t.Errorf("what was begun should be settled, and no more begun: %s", counts(s))
			}
			before := h.received()
			tc.going(h)
			h.becomes("Completed planned 1000 sent 1000 failed 0 ambiguous 0 pending 0")
			if len(before) > 100 {
				t.Errorf("%d messages left while the send was paused", len(before))
			}
			h.wantReceived(people(upTo(1000)...))
		})
	}
}

func TestTwoCampaignsShareAChannel(t *testing.T) {
	h := newHouse(t, 2000)
	h.campaign(nil)
	h.exec("insert into segment (name, match, digest, predicate, arguments) values ('few', '', 'd', 'c.id <= $1::bigint', '[\"3\"]')")
	h.campaign(func(c *store.SendConfig) { c.SendKey, c.Campaign, c.Segments = "few", "few", []string{"few"} })
	h.worker(h.options())
	h.becomes("Completed planned 2000 sent 2000 failed 0 ambiguous 0 pending 0")
	h.eventually("the other campaign should be completed", func() bool {
		s, err := h.db.SendStatus(context.Background(), "few")
		return err == nil && s.State == campaign.Completed
	})
	got := h.received()
	want := people(upTo(2000)...)
	for _, to := range []string{"c1@people.example", "c2@people.example", "c3@people.example"} {
		want[to] = 2 // two campaigns, a message each
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("received messages differ (-want +got):\n%s", diff)
	}
	h.relay = delivertest.NewServer(t, delivertest.Behaviour{}) // nobody received twice what is one campaign's
}

func TestADeletedCampaignThatIsFinishedSendsNothing(t *testing.T) {
	h := newHouse(t, 10)
	h.campaign(nil)
	h.worker(h.options())
	h.becomes("Completed planned 10 sent 10 failed 0 ambiguous 0 pending 0")
	if err := h.db.DormantSend(context.Background(), "spring"); err != nil {
		t.Fatal(err)
	}
	h.exec("insert into contact (locale) values ('es')")
	h.campaign(nil)
	h.campaign(func(c *store.SendConfig) { c.SendKey, c.Campaign = "other", "other" })
	h.eventually("another campaign should be completed", func() bool {
		s, err := h.db.SendStatus(context.Background(), "other")
		return err == nil && s.State == campaign.Completed
	})
	h.becomes("Completed planned 10 sent 10 failed 0 ambiguous 0 pending 0")
	if n := len(h.relay.Messages()); n != 20 {
		t.Errorf("two campaigns to ten people made %d messages", n)
	}
	h.relay = delivertest.NewServer(t, delivertest.Behaviour{})
}
