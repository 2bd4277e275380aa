package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// NotifyKind is a document that a rule posts.
const NotifyKind = "Notify"

// Notice is what a rule tells somebody outside. Members are added, and neither renamed nor removed.
type Notice struct {
	Type  string    `json:"type"` // rule.notify
	ID    string    `json:"id"`   // the same at every try
	At    time.Time `json:"at"`
	Rule  string    `json:"rule"`
	Step  string    `json:"step"`
	Entry string    `json:"entry"`
	Event NoticeOf  `json:"event"`
	// Contact is the public id of whom it is about; "" where nobody is known.
	Contact string `json:"contact,omitempty"`
	// Conversation and Ticket are the numbers of those that the entry has, as people name them.
	Conversation int64  `json:"conversation,omitempty"`
	Ticket       int64  `json:"ticket,omitempty"`
	Text         string `json:"text,omitempty"` // of the template
}

// queuedNotice is a notice that waits to leave. The text of its template is written then.
type queuedNotice struct {
	Notice
	Template string `json:"template,omitempty"`
}

// NoticeOf is what the entry began with.
type NoticeOf struct {
	Name    string          `json:"name"`
	At      time.Time       `json:"at"`
	Subject string          `json:"subject,omitempty"`
	Facts   json.RawMessage `json:"facts,omitempty"`
}

// NoticeType tells what rules post from what else an endpoint may get.
const NoticeType = "rule.notify"

// notify has documents posted about what entries began with.
func (w *walker) notify(ctx context.Context, step *automate.Step, effects []effect) error {
	list := make([]outgoing, len(effects))
	conversations, tickets, err := w.caseNumbers(ctx, effects)
	if err != nil {
		return err
	}
	for i, e := range effects {
		notice := Notice{
			Type: NoticeType, ID: e.identity(), At: w.now, Rule: e.bound.name, Step: step.Name, Entry: e.publicID, Contact: e.person.publicID,
			Conversation: conversations[e.conversation], Ticket: tickets[e.ticket],
		}
		if e.origin != nil {
			notice.Event = NoticeOf{Name: w.book.eventName(e.origin.watch), At: e.origin.at, Subject: e.origin.subject, Facts: e.origin.document}
		}
		list[i] = outgoing{
			kind: NotifyKind, channel: step.Notify.Channel, dedup: notice.ID, rule: e.bound.versionKey.rule, entry: e.id, step: step.Name,
			body: queuedNotice{notice, step.Notify.Template},
		}
	}
	return enqueueOutbox(ctx, w.tx, w.now, list)
}

// eventName is an event as rules name it.
func (b *ruleBook) eventName(id int32) string {
	w := b.watches[id]
	if w.event == namedEvent {
		return w.name
	}
	return w.event
}
