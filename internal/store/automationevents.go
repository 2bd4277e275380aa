package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// Walked is what carrying out rules came to.
type Walked struct {
	Events  int           // that were taken out of the queue
	Entered int           // entries that began
	Passed  int           // who would have entered, and is in the rule or has been
	Cut     int           // who would have entered a rule that triggers itself
	Moments int           // who entered or left a segment for a moment
	Woken   int           // entries that waited
	Effects int           // that were carried out
	Stuck   int           // entries that cannot go on
	Lag     time.Duration // of the oldest event: from the statement that made it until it was taken
	Repeat  bool          // there may be more
}

// EventsAtOnce is how many events a worker takes in one transaction.
const EventsAtOnce = 1000

// HandleEvents takes events out of the queue, at most so many, wakes the entries that awaited them and lets in whom the rules in force let in, takes
// them as far as they get, and writes their effects and where they stand, in one transaction. Workers share the queue by shards.
func (r *Rules) HandleEvents(ctx context.Context, most int) (Walked, error) {
	if idle, err := r.idle(ctx, "select not exists (select from domain_event_queue)"); err != nil || idle {
		return Walked{}, err
	}
	return r.walk(ctx, "handle events", "", func(tx pgx.Tx, book *ruleBook, now time.Time) (Walked, error) {
		list, err := claimEvents(ctx, tx, most)
		if err != nil || len(list) == 0 {
			return Walked{}, err
		}
		w := newWalker(tx, book, now)
		w.counts.Events, w.counts.Repeat = len(list), true
		for _, h := range list {
			if r.Clock != nil {
				h.at = r.Clock(h.at)
			}
		}
		if w.counts.Lag, err = w.lag(ctx, list); err != nil {
			return Walked{}, err
		}
		if err := w.awaitWakes(ctx, list); err != nil {
			return Walked{}, err
		}
		if err := w.handle(ctx, list); err != nil {
			return Walked{}, err
		}
		return w.counts, w.tellTroubles(ctx)
	})
}

// idle asks by one statement whether there is nothing to do.
func (r *Rules) idle(ctx context.Context, question string) (idle bool, err error) {
	if err := r.db.Pool.QueryRow(ctx, question).Scan(&idle); err != nil {
		return false, fmt.Errorf("look whether rules have something to do: %w", err)
	}
	return idle, nil
}

// walk runs a transaction in which entries go on, again where another one was in its way. first is a statement that it begins with; "" for none.
func (r *Rules) walk(ctx context.Context, what, first string, f func(pgx.Tx, *ruleBook, time.Time) (Walked, error)) (walked Walked, err error) {
	err = retryConflicts(func() error {
		return r.withBook(ctx, first, func(tx pgx.Tx, book *ruleBook, now time.Time) error {
			// What is done is lost by no crash, whatever the database's own setting is.
			if _, err := tx.Exec(ctx, "set local synchronous_commit = on"); err != nil {
				return err
			}
			walked, err = f(tx, book, now)
			return err
		})
	})
	if err != nil {
		return Walked{}, fmt.Errorf("%s: %w", what, err)
	}
	return walked, nil
}

func newWalker(tx pgx.Tx, book *ruleBook, now time.Time) *walker {
	return &walker{tx: tx, book: book, now: now, circles: map[int64]string{}, unasked: map[int64]string{}}
}

// handle works events off: of one contact, and of one conversation, one after the other.
func (w *walker) handle(ctx context.Context, list []*happening) error {
	people, err := w.bind(ctx, list)
	if err != nil {
		return err
	}
	if err := w.putBackForeign(ctx, list); err != nil {
		return err
	}
	if err := w.dropPassing(ctx, list); err != nil {
		return err
	}
	for len(list) > 0 {
		var wave, later []*happening
		contacts, conversations := map[int64]bool{0: false}, map[int64]bool{0: false}
		for _, h := range list {
			if !h.known {
				continue
			}
			if contacts[h.contact] || conversations[h.conversation] {
				later = append(later, h)
			} else {
				wave = append(wave, h)
			}
			contacts[h.contact], conversations[h.conversation] = h.contact != 0, h.conversation != 0
		}
		if err := w.handleWave(ctx, wave, people); err != nil {
			return err
		}
		list = later
	}
	return nil
}

// bind finds what events were and whose they are now. What nobody in force listens to is known as little as what is not there any more.
func (w *walker) bind(ctx context.Context, list []*happening) (map[int64]who, error) {
	people, err := w.findPeople(ctx, list)
	if err != nil {
		return nil, err
	}
	for _, h := range list {
		h.contact = people[h.noted].contact
		// Who was made and merged at once is nobody new.
		if h.noted != 0 && (h.contact == 0 || w.book.watches[h.watch].event == automate.ContactCreated && h.contact != h.noted) {
			h.detail, h.noted, h.watch = "", 0, 0
		}
	}
	if err := loadFacts(ctx, w.tx, w.book, slices.DeleteFunc(slices.Clone(list), func(h *happening) bool { return h.watch == 0 })); err != nil {
		return nil, err
	}
	found, err := w.findPeople(ctx, slices.DeleteFunc(slices.Clone(list), func(h *happening) bool { return people[h.noted].contact != 0 }))
	if err != nil {
		return nil, err
	}
	for _, h := range list {
		if p, ok := found[h.noted]; ok {
			people[h.noted], h.contact = p, p.contact
		}
	}
	byContact := map[int64]who{}
	for _, p := range people {
		byContact[p.contact] = p
	}
	return byContact, nil
}

func (w *walker) findPeople(ctx context.Context, list []*happening) (map[int64]who, error) {
	var records []int64
	for _, h := range list {
		if h.noted != 0 {
			records = append(records, h.noted)
		}
	}
	if len(records) == 0 {
		return map[int64]who{}, nil
	}
	slices.Sort(records)
	return loadPeople(ctx, w.tx, slices.Compact(records))
}

// handleWave handles events of which no two are of one contact.
func (w *walker) handleWave(ctx context.Context, wave []*happening, people map[int64]who) error {
	if err := w.wakeAwaiting(ctx, wave); err != nil {
		return err
	}
	candidates, err := w.route(ctx, wave, people)
	if err != nil {
		return err
	}
	return w.admit(ctx, candidates)
}

// route finds the rules that events are for.
func (w *walker) route(ctx context.Context, wave []*happening, people map[int64]who) ([]*candidate, error) {
	byRule := map[*boundRule][]*candidate{}
	var rules []*boundRule
	for _, h := range wave {
		for _, bound := range w.book.listening[h.watch] {
			if !narrowed(bound.rule.On, h) {
				continue
			}
			if byRule[bound] == nil {
				rules = append(rules, bound)
			}
			byRule[bound] = append(byRule[bound], &candidate{bound: bound, origin: h, person: people[h.contact]})
		}
	}
	var candidates []*candidate
	for _, bound := range rules {
		some, err := w.quiet(ctx, bound, byRule[bound])
		if err != nil {
			return nil, err
		}
		if some, err = w.judge(ctx, bound, some); err != nil {
			return nil, err
		}
		candidates = append(candidates, some...)
	}
	// In the order in which it happened, whatever rule it is for.
	slices.SortStableFunc(candidates, func(a, b *candidate) int { return a.origin.at.Compare(b.origin.at) })
	return candidates, nil
}

// narrowed tells whether a trigger takes an event of the kind that it listens to.
func narrowed(on automate.Trigger, h *happening) bool {
	if on.Campaign != "" {
		return h.is("campaign", on.Campaign)
	}
	if on.Queue != "" {
		return h.is("queue", on.Queue)
	}
	if on.Monitor == "" && on.Topic == "" {
		return true
	}
	if h.subject == "mention" {
		return h.about(on.Monitor, on.Topic)
	}
	return (on.Monitor == "" || h.is("monitor", on.Monitor)) && (on.Topic == "" || h.is("topic", on.Topic))
}

// is tells whether a field of what happened is a text.
func (h *happening) is(field, text string) bool {
	var held map[string]json.RawMessage
	var value string
	return json.Unmarshal(h.document, &held) == nil && json.Unmarshal(held[field], &value) == nil && value == text
}

// about tells whether a mention is about a topic of a monitor; "" stands for any.
func (h *happening) about(monitor, topic string) bool {
	var held struct {
		Topics []string `json:"topics"`
	}
	if json.Unmarshal(h.document, &held) != nil {
		return false
	}
	return slices.ContainsFunc(held.Topics, func(t string) bool {
		m, name, _ := strings.Cut(t, "/")
		return (monitor == "" || m == monitor) && (topic == "" || name == topic)
	})
}

// quiet keeps those before whose event there was none of its name for as long as a rule asks.
func (w *walker) quiet(ctx context.Context, bound *boundRule, candidates []*candidate) ([]*candidate, error) {
	if bound.rule.On.QuietFor == 0 {
		return candidates, nil
	}
	contacts, ids, at := make([]int64, len(candidates)), make([]int64, len(candidates)), make([]int64, len(candidates))
	for i, c := range candidates {
		contacts[i], ids[i], at[i] = c.person.contact, c.origin.ref, c.origin.ref3
	}
	rows, err := w.tx.Query(ctx, `
		select q.place::int from unnest($1::bigint[], $2::bigint[], $3::bigint[]) with ordinality q (contact_id, id, micros, place)
		where q.contact_id <> 0 and not exists (select from event e where e.contact_id = q.contact_id and e.name = $4 and e.id <> q.id
			and e.occurred_at <= timestamptz 'epoch' + q.micros * interval '1 microsecond'
			and e.occurred_at > timestamptz 'epoch' + q.micros * interval '1 microsecond' - $5::interval)`,
		contacts, ids, at, bound.rule.On.Event, time.Duration(bound.rule.On.QuietFor))
	if err != nil {
		return nil, fmt.Errorf("look whether it was quiet: %w", err)
	}
	places, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, fmt.Errorf("look whether it was quiet: %w", err)
	}
	slices.Sort(places)
	var kept []*candidate
	for _, place := range places {
		kept = append(kept, candidates[place-1])
	}
	return kept, nil
}

// judge keeps those for whom the condition of a rule holds. A condition that cannot be asked holds for nobody, and the rule's status says so.
func (w *walker) judge(ctx context.Context, bound *boundRule, candidates []*candidate) ([]*candidate, error) {
	place, asks := bound.plan.When()
	if !asks || len(candidates) == 0 {
		return candidates, nil
	}
	begun := make([]*walk, len(candidates))
	for i, c := range candidates {
		begun[i] = &walk{origin: c.origin, casework: c.caseOf()}
	}
	if err := w.loadCases(ctx, begun, bound.plan.Condition(place).SpeaksOf); err != nil {
		return nil, err
	}
	list := make([]asked, len(candidates))
	for i, c := range candidates {
		list[i] = asked{c.person.contact, begun[i].subjects(question{bound, place})}
	}
	var holds []bool
	ask := func() (err error) {
		holds, err = w.ask(ctx, question{bound, place}, list)
		return err
	}
	guard := w.guarded
	if !bound.plan.Condition(place).AsksContact() { // the database is not asked
		guard = func(_ context.Context, f func() error) error { return f() }
	}
	err := guard(ctx, ask)
	if isUnfit(err) {
		w.unasked[bound.versionKey.rule] = "Its condition cannot be asked: " + Brief(err).Error()
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the condition of rule %q: %w", bound.name, err)
	}
	var kept []*candidate
	for i, c := range candidates {
		if holds[i] {
			kept = append(kept, c)
		}
	}
	return kept, nil
}
