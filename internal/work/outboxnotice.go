package work

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// ReplyDocument is an answer as an endpoint gets it. Members are added, and neither renamed nor removed.
type ReplyDocument struct {
	Type         string    `json:"type"` // conversation.reply
	ID           string    `json:"id"`   // the same at every try
	At           time.Time `json:"at"`
	Conversation string    `json:"conversation"`
	Number       int64     `json:"number"`
	Network      string    `json:"network"`
	Answers      string    `json:"answers"` // what is answered, as the source named it
	To           ReplyTo   `json:"to"`
	Subject      string    `json:"subject,omitempty"`
	Text         string    `json:"text"`
	Automatic    bool      `json:"automatic"` // a rule wrote it
}

// ReplyTo is who is answered, as the source named them.
type ReplyTo struct {
	ID     string `json:"id,omitempty"`
	Handle string `json:"handle,omitempty"`
}

// ReplyType tells answers from what else an endpoint may get.
const ReplyType = "conversation.reply"

// notify posts documents to an endpoint, at least once and under the same id: what rules tell, and answers to who wrote by a system of that kind.
func (d *desk) notify(ctx context.Context, settings store.Channel, list []store.Posting) []store.Posted {
	used, err := d.channel.useConnections(settings)
	if err != nil {
		d.channel.report(ctx, nil, err)
		return unoffered(list, err.Error())
	}
	defer d.channel.doneWith(used)
	settled := make([]store.Posted, 0, len(list))
	var messages []deliver.Message
	var posted []store.Posting
	for _, p := range list {
		data, err := d.document(ctx, &p)
		if err != nil {
			settled = append(settled, unwritten(p, err))
			continue
		}
		posted = append(posted, p)
		messages = append(messages, deliver.Message{ID: p.DedupID, To: d.name + "@channel.invalid", Data: data})
	}
	if len(messages) == 0 {
		d.channel.circuit.untold()
		return settled
	}
	health.Wait(ctx, watchedElsewhere)
	results, err := used.Deliver(ctx, messages)
	health.Wait(ctx, 0)
	d.report(ctx, results, err)
	for i, p := range posted {
		var r deliver.Result
		if i < len(results) {
			r = results[i]
		}
		s := planNotified(p, r, err, ctx.Err() != nil)
		if s.State == store.PostingSent && p.Kind == store.ReplyKind {
			s.Native = p.DedupID
		}
		settled = append(settled, s)
	}
	return settled
}

// report learns from a batch how the channel fares.
func (d *desk) report(ctx context.Context, results []deliver.Result, err error) {
	if ctx.Err() != nil {
		d.channel.circuit.untold()
		return
	}
	d.channel.report(ctx, results, err)
}

// document writes what an endpoint gets.
func (d *desk) document(ctx context.Context, p *store.Posting) ([]byte, error) {
	switch p.Kind {
	case store.NotifyKind:
		return d.notice(ctx, *p)
	case store.ReplyKind:
		return d.replyDocument(ctx, p)
	}
	return nil, unpostable(fmt.Sprintf("a channel of this type takes nothing of kind %s", p.Kind))
}

// notice writes what a rule tells, with the text of its template where it has one.
func (d *desk) notice(ctx context.Context, p store.Posting) ([]byte, error) {
	ctx, cancel := health.Step(ctx, d.o.StatementLimit)
	defer cancel()
	notice, name, err := p.ReadNotice()
	if err != nil {
		return nil, unpostable(err.Error())
	}
	if name != "" {
		if notice.Text, err = d.renderNotice(ctx, notice, name); err != nil {
			return nil, err
		}
	}
	return json.Marshal(notice)
}

func (d *desk) renderNotice(ctx context.Context, notice store.Notice, name string) (string, error) {
	stored, err := d.db.LoadTemplate(ctx, name)
	if err != nil {
		return "", store.Brief(err)
	}
	template, err := compose.Template(stored)
	if err != nil {
		return "", err
	}
	t, err := d.db.LoadTenant(ctx)
	if err != nil {
		return "", store.Brief(err)
	}
	contact, locale, err := d.contactFields(ctx, notice.Contact)
	if err != nil {
		return "", err
	}
	vars := render.Vars{"contact": contact, "tenant": map[string]any{"display_name": t.DisplayName}, "rule": notice.Rule}
	if notice.Event.Subject != "" {
		var facts map[string]any
		if err := json.Unmarshal(notice.Event.Facts, &facts); err != nil {
			return "", fmt.Errorf("read what happened: %w", err)
		}
		vars[notice.Event.Subject] = facts
	}
	rendered, err := template.Render(locale, vars)
	return rendered.Text, err
}

// replyDocument writes an answer, and commits what it says: the conversation shows it.
func (d *desk) replyDocument(ctx context.Context, p *store.Posting) ([]byte, error) {
	w, f, err := d.write(ctx, *p)
	if err != nil {
		return nil, err
	}
	body, err := p.ReadPost()
	if err != nil {
		return nil, unpostable(err.Error())
	}
	// The endpoint knows it by its id, so that it may be posted again without being asked for.
	if *p, err = d.commit(ctx, *p, w, true); err != nil {
		return nil, err
	}
	return json.Marshal(ReplyDocument{
		Type: ReplyType, ID: p.DedupID, At: p.IntentAt, Conversation: f.Conversation, Number: f.ConversationNumber, Network: f.Network, Answers: f.NativeID,
		To: ReplyTo{ID: f.Author, Handle: f.Handle}, Subject: w.Subject, Text: w.Text(), Automatic: body.Auto,
	})
}
