package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/service"
)

// errUnwritten says that what an entry is to answer is not there any more.
var errUnwritten = errors.New("what somebody wrote is not there any more")

// refuse leaves an entry at the step that cannot be carried out for it, for a person to retry or to end. What it did before stays done.
func (e effect) refuse(w *walker, err error) {
	reason := Brief(err).Error()
	var refused *service.Refusal
	if errors.As(err, &refused) {
		reason = refused.Words
	}
	e.refused = e.turn
	e.state = automate.State{Step: e.step.Name, Status: automate.Stuck, Turn: e.turn, Since: w.now, Reason: reason}
	e.attempts++
	w.counts.Effects--
}

// talk finds the conversations of effects, and makes those that what somebody wrote has not got yet. It leaves out entries for which there is
// nothing any more.
func (w *walker) talk(ctx context.Context, effects []effect) ([]effect, error) {
	var mentions []int64
	for _, e := range effects {
		if e.conversation == 0 {
			mentions = append(mentions, e.origin.ref)
		}
	}
	if len(mentions) > 0 {
		found, err := conversationsOf(ctx, w.tx, mentions)
		if err != nil {
			return nil, fmt.Errorf("find the conversations of posts: %w", err)
		}
		for _, e := range effects {
			if e.conversation == 0 {
				e.conversation, e.cared = found[e.origin.ref], true
			}
		}
	}
	kept := effects[:0:0]
	for _, e := range effects {
		if e.conversation == 0 {
			e.refuse(w, errUnwritten)
			continue
		}
		kept = append(kept, e)
	}
	return kept, nil
}

// openTickets has people look after what entries began with.
func (w *walker) openTickets(ctx context.Context, effects []effect) error {
	effects, err := w.talk(ctx, effects)
	if err != nil || len(effects) == 0 {
		return err
	}
	wishes := make([]ticketWish, len(effects))
	for i, e := range effects {
		open := e.step.OpenTicket
		wishes[i] = ticketWish{Conversation: e.conversation, Queue: open.Queue, Priority: open.Priority, Subject: open.Subject, Entry: e.id}
	}
	tickets, refused, err := openTickets(ctx, w.tx, wishes)
	if err != nil {
		return err
	}
	for i, e := range effects {
		if refused[i] != nil {
			e.refuse(w, refused[i])
			continue
		}
		e.ticket, e.acted, e.cared = tickets[i], true, true
	}
	return nil
}

// assignTickets gives the tickets of entries to somebody.
func (w *walker) assignTickets(ctx context.Context, effects []effect) error {
	wishes := make([]assignWish, len(effects))
	for i, e := range effects {
		e.acted, e.cared = true, true
		wishes[i] = assignWish{Ticket: e.ticket, To: e.step.Assign.To}
	}
	refused, err := assignTickets(ctx, w.tx, wishes)
	if err != nil {
		return err
	}
	for i, e := range effects {
		if refused[i] != nil {
			e.refuse(w, refused[i])
		}
	}
	return nil
}

// reply answers what entries began with. The effect's identity names the answer, so that there is one, whatever is repeated.
func (w *walker) reply(ctx context.Context, effects []effect) error {
	effects, err := w.talk(ctx, effects)
	if err != nil || len(effects) == 0 {
		return err
	}
	wishes := make([]replyWish, len(effects))
	for i, e := range effects {
		wishes[i] = replyWish{
			Conversation: e.conversation, Mention: e.answers(), Template: e.step.Reply.Template, Dedup: e.identity(),
			Rule: e.bound.versionKey.rule, Entry: e.id, Step: e.step.Name, At: w.now,
		}
	}
	refused, err := queueReplies(ctx, w.tx, wishes)
	if err != nil {
		return err
	}
	for i, e := range effects {
		if refused[i] != nil {
			e.refuse(w, refused[i])
		}
	}
	return nil
}

// answers is the mention with which an entry began, if it began with one; else the newest of its conversation is answered.
func (k *walk) answers() int64 {
	switch {
	case k.origin == nil || !k.origin.answerable:
		return 0
	case k.origin.subject == "mention":
		return k.origin.ref
	case k.origin.subject == "message":
		return k.origin.ref3
	}
	return 0
}

// publish writes to everybody.
func (w *walker) publish(ctx context.Context, step *automate.Step, effects []effect) error {
	list := make([]outgoing, len(effects))
	for i, e := range effects {
		list[i] = outgoing{
			kind: PublicationKind, channel: step.Publish.Channel, dedup: "publish/" + e.identity(), rule: e.bound.versionKey.rule, entry: e.id,
			step: step.Name, body: PostBody{Template: step.Publish.Template, Auto: true},
		}
	}
	return enqueueOutbox(ctx, w.tx, w.now, list)
}
