package work

import (
	"context"
	"errors"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// How many postings are taken at once: what is looked for one by one is taken so.
const (
	noticesAtOnce = 100
	mailsAtOnce   = 20
)

// desk is what a worker keeps of a channel to post over it. One goroutine at a time uses it.
type desk struct {
	*tenant
	name    string
	channel *channel
	asked   asked
	account account
	// unsettled is what came of postings and could not be written down yet: it is written before anything else is done.
	unsettled []store.Posted
}

func newDesk(t *tenant, name string) *desk {
	d := &desk{tenant: t, name: name, channel: newChannel(t, name)}
	for _, outcome := range postingOutcomes {
		t.o.Metrics.rules.postings.WithLabelValues(t.id, name, outcome)
	}
	return d
}

// wants tells whether anything may be done with the channel at the moment.
func (d *desk) wants() bool { return d.channel.circuit.closed() || len(d.unsettled) > 0 }

// run posts what is due.
func (d *desk) run(ctx context.Context) error {
	if err := d.settle(ctx, nil); err != nil {
		return err
	}
	settings, err := d.load(ctx)
	if errors.Is(err, store.ErrNotFound) || err == nil && settings.Suspended {
		return nil // it waits, and fails in the end
	}
	if err != nil {
		return err
	}
	if d.mustLogIn(settings) {
		if err := errors.Join(d.logIn(ctx, settings), d.announce(ctx)); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		more, err := d.once(ctx, settings)
		if announced := d.announce(ctx); err == nil {
			err = announced
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// once posts some of what is due. more is false where there is no more, or it has to wait.
func (d *desk) once(ctx context.Context, settings store.Channel) (more bool, err error) {
	most := d.channel.circuit.admit(atOnce(settings))
	if most == 0 {
		return false, nil
	}
	list, err := d.take(ctx, most)
	if err != nil || len(list) == 0 {
		d.channel.circuit.untold()
		return false, err
	}
	now, settled, err := d.admit(ctx, list)
	if err != nil || len(now) == 0 {
		d.channel.circuit.untold()
	}
	if err == nil && len(now) > 0 {
		held, release := d.hold(ctx, now)
		settled = append(settled, d.post(held, settings, now)...)
		release()
	}
	if failed := d.settle(ctx, settled); err == nil {
		err = failed
	}
	return len(list) == most && len(now) == len(list), err
}

func atOnce(c store.Channel) int {
	switch {
	case c.IsSocial():
		return 1
	case c.Type == store.EmailType:
		return mailsAtOnce
	}
	return noticesAtOnce
}

// post hands postings over, by the channel's type, and tells what came of each.
func (d *desk) post(ctx context.Context, settings store.Channel, list []store.Posting) []store.Posted {
	var settled []store.Posted
	switch {
	case settings.IsSocial():
		for _, p := range list {
			settled = append(settled, d.publish(ctx, settings, p))
		}
	case settings.Type == store.EmailType:
		settled = d.mail(ctx, settings, list)
	default:
		settled = d.notify(ctx, settings, list)
	}
	for i := range settled {
		settled[i].Reply = shortened(settled[i].Reply)
	}
	return settled
}

func (d *desk) load(ctx context.Context) (store.Channel, error) {
	ctx, cancel := health.Step(ctx, d.o.StatementLimit)
	defer cancel()
	return d.db.LoadChannel(ctx, d.name)
}

func (d *desk) take(ctx context.Context, most int) ([]store.Posting, error) {
	ctx, cancel := health.Step(ctx, d.o.StatementLimit)
	defer cancel()
	return d.rules.TakeOutbox(ctx, d.name, most, d.o.Lease)
}

// settle writes what came of postings, also where the worker is told to stop meanwhile. What cannot be written is kept for the next time: nobody
// else knows it.
func (d *desk) settle(ctx context.Context, list []store.Posted) error {
	d.unsettled = append(d.unsettled, list...)
	if len(d.unsettled) == 0 {
		return nil
	}
	ctx, cancel := health.Step(context.WithoutCancel(ctx), d.o.StatementLimit)
	defer cancel()
	if err := d.rules.SettleOutbox(ctx, d.unsettled); err != nil {
		return err
	}
	for _, s := range d.unsettled {
		d.o.Metrics.rules.postings.WithLabelValues(d.id, d.name, postingOutcome(s)).Inc()
	}
	d.unsettled = nil
	return nil
}

// announce tells the operator how the channel fares.
func (d *desk) announce(ctx context.Context) error {
	ctx, cancel := health.Step(context.WithoutCancel(ctx), d.o.StatementLimit)
	defer cancel()
	return d.channel.announce(ctx)
}

// admit takes tokens for postings where the channel has a rate. Those for which there are none wait. An answer goes before what nobody waits for,
// as mail of priority Transactional does.
func (d *desk) admit(ctx context.Context, list []store.Posting) (now []store.Posting, later []store.Posted, err error) {
	ctx, cancel := health.Step(ctx, d.o.StatementLimit)
	defer cancel()
	view, err := d.db.LoadPace(ctx, d.name)
	if err != nil {
		return nil, unoffered(list, ""), err
	}
	if view.Limits.PerSecond == 0 && !view.Limits.Daily() {
		return list, nil, nil
	}
	for _, class := range []pace.Class{pace.Transactional, pace.Bulk} {
		var of []store.Posting
		for _, p := range list {
			if (p.Kind == store.ReplyKind) == (class == pace.Transactional) {
				of = append(of, p)
			}
		}
		if len(of) == 0 {
			continue
		}
		tokens, err := d.db.TakeTokens(ctx, store.TokenRequest{
			Channel: d.name, Class: class, Limits: view.Limits, Wants: []store.TokenWant{{N: int64(len(of))}},
			Days: view.Limits.Days(crm.ZoneOrUTC(view.TimeZone), view.Now),
		})
		if err != nil {
			return nil, unoffered(list, ""), err
		}
		n := min(tokens.Grants[0].N, int64(len(of)))
		now = append(now, of[:n]...)
		for _, s := range unoffered(of[n:], "") {
			s.Retry = max(tokens.Wait, tokens.Grants[0].Wait, 100*time.Millisecond)
			later = append(later, s)
		}
	}
	return now, later, nil
}

// unoffered gives postings back that nobody was offered.
func unoffered(list []store.Posting, reply string) []store.Posted {
	settled := make([]store.Posted, len(list))
	for i, p := range list {
		settled[i] = untried(p, reply)
	}
	return settled
}

// untried gives a posting back as it was taken.
func untried(p store.Posting, reply string) store.Posted {
	s := store.Posted{Posting: p, State: store.PostingPending, Reply: reply, Untried: true}
	if p.Look {
		s.State = store.PostingIntent
	}
	return s
}

// close ends the connections. Nobody uses them any more.
func (d *desk) close() {
	d.channel.close()
	d.account.close()
}

// shortened bounds what is kept of an answer.
func shortened(reply string) string {
	const most = 200
	if runes := []rune(reply); len(runes) > most {
		return string(runes[:most])
	}
	return reply
}
