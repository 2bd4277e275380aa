package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// walk is an entry that a transaction takes as far as it gets.
type walk struct {
	id       int64
	publicID string
	bound    *boundRule
	person   who   // its contact is 0 where nobody is known
	contact  int64 // as the entry has it: perhaps a record of a contact that was merged
	key      string
	origin   *happening // what it began with
	cause    int64
	depth    int
	began    time.Time
	attempts int
	casework
	cases map[string]expr.Facts // how they stand, as far as it was asked

	state automate.State
	in    automate.Input
	came  *happening // the awaited event that woke it
	held  time.Time  // when it begins, where that is later

	fresh bool // its row is still to be written
	acted bool
	cared bool // it did something to its conversation or ticket in this transaction
	// refused is the turn of the step that cannot be carried out for it; 0: none.
	refused int64
	path    []passed
	over    string // why it is over without its plan saying so
}

// passed is a step of a path, as it can be looked at.
type passed struct {
	Step string    `json:"step"`
	At   time.Time `json:"at"`
	How  string    `json:"how"`
	By   string    `json:"by,omitempty"` // of what a person did
	Why  string    `json:"why,omitempty"`
}

// mostPassed bounds how much of a path is kept: its end.
const mostPassed = 50

// walker takes entries as far as they get, in one transaction: their effects and what comes of them are written together or not at all.
type walker struct {
	tx   pgx.Tx
	book *ruleBook
	now  time.Time

	counts     Walked
	candidates []*candidate     // that entries have started
	circles    map[int64]string // rules that trigger themselves, and how
	unasked    map[int64]string // rules whose condition cannot be asked, and why
}

// mostRounds bounds how often an entry asks within one transaction. No rule has as many conditions.
const mostRounds = 1000

// run takes entries as far as they get. Where a statement fails for one of them, they are taken one by one, and that one is stuck.
func (w *walker) run(ctx context.Context, walks []*walk) error {
	if len(walks) == 0 {
		return nil
	}
	before := make([]walk, len(walks))
	for i, k := range walks {
		before[i] = *k
	}
	err := w.guarded(ctx, func() error { return w.advance(ctx, walks) })
	if !isUnfit(err) {
		return err
	}
	for i, k := range walks {
		*k = before[i]
		err := w.guarded(ctx, func() error { return w.advance(ctx, walks[i:i+1]) })
		if isUnfit(err) {
			in := k.in
			*k = before[i]
			// Who is tried again goes on behind the wait, and does not wait once more.
			var path []automate.Passage
			if k.state, path = k.bound.plan.Leave(k.state, in); len(path) > 0 {
				k.note(w.now, path)
			}
			if !k.state.Status.Over() {
				k.getStuck(w.now, err)
			}
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// guarded runs f so that what it wrote is taken back where it fails, and the transaction goes on.
func (w *walker) guarded(ctx context.Context, f func() error) error {
	outer := w.tx
	candidates := len(w.candidates)
	inner, err := outer.Begin(ctx)
	if err != nil {
		return err
	}
	w.tx = inner
	err = f()
	w.tx = outer
	if err == nil {
		return inner.Commit(ctx)
	}
	w.candidates = w.candidates[:candidates]
	if rolled := inner.Rollback(ctx); rolled != nil && !isUnfit(err) {
		return errors.Join(err, rolled)
	}
	return err
}

// getStuck leaves an entry where it is, for a person to retry or to end.
func (k *walk) getStuck(now time.Time, err error) {
	k.state.Status, k.state.Reason = automate.Stuck, Brief(err).Error()
	if k.fresh && k.state.Since.IsZero() {
		k.state.Since = now
	}
	k.attempts++
}

// advance takes entries from question to question until none of them asks any more.
func (w *walker) advance(ctx context.Context, walks []*walk) error {
	if err := w.loadMoments(ctx, walks); err != nil {
		return err
	}
	for _, k := range walks {
		k.in.Now, k.in.Contact, k.in.Zone = w.now, k.person.contact != 0, k.person.zone
		k.in.Seed = fmt.Sprintf("%s/%d", k.bound.name, k.id)
		k.in.Answers = map[int]bool{}
		if k.in.Zone == nil {
			k.in.Zone = w.book.zone
		}
	}
	for range mostRounds {
		if len(walks) == 0 {
			return nil
		}
		outcomes := make([]automate.Outcome, len(walks))
		for i, k := range walks {
			k.in.Answerable, k.in.Ticket = k.answerable(), k.ticket != 0
			outcomes[i] = k.bound.plan.Next(k.state, k.in)
			k.state = outcomes[i].State
		}
		if err := w.carryOut(ctx, walks, outcomes); err != nil {
			return err
		}
		for i, k := range walks {
			k.note(w.now, outcomes[i].Path)
		}
		var err error
		if walks, err = w.answer(ctx, walks, outcomes); err != nil {
			return err
		}
	}
	return errors.New("an entry asks without an end")
}

func (k *walk) note(now time.Time, path []automate.Passage) {
	for _, p := range path {
		if k.refused != 0 && p.Turn >= k.refused {
			break
		}
		k.path = append(k.path, passed{Step: k.bound.plan.Rule.Steps[p.Step].Name, At: now, How: string(p.How)})
	}
	if len(k.path) > mostPassed {
		k.path = slices.Clone(k.path[len(k.path)-mostPassed:])
	}
}

// question is a condition of a plan, or of the trigger of a rule.
type question struct {
	bound *boundRule
	place int
}

// answer answers what entries ask, and returns those that asked.
func (w *walker) answer(ctx context.Context, walks []*walk, outcomes []automate.Outcome) ([]*walk, error) {
	var asking []*walk
	groups := map[question][]*walk{}
	var order []question
	for i, k := range walks {
		if len(outcomes[i].Asks) == 0 || k.refused != 0 {
			continue
		}
		asking = append(asking, k)
		for _, place := range outcomes[i].Asks {
			q := question{k.bound, place}
			if groups[q] == nil {
				order = append(order, q)
			}
			groups[q] = append(groups[q], k)
		}
	}
	for _, q := range order {
		group := groups[q]
		if err := w.loadCases(ctx, group, q.bound.plan.Condition(q.place).SpeaksOf); err != nil {
			return nil, err
		}
		asked := make([]asked, len(group))
		for i, k := range group {
			asked[i].contact, asked[i].subjects = k.person.contact, k.subjects(q)
		}
		holds, err := w.ask(ctx, q, asked)
		if err != nil {
			return nil, fmt.Errorf("ask condition %d of rule %q: %w", q.place, q.bound.name, err)
		}
		for i, k := range group {
			k.in.Answers[q.place] = holds[i]
		}
	}
	return asking, nil
}

// subjects are what a condition may ask about beside the contact: what the entry began with, and what it awaited.
func (k *walk) subjects(q question) map[string]expr.Facts {
	subjects := map[string]expr.Facts{}
	if k.origin != nil {
		subjects[k.origin.subject], subjects[triggerVariable] = k.origin.facts, k.origin.facts
	}
	if k.came != nil && q.place >= 0 && q.bound.plan.Condition(q.place).Awaited {
		subjects[k.came.subject] = k.came.facts
	}
	maps.Copy(subjects, k.cases)
	return subjects
}

// asked is who a condition is asked about.
type asked struct {
	contact  int64
	subjects map[string]expr.Facts
}

// ask answers a condition for many: in memory where it asks no contact, else by one statement.
func (w *walker) ask(ctx context.Context, q question, list []asked) ([]bool, error) {
	holds := make([]bool, len(list))
	condition := q.bound.plan.Condition(q.place)
	if !condition.AsksContact() {
		for i, a := range list {
			var err error
			if holds[i], err = condition.HoldsIn(expr.World{Now: w.now, Subjects: a.subjects}); err != nil {
				return nil, err
			}
		}
		return holds, nil
	}
	var places []int32
	var contacts []int64
	var bound [][]*string
	for i, a := range list {
		if a.contact != 0 {
			places, contacts, bound = append(places, int32(i)), append(contacts, a.contact), append(bound, condition.BindAll(a.subjects))
		}
	}
	if len(places) == 0 {
		return holds, nil
	}
	sql, arguments := batchPredicate(condition.Predicate, len(condition.Arguments), bound)
	rows, err := w.tx.Query(ctx,
		"select q.place from unnest("+sql.given+") q (place, contact_id"+sql.names+") join contact c on c.id = q.contact_id where "+sql.predicate,
		append([]any{places, contacts}, arguments...)...)
	if err != nil {
		return nil, err
	}
	var place int32
	_, err = pgx.ForEachRow(rows, []any{&place}, func() error { holds[place] = true; return nil })
	return holds, err
}

// batched is a predicate about many subjects at once.
type batched struct{ given, names, predicate string }

// batchPredicate has a predicate take what differs between subjects from a list q, and what does not as it is. Its first two arguments are
// places and contacts.
func batchPredicate(predicate string, n int, bound [][]*string) (batched, []any) {
	b := batched{given: "$1::int[], $2::bigint[]"}
	var arguments []any
	replace := make([]string, n)
	for i := range n {
		number := len(arguments) + 3
		if same(bound, i) {
			replace[i] = fmt.Sprintf("$%d", number)
			arguments = append(arguments, bound[0][i])
			continue
		}
		column := make([]*string, len(bound))
		for j := range bound {
			column[j] = bound[j][i]
		}
		b.given += fmt.Sprintf(", $%d::text[]", number)
		b.names += fmt.Sprintf(", a%d", i+1)
		replace[i] = fmt.Sprintf("q.a%d", i+1)
		arguments = append(arguments, column)
	}
	b.predicate = replaceArguments(predicate, replace)
	return b, arguments
}

// same tells whether all subjects have one value of an argument.
func same(bound [][]*string, argument int) bool {
	first := bound[0][argument]
	return !slices.ContainsFunc(bound[1:], func(b []*string) bool {
		v := b[argument]
		return (v == nil) != (first == nil) || v != nil && *v != *first
	})
}

// replaceArguments writes something in place of each $n of a predicate, which holds no text of anybody.
func replaceArguments(predicate string, with []string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(predicate, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		n, digits := 0, 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			n, digits = n*10+int(rest[digits]-'0'), digits+1
		}
		out.WriteString(with[n-1])
		predicate = rest[digits:]
	}
}

// loadMoments reads the dates of contacts that the waits of their rules need.
func (w *walker) loadMoments(ctx context.Context, walks []*walk) error {
	byAttribute := map[string][]*walk{}
	for _, k := range walks {
		k.in.Moments = map[string]time.Time{}
		if k.person.contact == 0 {
			continue
		}
		for _, name := range k.bound.plan.Attributes() {
			byAttribute[name] = append(byAttribute[name], k)
		}
	}
	for name, some := range byAttribute {
		a, ok := w.book.schema.Attribute(name)
		if !ok {
			continue
		}
		contacts := make([]int64, len(some))
		for i, k := range some {
			contacts[i] = k.person.contact
		}
		column := sqlName(a.Column())
		rows, err := w.tx.Query(ctx,
			"select q.place, c."+column+"::timestamptz from unnest($1::bigint[]) with ordinality q (id, place) join contact c on c.id = q.id where c."+
				column+" is not null and isfinite(c."+column+")", contacts)
		if err != nil {
			return fmt.Errorf("read attribute %q: %w", name, err)
		}
		var place int
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&place, &at}, func() error { some[place-1].in.Moments[name] = at.UTC(); return nil })
		if err != nil {
			return fmt.Errorf("read attribute %q: %w", name, err)
		}
	}
	return nil
}

func mustJSON(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil { // of our own types, which hold nothing that cannot be written
		panic(err)
	}
	return text
}

// triggerVariable is what an entry began with, in a condition on an event that it awaits.
const triggerVariable = "trigger"
