package service_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/service"
)

var noon = time.Date(2027, 3, 22, 12, 0, 0, 0, time.UTC)

func in(hours float64) time.Time { return noon.Add(time.Duration(hours * float64(time.Hour))) }

func TestConversation(t *testing.T) {
	bounds := service.Bounds{CloseAfter: 48 * time.Hour}
	open := service.Conversation{State: service.ConversationOpen, WaitingSince: noon, LastInbound: noon}
	waiting := service.Conversation{State: service.ConversationWaiting, LastInbound: noon, LastOutbound: in(1)}
	snoozed := service.Conversation{State: service.ConversationSnoozed, WaitingSince: noon, LastInbound: noon, SnoozedUntil: in(5)}
	closed := service.Conversation{State: service.ConversationClosed, LastInbound: noon, LastOutbound: in(1), ClosedAt: in(2)}
	cases := map[string]struct {
		why  string
		from service.Conversation
		e    service.ConversationEvent
		want service.Conversation
	}{
		"First":        {"somebody writes to us", service.Conversation{}, service.ConversationEvent{Kind: service.MessageReceived, At: noon}, open},
		"WeBegin":      {"we write to somebody", service.Conversation{}, service.ConversationEvent{Kind: service.MessageAnswered, At: noon}, service.Conversation{State: service.ConversationWaiting, LastOutbound: noon}},
		"Again":        {"the customer has waited since the first message", open, service.ConversationEvent{Kind: service.MessageReceived, At: in(1)}, service.Conversation{State: service.ConversationOpen, WaitingSince: noon, LastInbound: in(1)}},
		"Answered":     {"it is the customer's turn", open, service.ConversationEvent{Kind: service.MessageAnswered, At: in(1)}, waiting},
		"Crossed":      {"an answer that was written before the customer wrote does not answer that", open, service.ConversationEvent{Kind: service.MessageAnswered, At: in(-1)}, service.Conversation{State: service.ConversationOpen, WaitingSince: noon, LastInbound: noon, LastOutbound: in(-1)}},
		"CrossedLate":  {"who wrote twice waits since what is not answered", service.Conversation{State: service.ConversationOpen, WaitingSince: noon, LastInbound: in(2)}, service.ConversationEvent{Kind: service.MessageAnswered, At: in(1)}, service.Conversation{State: service.ConversationOpen, WaitingSince: in(2), LastInbound: in(2), LastOutbound: in(1)}},
		"Acknowledged": {"a program answers nobody", open, service.ConversationEvent{Kind: service.MessageAcknowledged, At: in(1)}, open},
		"Noted":        {"nor does a note", open, service.ConversationEvent{Kind: service.NoteAdded, At: in(1)}, open},
		"Reply":        {"our turn again", waiting, service.ConversationEvent{Kind: service.MessageReceived, At: in(3)}, service.Conversation{State: service.ConversationOpen, WaitingSince: in(3), LastInbound: in(3), LastOutbound: in(1)}},
		"Bounced":      {"the customer has read nothing and waits", waiting, service.ConversationEvent{Kind: service.MessageBounced, At: in(3)}, service.Conversation{State: service.ConversationOpen, WaitingSince: in(3), LastInbound: noon, LastOutbound: in(1)}},
		"Snoozed":      {"the customer waits on", open, service.ConversationEvent{Kind: service.SnoozeAsked, At: in(1), Until: in(5)}, snoozed},
		"Awake":        {"its time has come", snoozed, service.ConversationEvent{Kind: service.TimeCame, At: in(5)}, open},
		"Asleep":       {"its time has not come", snoozed, service.ConversationEvent{Kind: service.TimeCame, At: in(4.9)}, snoozed},
		"Woken":        {"what comes in wakes it", snoozed, service.ConversationEvent{Kind: service.MessageReceived, At: in(2)}, service.Conversation{State: service.ConversationOpen, WaitingSince: noon, LastInbound: in(2)}},
		"GivenUp":      {"the customer says nothing any more; it ended when it was to, and not when somebody looked", waiting, service.ConversationEvent{Kind: service.TimeCame, At: in(99)}, service.Conversation{State: service.ConversationClosed, LastInbound: noon, LastOutbound: in(1), ClosedAt: in(49)}},
		"Patience":     {"the customer may still answer", waiting, service.ConversationEvent{Kind: service.TimeCame, At: in(48.9)}, waiting},
		"OpenForever":  {"as long as somebody waits for us, it does not end by itself", open, service.ConversationEvent{Kind: service.TimeCame, At: in(999)}, open},
		"Closed":       {"nobody waits any more", waiting, service.ConversationEvent{Kind: service.CloseAsked, At: in(2)}, closed},
		"ClosedTwice":  {"it has ended when it did", closed, service.ConversationEvent{Kind: service.CloseAsked, At: in(9)}, closed},
		"Reopened":     {"by the customer", closed, service.ConversationEvent{Kind: service.MessageReceived, At: in(9)}, service.Conversation{State: service.ConversationOpen, WaitingSince: in(9), LastInbound: in(9), LastOutbound: in(1), Reopened: 1}},
		"ByHand":       {"by an agent", closed, service.ConversationEvent{Kind: service.ReopenAsked, At: in(9)}, service.Conversation{State: service.ConversationOpen, LastInbound: noon, LastOutbound: in(1), Reopened: 1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := tc.from.Next(tc.e, bounds)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func TestRefusedOfConversations(t *testing.T) {
	open := service.Conversation{State: service.ConversationOpen}
	cases := map[string]struct {
		from service.Conversation
		e    service.ConversationEvent
		want service.Reason
	}{
		"Closed":  {service.Conversation{State: service.ConversationClosed}, service.ConversationEvent{Kind: service.SnoozeAsked, At: noon, Until: in(1)}, service.ReasonClosed},
		"Past":    {open, service.ConversationEvent{Kind: service.SnoozeAsked, At: noon, Until: noon}, service.ReasonPast},
		"Nothing": {service.Conversation{}, service.ConversationEvent{Kind: service.SnoozeAsked, At: noon, Until: in(1)}, service.ReasonUnknown},
		"Unknown": {open, service.ConversationEvent{Kind: "Sneeze", At: noon}, service.ReasonUnknown},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := tc.from.Next(tc.e, service.Bounds{})
			wantRefusal(t, err, tc.want)
			if diff := cmp.Diff(tc.from, got); diff != "" {
				t.Errorf("what is refused changes nothing:\n%s", diff)
			}
		})
	}
}

func wantRefusal(t testing.TB, err error, want service.Reason) service.Refusal {
	t.Helper()
	var refusal *service.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != want {
		t.Fatalf("got %v, want it refused because of %s", err, want)
	}
	return *refusal
}

// Whatever happens in whatever order, what a conversation says of itself fits together, and time alone brings it to rest.
func TestConversationsFitTogether(t *testing.T) {
	bounds := service.Bounds{CloseAfter: 5 * time.Hour}
	rapid.Check(t, func(t *rapid.T) {
		c, now := service.Conversation{}, noon
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 300).Draw(t, "minutes")) * time.Minute)
			e := service.ConversationEvent{Kind: rapid.SampledFrom(service.ConversationEventKinds()).Draw(t, "kind"), At: now}
			e.Until = now.Add(time.Duration(rapid.Int64Range(-60, 600).Draw(t, "until")) * time.Minute)
			if e.Kind == service.MessageAnswered {
				e.At = now.Add(-time.Duration(rapid.Int64Range(0, 90).Draw(t, "written")) * time.Minute)
			}
			next, err := c.Next(e, bounds)
			if err != nil && next != c {
				t.Fatalf("what is refused changes nothing: %+v", next)
			}
			c = next
			switch {
			case (c.State == service.ConversationClosed) == c.ClosedAt.IsZero(), (c.State == service.ConversationSnoozed) == c.SnoozedUntil.IsZero():
				t.Fatalf("the state and its times disagree after %s: %+v", e.Kind, c)
			case !c.WaitingSince.IsZero() && (c.State == service.ConversationWaiting || c.State == service.ConversationClosed):
				t.Fatalf("the customer waits and does not after %s: %+v", e.Kind, c)
			case e.Kind == service.MessageReceived && (c.State != service.ConversationOpen || c.WaitingSince.IsZero()):
				t.Fatalf("a message that came in is not to be answered: %+v", c)
			}
		}
		for range 3 {
			at, ok := c.WakeAt(bounds)
			if !ok {
				return
			}
			c, _ = c.Next(service.ConversationEvent{Kind: service.TimeCame, At: at}, bounds)
		}
		t.Fatalf("it does not come to rest: %+v", c)
	})
}
