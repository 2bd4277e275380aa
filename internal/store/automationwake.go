package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// WakesAtOnce is how many entries of a rule a worker wakes in one transaction.
const WakesAtOnce = 500

// WakeEntries takes entries whose time has come, of each rule at most so many, as far as they get, in one transaction. Workers pass over what
// others hold. Who waits costs nothing: an index tells who is due.
func (r *Rules) WakeEntries(ctx context.Context, most int) (Walked, error) {
	var due []int64
	if r.Clock == nil {
		var err error
		if due, err = r.dueRules(ctx); err != nil || len(due) == 0 {
			return Walked{}, err
		}
	}
	return r.walk(ctx, "wake entries", wakes, func(tx pgx.Tx, book *ruleBook, now time.Time) (Walked, error) {
		rules := due
		if r.Clock != nil {
			rules = sortedKeys(book.inForce)
		}
		rules = slices.DeleteFunc(slices.Clone(rules), func(id int64) bool { return book.inForce[id] == nil })
		if len(rules) == 0 {
			return Walked{}, nil
		}
		// Each rule of which somebody is due gets its share of what one transaction takes.
		share := max(20, most/min(len(rules), 8))
		rows, err := tx.Query(ctx, `select `+entryColumns+` from unnest($1::bigint[]) r (id) cross join lateral (
				select d.* from automation_entry d where d.rule_id = r.id and d.status = 'Waiting' and d.wake_at <= $2 order by d.wake_at limit $3
				for no key update skip locked) e`, rules, now, share)
		if err != nil {
			return Walked{}, fmt.Errorf("look who is due: %w", err)
		}
		stored, err := readEntries(rows)
		if err != nil || len(stored) == 0 {
			return Walked{}, err
		}
		w := newWalker(tx, book, now)
		w.counts.Woken, w.counts.Repeat = len(stored), true
		walks, err := w.resume(ctx, stored)
		if err != nil {
			return Walked{}, err
		}
		if err := w.settle(ctx, walks); err != nil {
			return Walked{}, err
		}
		if err := w.admitStarted(ctx); err != nil {
			return Walked{}, err
		}
		return w.counts, w.tellTroubles(ctx)
	})
}

// dueRules lists the rules of which somebody is due.
func (r *Rules) dueRules(ctx context.Context) ([]int64, error) {
	rows, err := r.db.Pool.Query(ctx, `select r.id from automation_rule r where r.dormant_since is null and not r.suspended and exists (
		select from automation_entry e where e.rule_id = r.id and e.status = 'Waiting' and e.wake_at <= now()) order by 1`)
	if err != nil {
		return nil, fmt.Errorf("look of which rules somebody is due: %w", err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look of which rules somebody is due: %w", err)
	}
	return due, nil
}

// admitStarted takes in what entries have started.
func (w *walker) admitStarted(ctx context.Context) error {
	started := w.candidates
	w.candidates = nil
	return w.admit(ctx, started)
}

// wakesLock is the class of the advisory locks that each transaction has in which time takes entries on: any number, which is its own.
const wakesLock = "1902115853"

// wakes is the statement that such a transaction begins with, before it knows what time it is.
const wakes = "select pg_advisory_xact_lock(" + wakesLock + ", (random() * 2147483647)::int)"

// awaitWakes waits for those transactions that go on at this moment, where an event could be awaited: an entry that comes to its wait in one of them
// cannot be seen yet, and waits since it began. Those that begin later wait for what happens later.
func (w *walker) awaitWakes(ctx context.Context, list []*happening) error {
	if !slices.ContainsFunc(list, func(h *happening) bool { return w.book.awaited[h.watch] }) {
		return nil
	}
	_, err := w.tx.Exec(ctx, `select pg_advisory_xact_lock_shared(`+wakesLock+`, l.objid::bigint::int) from pg_locks l
		where l.locktype = 'advisory' and l.classid = `+wakesLock+` and l.objsubid = 2 and l.granted and l.mode = 'ExclusiveLock'
			and l.database = (select oid from pg_database where datname = current_database())`)
	if err != nil {
		return fmt.Errorf("wait for who wakes entries: %w", err)
	}
	return nil
}

// awaited is what happened to some of whom or of what entries await it.
type awaited struct {
	by      map[int64]*happening
	ids     []int64
	watches []int32
	talk    []bool // it is a conversation's: those who have one await only what happens in theirs
}

func (a *awaited) add(id int64, h *happening) {
	if a.by == nil {
		a.by = map[int64]*happening{}
	}
	a.by[id] = h
	a.ids, a.watches, a.talk = append(a.ids, id), append(a.watches, h.watch), append(a.talk, h.conversation != 0)
}

// awaitedCase tells whether what an entry awaits is a ticket's or a conversation's.
func (w *walker) awaitedCase(k *walk) automate.Case {
	e, _ := automate.FindEvent(w.book.schema, k.state.Awaits)
	return e.Case
}

// awaitedOf is what a wave brings to who awaits what happens to a contact, in a conversation, and to a ticket.
type awaitedOf struct{ people, talks, tickets awaited }

func newAwaitedOf(wave []*happening, awaited map[int32]bool) (a awaitedOf) {
	for _, h := range wave {
		if !awaited[h.watch] {
			continue
		}
		if h.ticket != 0 {
			a.tickets.add(h.ticket, h)
			continue
		}
		if h.conversation != 0 {
			a.talks.add(h.conversation, h)
		}
		if h.contact != 0 {
			a.people.add(h.contact, h)
		}
	}
	return a
}

// of is what an entry awaited; nil where that has not come.
func (a awaitedOf) of(k *walk, e automate.Case) *happening {
	switch {
	case e.Ticket:
		return a.tickets.by[k.ticket]
	case e.Conversation && k.conversation != 0:
		return a.talks.by[k.conversation]
	}
	return a.people.by[k.person.contact]
}

// load finds the entries that await it. Whoever holds one at this moment is waited for: it may be about to wait.
func (a awaitedOf) load(ctx context.Context, tx pgx.Tx) ([]*storedEntry, error) {
	if len(a.people.by)+len(a.talks.by)+len(a.tickets.by) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `
		select `+entryColumns+` from automation_entry e where e.id = any (array(
			select d.id from unnest($1::bigint[], $2::int[], $3::boolean[]) q (contact_id, watch_id, talk) join automation_entry d
				on d.contact_id = any (`+recordsSQL("q.contact_id")+`) and d.awaits = q.watch_id and d.status = 'Waiting'
				and (d.conversation_id is null or not q.talk)
			union all
			select d.id from unnest($4::bigint[], $5::int[]) q (conversation_id, watch_id) join automation_entry d
				on d.conversation_id = q.conversation_id and d.awaits = q.watch_id and d.status = 'Waiting'
			union all
			select d.id from unnest($6::bigint[], $7::int[]) q (ticket_id, watch_id) join automation_entry d
				on d.ticket_id = q.ticket_id and d.awaits = q.watch_id and d.status = 'Waiting'))
		order by e.id for no key update`, a.people.ids, a.people.watches, a.people.talk, a.talks.ids, a.talks.watches, a.tickets.ids, a.tickets.watches)
	if err != nil {
		return nil, err
	}
	return readEntries(rows)
}

// wakeAwaiting wakes entries that await what happened to their contacts, or to their conversations and tickets.
func (w *walker) wakeAwaiting(ctx context.Context, wave []*happening) error {
	came := newAwaitedOf(wave, w.book.awaited)
	stored, err := came.load(ctx, w.tx)
	if err != nil {
		return fmt.Errorf("look who awaits events: %w", err)
	}
	// Who waited no longer when they could be had, or whose rule is not in force, is left alone.
	stored = slices.DeleteFunc(stored, func(e *storedEntry) bool { return e.state.Awaits == "" || w.book.inForce[e.version.rule] == nil })
	if len(stored) == 0 {
		return nil
	}
	walks, err := w.resume(ctx, stored)
	if err != nil {
		return err
	}
	for _, k := range walks {
		if h := came.of(k, w.awaitedCase(k)); h != nil {
			k.came = h
			k.in.Came = &automate.Came{Event: w.book.eventName(h.watch), At: h.at}
			// Who began to wait later than now did so before the clock was set back: nobody knows what came first, and nothing that comes is lost.
			if k.state.Since.After(w.now) && !h.at.After(k.state.Since) {
				k.state.Since = h.at.Add(-time.Microsecond)
			}
		}
	}
	w.counts.Woken += len(walks)
	if err := w.settle(ctx, walks); err != nil {
		return err
	}
	return w.admitStarted(ctx)
}
