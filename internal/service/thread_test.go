package service_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/service"
)

const (
	ana     = "ana@example.com"
	ben     = "ben@example.com"
	mailbox = "mailbox:care"
)

// history is a mailbox that keeps what was found where, as the store does.
type history struct {
	conversations []service.Candidate
	keys          map[service.Key][]int64
}

func (h *history) add(c service.Candidate, keys ...service.Key) {
	c.ID = int64(len(h.conversations) + 1)
	h.conversations = append(h.conversations, c)
	if h.keys == nil {
		h.keys = map[service.Key][]int64{}
	}
	for _, k := range keys {
		h.keys[k] = append(h.keys[k], c.ID)
	}
}

func (h *history) find(m service.Inbound) (found []service.Candidate) {
	for _, k := range m.Keys() {
		for _, id := range h.keys[k] {
			c := h.conversations[id-1]
			c.Key = k
			found = append(found, c)
		}
	}
	return found
}

func TestPlaceMail(t *testing.T) {
	bounds := service.DefaultBounds()
	const day = 24 * time.Hour
	first := service.Inbound{Medium: service.Mail, Network: mailbox, Author: ana, ID: "1@example.com", Subject: "The saddle of my order", At: noon}
	base := func() *history {
		var h history
		h.add(service.Candidate{Author: ana, State: service.ConversationOpen, LastAt: noon}, append(first.Leaves(), service.Sent(mailbox, "ours@velo.example"))...)
		return &h
	}
	over := func(after time.Duration) *history {
		h := base()
		h.conversations[0].State, h.conversations[0].ClosedAt = service.ConversationClosed, noon.Add(after)
		return h
	}
	mail := func(change func(*service.Inbound)) service.Inbound {
		m := service.Inbound{Medium: service.Mail, Network: mailbox, Author: ana, ID: "2@example.com", Subject: "Something else", At: noon.Add(day)}
		change(&m)
		return m
	}
	answers := func(m *service.Inbound) { m.Parent = "ours@velo.example" }
	cases := map[string]struct {
		why     string
		history *history
		mail    service.Inbound
		want    service.Placement
	}{
		"New":         {"it names nothing", base(), mail(func(*service.Inbound) {}), service.Placement{}},
		"Answer":      {"it answers a mail of ours", base(), mail(answers), service.Placement{Conversation: 1, By: service.KeyMessage}},
		"Colleague":   {"who is in copy answers", base(), mail(func(m *service.Inbound) { answers(m); m.Author = ben }), service.Placement{Conversation: 1, By: service.KeyMessage, Stranger: true}},
		"References":  {"the mail that it answers is not known, one before it is", base(), mail(func(m *service.Inbound) { m.Parent, m.References = "lost@x", []string{"1@example.com", "lost@x"} }), service.Placement{Conversation: 1, By: service.KeyMessage}},
		"OtherBox":    {"ids are those of a mailbox", base(), mail(func(m *service.Inbound) { answers(m); m.Network = "mailbox:sales" }), service.Placement{}},
		"Subject":     {"a program lost what it answers", base(), mail(func(m *service.Inbound) { m.Subject = "RE: Re[2]: the  Saddle of my order" }), service.Placement{Conversation: 1, By: service.KeySubject}},
		"NoReply":     {"the same subject in a new mail is no answer", base(), mail(func(m *service.Inbound) { m.Subject = first.Subject }), service.Placement{}},
		"Forward":     {"nor is one that is passed on", base(), mail(func(m *service.Inbound) { m.Subject = "Fwd: Re: " + first.Subject }), service.Placement{}},
		"OtherWriter": {"others know subjects as well", base(), mail(func(m *service.Inbound) { m.Subject, m.Author = "Re: "+first.Subject, ben }), service.Placement{}},
		"Nobody":      {"and so does nobody", base(), mail(func(m *service.Inbound) { m.Subject, m.Author = "Re: "+first.Subject, "" }), service.Placement{}},
		"LongAgo":     {"a subject comes again in another year", base(), mail(func(m *service.Inbound) { m.Subject, m.At = "Re: "+first.Subject, noon.Add(8*day) }), service.Placement{}},
		"Reopens":     {"it ended a short time ago", over(0), mail(answers), service.Placement{Conversation: 1, Reopens: true, By: service.KeyMessage}},
		"Follows":     {"it ended too long ago", over(-14 * day), mail(answers), service.Placement{Follows: 1, By: service.KeyMessage}},
		"Nearest": {"what is answered counts before what was before it", func() *history {
			h := base()
			h.add(service.Candidate{Author: ana, State: service.ConversationOpen, LastAt: noon}, service.Sent(mailbox, "other@velo.example"))
			return h
		}(), mail(func(m *service.Inbound) {
			m.Parent, m.References = "ours@velo.example", []string{"other@velo.example", "ours@velo.example"}
		}), service.Placement{Conversation: 1, By: service.KeyMessage}},
		"Root": {"two answers to a mail that never came in", func() *history {
			h := &history{}
			h.add(service.Candidate{Author: ana, State: service.ConversationOpen, LastAt: noon},
				service.Inbound{Medium: service.Mail, Network: mailbox, Author: ana, ID: "3@x", References: []string{"root@x"}}.Leaves()...)
			return h
		}(), mail(func(m *service.Inbound) { m.References = []string{"root@x"} }), service.Placement{Conversation: 1, By: service.KeyThread}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, service.Place(tc.mail, tc.history.find(tc.mail), bounds)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func TestPlacePostsAndChats(t *testing.T) {
	bounds := service.DefaultBounds()
	post := func(author, id, thread, parent string) service.Inbound {
		return service.Inbound{Medium: service.Post, Network: "mastodon", Author: author, ID: id, Thread: thread, Parent: parent, At: noon}
	}
	chat := func(hours float64) service.Inbound {
		return service.Inbound{Medium: service.Chat, Network: "sms", Author: "+34600111222", At: in(hours)}
	}
	var posts, waiting, open, several, closed history
	posts.add(service.Candidate{Author: "ana", State: service.ConversationOpen, LastAt: noon}, append(post("ana", "2", "1", "1").Leaves(), service.Sent("mastodon", "3"))...)
	waiting.add(service.Candidate{Author: "+34600111222", State: service.ConversationWaiting, LastAt: noon}, chat(0).Leaves()...)
	open.add(service.Candidate{Author: "+34600111222", State: service.ConversationOpen, LastAt: noon}, chat(0).Leaves()...)
	several.add(service.Candidate{Author: "+34600111222", State: service.ConversationClosed, LastAt: in(-1), ClosedAt: in(-1)}, chat(0).Leaves()...)
	several.add(service.Candidate{Author: "+34600111222", State: service.ConversationWaiting, LastAt: in(-2)}, chat(0).Leaves()...)
	closed.add(service.Candidate{Author: "+34600111222", State: service.ConversationClosed, LastAt: in(-9), ClosedAt: in(-9)}, chat(0).Leaves()...)
	closed.add(service.Candidate{Author: "+34600111222", State: service.ConversationClosed, LastAt: in(-2), ClosedAt: in(-2)}, chat(0).Leaves()...)
	cases := map[string]struct {
		why     string
		history *history
		message service.Inbound
		want    service.Placement
	}{
		"Thread":       {"who writes in a thread again", &posts, post("ana", "9", "1", "8"), service.Placement{Conversation: 1, By: service.KeyThread}},
		"Another":      {"another one in the same thread has a conversation of their own", &posts, post("ben", "9", "1", "3"), service.Placement{}},
		"Parent":       {"the network tells no thread", &posts, post("ana", "9", "", "3"), service.Placement{Conversation: 1, By: service.KeyMessage}},
		"OtherThread":  {"another matter", &posts, post("ana", "9", "7", "7"), service.Placement{}},
		"Unnamed":      {"nobody knows who wrote", &posts, post("", "9", "1", "3"), service.Placement{}},
		"Chat":         {"it goes on", &waiting, chat(70), service.Placement{Conversation: 1, By: service.KeyChat}},
		"Later":        {"another day, another matter", &waiting, chat(73), service.Placement{Follows: 1, By: service.KeyChat}},
		"StillWaiting": {"who waits for us is not forgotten by a new beginning", &open, chat(999), service.Placement{Conversation: 1, By: service.KeyChat}},
		"GoesOn":       {"what goes on comes before what is over", &several, chat(0), service.Placement{Conversation: 2, By: service.KeyChat}},
		"Latest":       {"of those that are over the latest", &closed, chat(0), service.Placement{Conversation: 2, Reopens: true, By: service.KeyChat}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, service.Place(tc.message, tc.history.find(tc.message), bounds)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// What a hostile mail names is bounded, and the order in which conversations are found does not matter.
func TestPlaceIsBoundedAndDeterministic(t *testing.T) {
	m := service.Inbound{Medium: service.Mail, Network: mailbox, Author: ana, Subject: "Re: the saddle", ID: "x"}
	for i := range 10_000 {
		m.References = append(m.References, fmt.Sprint(i))
	}
	keys := m.Keys()
	if len(keys) > 52 || keys[0].Value != "9999" {
		t.Errorf("%d keys, the first is %v", len(keys), keys[0])
	}
	rapid.Check(t, func(t *rapid.T) {
		m := service.Inbound{Medium: rapid.SampledFrom([]service.Medium{service.Mail, service.Post, service.Chat}).Draw(t, "medium"), Network: "n", Author: ana, Parent: "p", ID: "x", Thread: "r", Subject: "Re: the saddle", At: noon}
		var found []service.Candidate
		for i, key := range m.Keys() {
			for j := range rapid.IntRange(0, 3).Draw(t, "found") {
				found = append(found, service.Candidate{
					ID: int64(10*i + j + 1), Key: key, Author: rapid.SampledFrom([]string{ana, ben}).Draw(t, "author"),
					State:    rapid.SampledFrom([]service.ConversationState{service.ConversationOpen, service.ConversationWaiting, service.ConversationClosed}).Draw(t, "state"),
					ClosedAt: in(-float64(rapid.IntRange(0, 900).Draw(t, "closed"))), LastAt: in(-float64(rapid.IntRange(0, 3).Draw(t, "last"))),
				})
			}
		}
		want := service.Place(m, found, service.DefaultBounds())
		if got := service.Place(m, rapid.Permutation(slices.Clone(found)).Draw(t, "order"), service.DefaultBounds()); got != want {
			t.Fatalf("in another order: %+v, and not %+v", got, want)
		}
	})
}

func TestSubject(t *testing.T) {
	cases := map[string]struct {
		text, about string
		reply       bool
	}{
		"Plain":    {"My order  4711", "my order 4711", false},
		"Reply":    {"Re: My order", "my order", true},
		"Chain":    {"AW: RE: Re[3]: sv: My order", "my order", true},
		"Counted":  {"RE(2): My order", "my order", true},
		"Spanish":  {"RES : Mi pedido", "mi pedido", true},
		"Wide":     {"Re：My order", "my order", true},
		"Forward":  {"Fwd: Re: My order", "my order", false},
		"Answered": {"Re: Fwd: My order", "my order", true},
		"Word":     {"Resolution: my order", "resolution: my order", false},
		"Report":   {"Report: my order", "report: my order", false},
		"Empty":    {"Re:", "", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if about, reply := service.Subject(tc.text); about != tc.about || reply != tc.reply {
				t.Errorf("%q is about %q, reply %t", tc.text, about, reply)
			}
		})
	}
}

// A greeting is no subject by which anything is found.
func TestSubjectsThatTellNothing(t *testing.T) {
	for _, subject := range []string{"Re: hola", "Re: 123456", "Re: ok", "Re: (no subject)", "Re: "} {
		m := service.Inbound{Medium: service.Mail, Network: mailbox, Author: ana, ID: "1", Subject: subject}
		for _, key := range slices.Concat(m.Keys(), m.Leaves()) {
			if key.Kind == service.KeySubject {
				t.Errorf("%q leaves %v", subject, key)
			}
		}
	}
}

func FuzzSubject(f *testing.F) {
	f.Add("Re: Fwd: RE[2]: order")
	f.Fuzz(func(t *testing.T, text string) {
		about, _ := service.Subject(text)
		if len(about) > 1000 || !utf8.ValidString(about) {
			t.Errorf("%d bytes: %q", len(about), about)
		}
	})
}
