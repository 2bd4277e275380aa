package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// candidate is somebody or something that may enter a rule.
type candidate struct {
	bound  *boundRule // nil for a rule that is not in force
	origin *happening
	person who
	key    string
	cause  int64 // the entry that led to it; 0 for none
	depth  int
	// started is the case of the entry that started it.
	started casework
}

const (
	// mostDepth is how many entries may lead to one another, each within causeWindow of the one before. Behind it a rule triggers itself.
	mostDepth = 10
	// causeWindow is for how long what happens to a contact is taken for something that a rule did.
	causeWindow = 10 * time.Minute
)

// keyOf is what an entry is known by within its rule: a value of what it begins with, its contact, or else the event itself. Of a value there is a keyed hash:
// it outlives what it names, and from it nobody finds out what that was.
func (c *candidate) keyOf(keys mentionKeys) string {
	if field := c.bound.rule.Key; field != "" && c.origin != nil {
		if text, known := c.origin.value(field); known {
			sum := keys.of("entry", field, text)
			return "k/" + hex.EncodeToString(sum[:])
		}
	}
	if c.person.contact != 0 {
		return contactKey(c.person.contact)
	}
	if c.origin == nil {
		return "e/" + strconv.FormatInt(c.cause, 10)
	}
	return fmt.Sprintf("%s%d/%d/%d/%d", eventKey, c.origin.watch, c.origin.ref, c.origin.ref2, c.origin.ref3)
}

// eventKey begins the keys of entries that only their event tells apart: each event begins one, so that nothing needs to be remembered.
const eventKey = "e/"

func contactKey(contact int64) string { return "c/" + strconv.FormatInt(contact, 10) }

// value is the text of a field of what happened, such as mention.thread.
func (h *happening) value(field string) (string, bool) {
	subject, path, _ := strings.Cut(field, ".")
	var held map[string]json.RawMessage
	if subject != h.subject {
		path = field // of what it belongs to
	}
	if json.Unmarshal(h.document, &held) != nil || held[path] == nil || string(held[path]) == "null" {
		return "", false
	}
	return string(held[path]), true
}

// admit takes candidates in as entries, those that may enter, takes these as far as they get, and does the same with what they start. Of one
// key, one after the other.
func (w *walker) admit(ctx context.Context, candidates []*candidate) error {
	for len(candidates) > 0 {
		var now, later []*candidate
		seen := map[string]bool{}
		for _, c := range candidates {
			if c.bound == nil {
				continue
			}
			c.key = c.keyOf(w.book.keys)
			id := fmt.Sprintf("%d %s", c.bound.versionKey.rule, c.key)
			if seen[id] {
				later = append(later, c)
				continue
			}
			seen[id] = true
			now = append(now, c)
		}
		walks, err := w.enter(ctx, now)
		if err != nil {
			return err
		}
		if err := w.settle(ctx, walks); err != nil {
			return err
		}
		candidates = append(later, w.candidates...)
		w.candidates = nil
	}
	return nil
}

// settle takes entries as far as they get and writes what came of them.
func (w *walker) settle(ctx context.Context, walks []*walk) error {
	var ready []*walk
	for _, k := range walks {
		if k.held.IsZero() && k.over == "" {
			ready = append(ready, k)
		}
	}
	if err := w.run(ctx, ready); err != nil {
		return err
	}
	return w.write(ctx, walks)
}

// enter lets candidates in that may enter: whose rule does not trigger itself, and who are not in it, nor were when they may not enter again.
func (w *walker) enter(ctx context.Context, candidates []*candidate) ([]*walk, error) {
	candidates, err := w.cutCycles(ctx, candidates)
	if err != nil || len(candidates) == 0 {
		return nil, err
	}
	if candidates, err = w.takePasses(ctx, candidates); err != nil || len(candidates) == 0 {
		return nil, err
	}
	rows, err := w.tx.Query(ctx, "select nextval('automation_entry_id_seq'), gen_random_uuid()::text from generate_series(1, $1)", len(candidates))
	if err != nil {
		return nil, fmt.Errorf("number entries: %w", err)
	}
	walks := make([]*walk, 0, len(candidates))
	var id int64
	var public string
	_, err = pgx.ForEachRow(rows, []any{&id, &public}, func() error {
		c := candidates[len(walks)]
		walks = append(walks, &walk{
			id: id, publicID: public, bound: c.bound, person: c.person, contact: c.person.contact, key: c.key, origin: c.origin,
			cause: c.cause, depth: c.depth, began: w.now, state: c.bound.plan.Begin(w.now), fresh: true, casework: c.caseOf(),
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("number entries: %w", err)
	}
	w.counts.Entered += len(walks)
	return walks, w.holdBack(ctx, walks)
}

// takePasses returns the candidates that may enter, and notes that they do. Who is merged may enter as little as each of their records.
func (w *walker) takePasses(ctx context.Context, candidates []*candidate) ([]*candidate, error) {
	after := map[string]string{} // by rule, how long ago the last entry has to have begun; of those who never may again, nothing
	byPass := map[string]*candidate{}
	var kept []*candidate
	var rules, contacts []int64
	var keys []string
	var active []bool
	for _, c := range candidates {
		if strings.HasPrefix(c.key, eventKey) {
			kept = append(kept, c)
			continue
		}
		rule := strconv.FormatInt(c.bound.versionKey.rule, 10)
		switch c.bound.rule.Reentry.Mode {
		case automate.ReentryAlways:
			after[rule] = "-1000 years" // also where the clock was set back
		case automate.ReentryAfter:
			after[rule] = strconv.FormatInt(int64(time.Duration(c.bound.rule.Reentry.After)/time.Millisecond), 10) + " milliseconds"
		}
		byPass[rule+" "+c.key] = c
		contact := c.person.contact
		if c.key != contactKey(contact) {
			contact = 0
		}
		rules, keys, contacts = append(rules, c.bound.versionKey.rule), append(keys, c.key), append(contacts, contact)
		active = append(active, !c.bound.atOnce)
	}
	if len(keys) == 0 {
		return kept, nil
	}
	rows, err := w.tx.Query(ctx, `
		insert into automation_pass (key, rule_id, entered_at, active)
		select q.key, q.rule_id, $4::timestamptz, q.active
		from unnest($1::text[], $2::bigint[], $3::bigint[], $6::boolean[]) q (key, rule_id, contact_id, active)
		where q.contact_id = 0 or not exists (select from contact_record x join automation_pass p on p.key = 'c/' || x.id and p.rule_id = q.rule_id
			where x.contact_id = q.contact_id and x.id <> q.contact_id
				and (p.active or $5::jsonb -> q.rule_id::text is null or p.entered_at > $4::timestamptz - ($5::jsonb ->> q.rule_id::text)::interval))
		order by q.key, q.rule_id
		on conflict (key, rule_id) do update set entered_at = excluded.entered_at, active = excluded.active
		where not automation_pass.active and automation_pass.entered_at <= $4::timestamptz - ($5::jsonb ->> automation_pass.rule_id::text)::interval
		returning rule_id::text || ' ' || key`, keys, rules, contacts, w.now, after, active)
	if err != nil {
		return nil, fmt.Errorf("look who may enter: %w", err)
	}
	entered, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look who may enter: %w", err)
	}
	for _, id := range entered {
		kept = append(kept, byPass[id])
	}
	w.counts.Passed += len(candidates) - len(kept)
	return kept, nil
}

// cutCycles leaves out those who come from a rule that triggers itself, and says which rules go round.
func (w *walker) cutCycles(ctx context.Context, candidates []*candidate) ([]*candidate, error) {
	if err := w.findCauses(ctx, candidates); err != nil {
		return nil, err
	}
	kept := candidates[:0:0]
	for _, c := range candidates {
		if c.depth <= mostDepth {
			kept = append(kept, c)
			continue
		}
		w.counts.Cut++
		if w.circles[c.bound.versionKey.rule] != "" {
			continue
		}
		names, err := w.causes(ctx, c.cause)
		if err != nil {
			return nil, err
		}
		w.circles[c.bound.versionKey.rule] = cycleTrouble(append(names, c.bound.name))
	}
	return kept, nil
}

// causes lists the rules that led to an entry, and its own, the first one first.
func (w *walker) causes(ctx context.Context, entry int64) ([]string, error) {
	rows, err := w.tx.Query(ctx, `
		with recursive chain as (
			select id, rule_id, cause, 1 place from automation_entry where id = $1
			union all
			select e.id, e.rule_id, e.cause, c.place + 1 from chain c join automation_entry e on e.id = c.cause where c.place <= $2
		)
		select r.name from chain c join automation_rule r on r.id = c.rule_id order by c.place desc`, entry, mostDepth)
	if err != nil {
		return nil, fmt.Errorf("look what led to an entry: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// cycleTrouble says which rules go round: from the last time that the last one came before.
func cycleTrouble(names []string) string {
	last := names[len(names)-1]
	from := 0
	for i, name := range names[:len(names)-1] {
		if name == last {
			from = i
		}
	}
	return "It triggers itself, and was cut: " + strings.Join(names[from:],
		" → ") + ". Have one of these rules not do again what is done, by a condition or by reentry."
}

// holdBack has entries begin later where their rule has had as many in an hour as it may. Workers take turns with such a rule.
func (w *walker) holdBack(ctx context.Context, walks []*walk) error {
	byRule := map[int64][]*walk{}
	var rules []int64
	for _, k := range walks {
		if k.bound.rule.MaxPerHour > 0 {
			if byRule[k.bound.versionKey.rule] == nil {
				rules = append(rules, k.bound.versionKey.rule)
			}
			byRule[k.bound.versionKey.rule] = append(byRule[k.bound.versionKey.rule], k)
		}
	}
	slices.Sort(rules)
	for _, rule := range rules {
		some := byRule[rule]
		if _, err := w.tx.Exec(ctx, "select pg_advisory_xact_lock($1, ($2::bigint & 2147483647)::int)", entriesLock, rule); err != nil {
			return fmt.Errorf("wait for a turn with a rule: %w", err)
		}
		rows, err := w.tx.Query(ctx, `select minute, n from automation_minute where rule_id = $1 and minute > greatest($2::timestamptz, (
			select max(minute) from automation_minute where rule_id = $1)) - interval '62 minutes'`, rule, w.now)
		if err != nil {
			return fmt.Errorf("read how many entries began: %w", err)
		}
		counts := map[time.Time]int64{}
		var minute time.Time
		var n int64
		if _, err = pgx.ForEachRow(rows, []any{&minute, &n}, func() error { counts[minute.UTC()] = n; return nil }); err != nil {
			return fmt.Errorf("read how many entries began: %w", err)
		}
		slots := planSlots(counts, w.now, some[0].bound.rule.MaxPerHour, len(some))
		var minutes []time.Time
		for i, k := range some {
			if slots[i].After(w.now) {
				k.held = slots[i]
			}
			minutes = append(minutes, slots[i])
		}
		_, err = w.tx.Exec(ctx, `insert into automation_minute (rule_id, minute, n)
			select $1, m, count(*) from unnest($2::timestamptz[]) m group by m order by m
			on conflict (rule_id, minute) do update set n = automation_minute.n + excluded.n`, rule, minutes)
		if err != nil {
			return fmt.Errorf("note how many entries begin: %w", err)
		}
	}
	return nil
}

// entriesLock is the class of the advisory locks of rules with a bound.
const entriesLock = 1902115852

// planSlots gives n entries the minutes in which they begin, so that no hour has more than most: behind those that wait already, and never before
// the minute of now.
func planSlots(counts map[time.Time]int64, now time.Time, most int64, n int) []time.Time {
	at := now.UTC().Truncate(time.Minute)
	for minute, n := range counts {
		if n > 0 && minute.After(at) {
			at = minute
		}
	}
	slots := make([]time.Time, 0, n)
	for len(slots) < n {
		room, oldest := most, at
		for m, begun := range counts {
			if begun > 0 && m.After(at.Add(-61*time.Minute)) && !m.After(at) {
				room -= begun
				if m.Before(oldest) {
					oldest = m
				}
			}
		}
		if room <= 0 {
			at = oldest.Add(61 * time.Minute)
			continue
		}
		for ; room > 0 && len(slots) < n; room-- {
			slots = append(slots, at)
			counts[at]++
		}
	}
	return slots
}
