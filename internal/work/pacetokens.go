package work

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// pick moves rows for which there are tokens behind the first n, until there are most, and leaves the others in order.
func (p *pacer) pick(c pace.Class, rows []store.PendingRow, n, most int) int {
	w := &p.classes[c]
	for i := n; i < len(rows) && n < most; i++ {
		key := p.bucketOf(rows[i].Receiver)
		if key != 0 || p.whole() {
			held := w.tokens[key]
			if held.n == 0 {
				continue
			}
			held.n--
			w.tokens[key] = held
		}
		if i != n {
			row := rows[i]
			copy(rows[n+1:i+1], rows[n:i])
			rows[n] = row
		}
		n++
	}
	return n
}

// wants lists what is to be asked for: tokens for these rows, of each bucket that may have some, at most a portion of what
// the bucket is filled with or what is handed over next.
func (p *pacer) wants(c pace.Class, rows []store.PendingRow, most int, now time.Time) []store.TokenWant {
	if p.whole() && now.Before(p.classes[c].closed) {
		return nil
	}
	var wants []store.TokenWant
	places := map[int32]int{}
	for _, row := range rows {
		key := p.bucketOf(row.Receiver)
		place, known := places[key]
		if !known {
			if !p.readyAt(c, key).After(now) {
				place = len(wants)
				wants = append(wants, store.TokenWant{Receiver: key})
			} else {
				place = -1
			}
			places[key] = place
		}
		if place >= 0 && wants[place].N < max(int64(most), int64(p.rateOf(key).Portion())) {
			wants[place].N++
		}
	}
	return wants
}

// take asks for tokens and remembers for how long it is no use to ask again.
func (p *pacer) take(ctx context.Context, c pace.Class, wants []store.TokenWant) error {
	ctx, cancel := health.Step(ctx, p.tenant.o.StatementLimit)
	defer cancel()
	now := p.tenant.o.Now()
	request := store.TokenRequest{
		Channel: p.channel, Class: c, Limits: p.view.Limits, Wants: wants, Days: p.view.Limits.Days(p.zone, now.Add(p.ahead)),
	}
	granted, err := p.tenant.db.TakeTokens(ctx, request)
	if err != nil {
		return err
	}
	w := &p.classes[c]
	if w.tokens == nil {
		w.tokens, w.waits = map[int32]tokens{}, map[int32]time.Time{}
	}
	metrics := p.tenant.o.Metrics.pace
	for i, g := range granted.Grants {
		key := wants[i].Receiver
		if g.N > 0 {
			w.tokens[key] = tokens{n: w.tokens[key].n + g.N, takenAt: now, day: granted.Day}
			metrics.tokens.WithLabelValues(p.tenant.id, p.channel).Add(float64(g.N))
		}
		delete(w.waits, key)
		if g.Wait > 0 {
			w.waits[key] = now.Add(g.Wait)
			metrics.waited.WithLabelValues(p.tenant.id, p.channel, waitForReceiver).Add(g.Wait.Seconds())
		}
	}
	if granted.Wait > 0 {
		w.closed = now.Add(granted.Wait)
		reason := waitForRate
		if granted.Capped {
			reason = waitForDay
		}
		metrics.waited.WithLabelValues(p.tenant.id, p.channel, reason).Add(granted.Wait.Seconds())
	}
	return nil
}

// unused gives the tokens of rows back that were admitted and whose messages were not handed over.
func (p *pacer) unused(c pace.Class, rows []store.PendingRow) {
	if len(rows) == 0 || p.free.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, row := range rows {
		key := p.bucketOf(row.Receiver)
		if p.classes[c].tokens == nil || (key == 0 && !p.whole()) {
			continue
		}
		held, known := p.classes[c].tokens[key]
		if !known {
			held.takenAt = p.tenant.o.Now()
		}
		held.n++
		p.classes[c].tokens[key] = held
	}
}

// giveBack gives the tokens back that were taken before a time, and forgets waits that are over.
func (p *pacer) giveBack(ctx context.Context, before time.Time) error {
	now := p.tenant.o.Now()
	for c := range p.classes {
		w := &p.classes[c]
		maps.DeleteFunc(w.waits, func(_ int32, until time.Time) bool { return !until.After(now) })
		old := map[time.Time][]store.TokenWant{}
		for _, key := range slices.Sorted(maps.Keys(w.tokens)) {
			held := w.tokens[key]
			if held.takenAt.After(before) {
				continue
			}
			delete(w.tokens, key) // should giving back fail, they are lost: fewer leave, never more
			if held.n > 0 {
				old[held.day] = append(old[held.day], store.TokenWant{Receiver: key, N: held.n})
			}
		}
		for day, wants := range old {
			request := store.TokenRequest{Channel: p.channel, Class: pace.Class(c), Limits: p.view.Limits, Wants: wants}
			step, cancel := health.Step(ctx, p.tenant.o.StatementLimit)
			err := p.tenant.db.GiveTokensBack(step, request, day)
			cancel()
			if err != nil {
				return err
			}
		}
	}
	return nil
}
