package automate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// angry is a rule by which complaints get a ticket and an answer.
const angry = `{"on": {"event": "mention.received"}, "when": "mention.label == \"negative\"", "exit": "ticket.status == \"Closed\"", "steps": [
	{"name": "ticket", "openTicket": {"queue": "social", "priority": "High", "subject": "An angry post"}},
	{"name": "hello", "reply": {"template": "thanks"}},
	{"name": "answer", "wait": {"event": "ticket.answered", "for": "1h", "when": "ticket.assignee != \"bot\" && trigger.network == \"mastodon\"", "timeout": "late"}},
	{"name": "done", "exit": {}},
	{"name": "late", "if": {"condition": "!ticket.answered && conversation.status == \"Open\"", "then": "lead", "else": "done"}},
	{"name": "lead", "assign": {"to": "care-lead"}},
	{"name": "apology", "publish": {"template": "thanks", "channel": "toots"}, "next": "done"}]}`

// with is a rule that an event begins, with these steps.
func with(event, list string) string {
	return `{"on": {"event": "` + event + `"}, "steps": [` + list + `]}`
}

const (
	open     = `{"name": "open", "openTicket": {"queue": "social"}}`
	give     = `{"name": "give", "assign": {"to": "ana"}}`
	thank    = `{"name": "thank", "reply": {"template": "thanks"}}`
	solved   = `{"name": "solved", "wait": {"event": "ticket.resolved", "for": "1d"}}`
	twoWays  = `{"name": "which", "split": [{"weight": 1, "next": "open"}, {"weight": 1, "next": "tell"}]}, `
	isClosed = `{"name": "closed", "if": {"condition": "ticket.status == \"Closed\"", "else": "tell"}}, {"name": "x", "tag": "y"}, `
)

func TestCheckTakesCases(t *testing.T) {
	for name, text := range map[string]string{
		"a complaint":             angry,
		"a ticket's event":        with("ticket.breached", `{"name": "a", "if": {"condition": "ticket.queue == \"social\" && conversation.messages > 3", "then": "give"}}, `+tell+`, `+give),
		"of a queue":              `{"on": {"event": "ticket.opened", "queue": "social"}, "key": "ticket.number", "steps": [` + give + `, ` + thank + `]}`,
		"a message":               `{"on": {"event": "message.received"}, "key": "conversation.number", "when": "message.text.contains(\"bill\") && conversation.messages == 1", "steps": [` + thank + `]}`,
		"a conversation":          `{"on": {"event": "conversation.closed"}, "when": "conversation.network == \"mail\" && has(contact.plan)", "steps": [` + thank + `]}`,
		"an answer to a reply":    with("mention.received", thank+`, {"name": "more", "wait": {"event": "message.received", "for": "1d", "when": "message.sentiment > 0.0 && conversation.messages > 1", "timeout": "tell"}}, {"name": "glad", "tag": "fan"}, `+tell),
		"a message of somebody":   with("purchase", `{"name": "w", "wait": {"event": "message.received", "for": "1d"}}, `+mail),
		"opened again in a loop":  with("mention.received", open+`, `+solved+`, {"name": "again", "if": {"condition": "ticket.resolved", "then": "tell", "else": "open"}}, `+tell),
		"both ways open a ticket": with("mention.received", `{"name": "which", "split": [{"weight": 1, "next": "open"}, {"weight": 1, "next": "second"}]}, {"name": "second", "openTicket": {"queue": "orders"}, "next": "give"}, `+open+`, `+give),
		"a value of a ticket":     with("mention.received", open+`, {"name": "s", "set": [{"attribute": "vip", "expression": "ticket.breached"}]}`),
		"a publication":           with("incident.closed", `{"name": "p", "publish": {"template": "thanks", "channel": "toots"}}`),
	} {
		if err := automate.Check(read(t, text), known()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckRefusesCases(t *testing.T) {
	for text, want := range map[string]string{
		with("purchase", thank):        `step "thank", reply: there is nothing to answer: purchase is nothing that somebody wrote`,
		with("incident.opened", thank): "reply: there is nothing to answer: incident.opened is nothing",
		with("purchase", open):         `step "open", openTicket: there is nothing that a ticket could be about: purchase is nothing`,
		`{"on": {"schedule": {"cron": "0 9 * * MON"}}, "steps": [` + open + `]}`:                     "there is nothing that a ticket could be about: a schedule is nothing",
		with("mention.received", give):                                                               `step "give", assign: there is no ticket on every way to this step`,
		with("message.received", give):                                                               `step "give", assign: there is no ticket on every way to this step`,
		with("mention.received", twoWays+open+`, `+tell+`, `+give):                                   `step "give", assign: there is no ticket on every way to this step`,
		with("mention.received", solved+`, `+open):                                                   `step "solved", wait.event: ticket.resolved is awaited of the entry's ticket, and there is none on every way to this step`,
		with("purchase", `{"name": "w", "wait": {"event": "ticket.closed", "for": "1d"}}`):           "ticket.closed is awaited of the entry's ticket",
		with("incident.opened", `{"name": "w", "wait": {"event": "message.received", "for": "1d"}}`): "what a contact does is awaited, and incident.opened has none",
		with("mention.received", isClosed+tell+`, `+open):                                            `step "closed", if: it speaks of a ticket, and there is none on every way to this step: have an openTicket before it on each`,
		with("mention.received", `{"name": "a", "if": {"condition": "conversation.messages > 1", "else": "b"}}, {"name": "x", "tag": "y"}, {"name": "b", "tag": "z"}`): `step "a", if: it speaks of a conversation, and there is none on every way to this step`,
		`{"on": {"event": "mention.received"}, "when": "ticket.answered", "steps": [` + open + `]}`:                                                                    "when: there is no ticket yet when mention.received begins the rule: ask for it in a step behind openTicket",
		`{"on": {"event": "purchase"}, "exit": "ticket.answered", "steps": [` + tell + `]}`:                                                                            "exit: it speaks of a ticket, and no step opens a ticket",
		`{"on": {"event": "ticket.opened"}, "when": "ticket.number == 7", "steps": [` + tell + `]}`:                                                                    "ticket.number singles out a person: ask only whether it is known",
		`{"on": {"event": "ticket.opened"}, "when": "ticket.queu == \"x\"", "steps": [` + tell + `]}`:                                                                  `ticket has no field "queu": did you mean "queue"?`,
		`{"on": {"event": "message.received"}, "when": "message.text == \"x\"", "steps": [` + tell + `]}`:                                                              "message.text is what somebody wrote",
		`{"on": {"event": "message.received"}, "key": "message.text", "steps": [` + tell + `]}`:                                                                        "entries cannot be told apart by message.text",
		`{"on": {"event": "message.received"}, "key": "ticket.number", "steps": [` + tell + `]}`:                                                                       `"ticket.number" is no field of what happened`,
		`{"on": {"event": "ticket.opened", "queue": "socal"}, "steps": [` + tell + `]}`:                                                                                `trigger.queueRef: there is no ServiceQueue "socal": did you mean "social"?`,
		`{"on": {"event": "message.received", "queue": "social"}, "steps": [` + tell + `]}`:                                                                            "trigger.queueRef: it does not narrow message.received down",
		with("mention.received", `{"name": "o", "openTicket": {"queue": "socal", "priority": "high"}}`):                                                                `step "o", openTicket.queueRef: there is no ServiceQueue "socal"`,
		with("mention.received", `{"name": "o", "openTicket": {"queue": "social", "priority": "high"}}`):                                                               `openTicket.priority: "high" is unknown: write Low, Normal, High or Urgent`,
		with("mention.received", `{"name": "o", "openTicket": {"queue": "social", "subject": "a\nb"}}`):                                                                "openTicket.subject: a subject has at most 200 characters",
		with("mention.received", `{"name": "o", "openTicket": {}}`):                                                                                                    "openTicket.queueRef: name a ServiceQueue",
		with("ticket.opened", `{"name": "g", "assign": {"to": " ana"}}`):                                                                                               "assign.to: name an agent",
		with("ticket.opened", `{"name": "g", "assign": {}}`):                                                                                                           "assign.to: name an agent",
		with("ticket.opened", `{"name": "r", "reply": {"template": "thank"}}`):                                                                                         `reply.templateRef: there is no MessageTemplate "thank": did you mean "thanks"?`,
		with("purchase", `{"name": "p", "publish": {"template": "thank", "channel": "care"}}`):                                                                         `publish.templateRef: there is no MessageTemplate "thank"`,
		with("purchase", `{"name": "p", "publish": {"template": "thanks", "channel": "care"}}`):                                                                        `publish.channelRef: MessageChannel "care" is of type Webhook, and this step needs one of type Mastodon or Bluesky`,
	} {
		err := automate.Check(read(t, text), known())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
	// A queue that is to come heals by itself.
	var wrong *automate.Error
	err := automate.Check(read(t, with("mention.received", `{"name": "o", "openTicket": {"queue": "returns"}}`)), known())
	if !errors.As(err, &wrong) || !wrong.Waits() || wrong.Issues[0].Missing != automate.QueueKind || wrong.Issues[0].Name != "returns" {
		t.Errorf("a missing queue is %v", err)
	}
}

// TestStepsWithoutACaseArePassedOver: what is not there any more is neither answered nor assigned.
func TestStepsWithoutACaseArePassedOver(t *testing.T) {
	plan := compile(t, with("mention.received", open+`, `+give+`, `+thank+`, {"name": "p", "publish": {"template": "thanks", "channel": "toots"}}`))
	for name, c := range map[string]struct {
		in      automate.Input
		effects []int
	}{
		"as it is":         {automate.Input{Answerable: true}, []int{0, 1, 2, 3}},
		"it is forgotten":  {automate.Input{}, []int{3}},
		"but has a ticket": {automate.Input{Ticket: true}, []int{1, 3}},
	} {
		c.in.Now = start
		out := plan.Next(plan.Begin(start), c.in)
		var effects []int
		for _, e := range out.Effects {
			effects = append(effects, e.Step)
		}
		if diff := cmp.Diff(c.effects, effects); diff != "" || out.State.Status != automate.Ended {
			t.Errorf("%s: %s, -want +got:\n%s", name, out.State.Status, diff)
		}
		for i, p := range out.Path {
			if passed := p.How == automate.Nothing; passed == (len(effects) == 4) && i < 3 && !c.in.Ticket {
				t.Errorf("%s: step %d is %s", name, i, p.How)
			}
		}
	}
}

// TestMoveWithACase: who waits for a ticket goes on waiting for it in another version.
func TestMoveWithACase(t *testing.T) {
	old := compile(t, with("mention.received", open+`, `+solved+`, `+tell))
	s := old.Next(old.Begin(start), automate.Input{Now: start, Answerable: true}).State
	if s.Awaits != "ticket.resolved" {
		t.Fatalf("%+v", s)
	}
	edited := compile(t, with("mention.received", open+`, {"name": "solved", "wait": {"event": "ticket.closed", "for": "2d"}}, `+give))
	moved, ok := edited.Move(s, automate.Input{Now: start})
	if !ok || moved.Awaits != "ticket.closed" || !moved.WakeAt.Equal(start.Add(48*time.Hour)) || moved.Turn != s.Turn {
		t.Errorf("%+v, %t", moved, ok)
	}
}

func TestDryRunOfACase(t *testing.T) {
	plan := compile(t, angry)
	const post = `{"at": "2027-03-23T10:00:00Z", "fields": {"label": "negative", "network": "mastodon"}`
	for name, c := range map[string]struct{ sample, want string }{
		"nobody answers": {post + `}`, `03-23T10:00 ticket Done
03-23T10:00 hello Done
03-23T10:00 answer Waits
03-23T11:00 answer TimedOut
03-23T11:00 late Then; ticket.answered does not hold; conversation.status == "Open" holds: conversation.status is "Open"
03-23T11:00 lead Done
03-23T11:00 apology Done
03-23T11:00 done Left
Exited `},
		"somebody does": {
			post + `, "later": [{"event": "ticket.answered", "after": "10m", "fields": {"assignee": "bot"}}, {"event": "ticket.answered", "after": "20m", "fields": {"assignee": "ana"}}]}`,
			`03-23T10:00 ticket Done
03-23T10:00 hello Done
03-23T10:00 answer Waits
03-23T10:20 answer Arrived; ticket.assignee != "bot" holds: ticket.assignee is "ana"; trigger.network == "mastodon" holds: trigger.network is "mastodon"
03-23T10:20 done Left
Exited `,
		},
		"it is closed meanwhile": {post + `, "later": [{"event": "ticket.closed", "after": "10m"}]}`, `03-23T10:00 ticket Done
03-23T10:00 hello Done
03-23T10:00 answer Waits
03-23T11:00 answer Left; ticket.status == "Closed" holds: ticket.status is "Closed"
Exited its exit condition holds`},
	} {
		if _, got := try(t, plan, c.sample, ""); got != c.want {
			t.Errorf("%s: -want +got:\n%s", name, cmp.Diff(c.want, got))
		}
	}
	trial, _ := try(t, plan, post+`}`, "")
	var does []string
	for _, s := range trial.Steps {
		does = append(does, s.Does)
	}
	want := []string{
		"open a ticket in social, High: An angry post", "reply with thanks", "assign the ticket to care-lead", "publish thanks over toots",
	}
	for _, words := range want {
		if !strings.Contains(strings.Join(does, "\n"), words) {
			t.Errorf("it does not tell %q: %q", words, does)
		}
	}

	// A ticket's own event tells how it stands, and a conversation may be told beside it.
	plan = compile(t, with("ticket.breached", `{"name": "a", "if": {"condition": "ticket.breached && !ticket.answered && conversation.messages > 3", "then": "give"}}, `+tell+`, `+give))
	_, got := try(t, plan, `{"event": "ticket.breached", "fields": {"queue": "social"}, "conversation": {"messages": 4}}`, "")
	if !strings.Contains(got, "a Then") {
		t.Error(got)
	}
	for _, wrong := range []string{`{"conversation": {"mesages": 4}}`, `{"fields": {"queu": "x"}}`} {
		if _, err := automate.ReadSample(plan, []byte(wrong), start, time.UTC); err == nil || !strings.Contains(err.Error(), "did you mean") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
