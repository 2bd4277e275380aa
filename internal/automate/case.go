package automate

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/service"
)

// The bounds of what steps say about tickets.
const (
	maxSubject = 200 // characters
	maxAgent   = 100 // characters
)

func (c Case) or(o Case) Case {
	return Case{c.Answerable || o.Answerable, c.Conversation || o.Conversation, c.Ticket || o.Ticket}
}

func (c Case) and(o Case) Case {
	return Case{c.Answerable && o.Answerable, c.Conversation && o.Conversation, c.Ticket && o.Ticket}
}

// brings is what a step adds to the case of an entry.
func (s Step) brings() Case {
	return Case{Conversation: s.Reply != nil || s.OpenTicket != nil, Ticket: s.OpenTicket != nil}
}

// everCase is what the steps of a rule may add.
func (r Rule) everCase() (all Case) {
	for _, s := range r.Steps {
		all = all.or(s.brings())
	}
	return all
}

// certain is, by step, what there is on every way that leads to it. Of a step to which no way leads all is certain.
func (p *Plan) certain() []Case {
	steps := p.Rule.Steps
	all := Case{Answerable: true, Conversation: true, Ticket: true}
	at := make([]Case, len(steps))
	for i := range at {
		at[i] = all
	}
	at[0] = p.Event.Case
	for changed := true; changed; { // what is certain only ever gets less
		changed = false
		for i, s := range steps {
			behind := at[i].or(s.brings())
			for _, next := range inside(p.ways(i), len(steps)) {
				if less := at[next].and(behind); less != at[next] {
					at[next], changed = less, true
				}
			}
		}
	}
	return at
}

// needsWriting tells whether a step can do nothing where nobody has written anything.
func needsWriting(s Step) bool { return s.Reply != nil || s.OpenTicket != nil }

// write checks what is written to others than the contact alone.
func (c *checker) write(s Step) {
	if p := s.Publish; p != nil {
		c.object(location{s.Name, "publish.templateRef"}, TemplateKind, p.Template, c.known.Templates)
		c.channel(location{s.Name, "publish.channelRef"}, p.Channel, "Mastodon", "Bluesky")
		return
	}
	c.object(location{s.Name, "reply.templateRef"}, TemplateKind, s.Reply.Template, c.known.Templates)
	if !c.unknown && !c.plan.Event.Case.Answerable {
		c.wrong(location{s.Name, "reply"}, "there is nothing to answer: %s is nothing that somebody wrote; begin with message.received, mention.received or a "+
			"ticket's event, or use send", c.triggerName())
	}
}

// lookAfter checks what is done with tickets.
func (c *checker) lookAfter(place int, s Step) {
	if a := s.Assign; a != nil {
		if !isLine(a.To, maxAgent) || a.To == "" {
			c.wrong(location{s.Name, "assign.to"}, "name an agent, in at most %d characters, without line breaks and spaces around it", maxAgent)
		}
		if !c.unknown && !c.cases[place].Ticket {
			c.wrong(location{s.Name, "assign"}, "there is no ticket on every way to this step: have an openTicket before it on each")
		}
		return
	}
	o := s.OpenTicket
	c.object(location{s.Name, "openTicket.queueRef"}, QueueKind, o.Queue, c.known.Queues)
	if o.Priority != "" && service.Priority(o.Priority).Rank() < 0 {
		c.wrong(location{s.Name, "openTicket.priority"}, "%q is unknown: write Low, Normal, High or Urgent", shortened(o.Priority))
	}
	if !isLine(o.Subject, maxSubject) {
		c.wrong(location{s.Name, "openTicket.subject"}, "a subject has at most %d characters, no line breaks, and no spaces around it", maxSubject)
	}
	if !c.unknown && !c.plan.Event.Case.Answerable {
		c.wrong(location{s.Name, "openTicket"}, "there is nothing that a ticket could be about: %s is nothing that somebody wrote; begin with "+
			"message.received or mention.received, or use notify", c.triggerName())
	}
}

// isLine tells whether a text is one line of at most so many characters.
func isLine(text string, most int) bool {
	isOdd := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
	return utf8.RuneCountInString(text) <= most && !strings.ContainsFunc(text, isOdd) && strings.TrimSpace(text) == text
}

// CompileTickets compiles the condition by which conversations become tickets: about the message that came in, the conversation in which it stands,
// and the contact whose it is.
func CompileTickets(schema crm.Schema, source string) (*expr.Condition, error) {
	return expr.CompileAmong(schema, []expr.Subject{receivedSubject, conversationSubject}, source)
}
