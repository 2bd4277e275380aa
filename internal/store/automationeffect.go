package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// effect is something that an entry does.
type effect struct {
	*walk
	step *automate.Step
	turn int64
}

// identity names an effect for ever: no entry enters a step twice under one number.
func (e effect) identity() string { return fmt.Sprintf("%s/%d", e.publicID, e.turn) }

// carryOut does what entries say is to be done: of each, one after the other; of all together, each kind by one statement.
func (w *walker) carryOut(ctx context.Context, walks []*walk, outcomes []automate.Outcome) error {
	for place := 0; ; place++ {
		steps, byStep := effectsAt(place, walks, outcomes)
		if len(steps) == 0 {
			return nil
		}
		if err := w.carryOutSteps(ctx, steps, byStep); err != nil {
			return err
		}
	}
}

// effectsAt are the effects of entries at a place in their order, by steps. Everybody takes locks in one order.
func effectsAt(place int, walks []*walk, outcomes []automate.Outcome) (steps []*automate.Step, byStep map[*automate.Step][]effect) {
	byStep = map[*automate.Step][]effect{}
	names := map[*automate.Step]string{}
	for i, k := range walks {
		if place >= len(outcomes[i].Effects) || k.refused != 0 {
			continue
		}
		e := outcomes[i].Effects[place]
		step := &k.bound.plan.Rule.Steps[e.Step]
		if byStep[step] == nil {
			steps, names[step] = append(steps, step), k.bound.name+"/"+step.Name
		}
		byStep[step] = append(byStep[step], effect{walk: k, step: step, turn: e.Turn})
	}
	slices.SortFunc(steps, func(a, b *automate.Step) int { return cmp.Compare(names[a], names[b]) })
	return steps, byStep
}

func (w *walker) carryOutSteps(ctx context.Context, steps []*automate.Step, byStep map[*automate.Step][]effect) error {
	var tags []effect
	for _, step := range steps {
		if isTag(step) {
			tags = append(tags, byStep[step]...)
		}
	}
	if len(tags) > 0 {
		if err := w.tagAll(ctx, tags); err != nil {
			return err
		}
	}
	for _, step := range steps {
		if isTag(step) {
			continue
		}
		if err := w.carryOutStep(ctx, step, byStep[step]); err != nil {
			return fmt.Errorf("step %q of rule %q: %w", step.Name, byStep[step][0].bound.name, err)
		}
	}
	return nil
}

func isTag(step *automate.Step) bool { return step.Tag+step.Untag != "" }

func (w *walker) carryOutStep(ctx context.Context, step *automate.Step, effects []effect) error {
	w.counts.Effects += len(effects)
	switch {
	case step.Send != nil:
		return w.send(ctx, effects)
	case step.Set != nil:
		return w.set(ctx, step, effects)
	case step.Reply != nil:
		return w.reply(ctx, effects)
	case step.Publish != nil:
		return w.publish(ctx, step, effects)
	case step.OpenTicket != nil:
		return w.openTickets(ctx, effects)
	case step.Assign != nil:
		return w.assignTickets(ctx, effects)
	case step.Notify != nil:
		return w.notify(ctx, step, effects)
	case step.Start != nil:
		for _, e := range effects {
			w.candidates = append(w.candidates, &candidate{
				bound: w.book.byName[step.Start.Rule], origin: e.origin, person: e.person, cause: e.id, depth: e.depth + 1, started: e.casework,
			})
		}
	}
	return nil
}

// contactsOfEffects lists the contacts of effects, each once, in their order.
func contactsOfEffects(effects []effect) []int64 {
	contacts := make([]int64, 0, len(effects))
	for _, e := range effects {
		e.acted = true
		contacts = append(contacts, e.person.contact)
	}
	slices.Sort(contacts)
	return slices.Compact(contacts)
}

// lockContacts has whoever writes to the same contacts wait, in the order of their ids, as merges do.
func (w *walker) lockContacts(ctx context.Context, contacts []int64) error {
	_, err := w.tx.Exec(ctx, lockContactsSQL, contacts)
	return err
}

const lockContactsSQL = "select from contact where id = any ($1) order by id for no key update"

// set gives attributes of contacts values. Of who has several records, the record that the contact goes by says so, at this moment.
func (w *walker) set(ctx context.Context, step *automate.Step, effects []effect) error {
	if err := w.lockContacts(ctx, contactsOfEffects(effects)); err != nil {
		return err
	}
	for i, assignment := range step.Set {
		attribute, ok := w.book.schema.Attribute(assignment.Attribute)
		if !ok {
			continue // it is not declared any more
		}
		if err := w.lookAtCases(ctx, step, i, effects); err != nil {
			return err
		}
		values, arguments := w.values(step, i, attribute.Type.SQLType(), effects)
		if err := w.assign(ctx, attribute, values, arguments); err != nil {
			return fmt.Errorf("set %q: %w", assignment.Attribute, err)
		}
	}
	return nil
}

// lookAtCases reads how the conversations and tickets stand of which an assignment speaks.
func (w *walker) lookAtCases(ctx context.Context, step *automate.Step, assignment int, effects []effect) error {
	plan := effects[0].bound.plan
	value := plan.Value(slices.IndexFunc(plan.Rule.Steps, func(s automate.Step) bool { return s.Name == step.Name }), assignment)
	if value == nil {
		return nil
	}
	walks := make([]*walk, len(effects))
	for i, e := range effects {
		walks[i] = e.walk
	}
	return w.loadCases(ctx, walks, value.SpeaksOf)
}

// values is a statement that lists what an assignment gives contacts, as texts, with its arguments.
func (w *walker) values(step *automate.Step, assignment int, kind string, effects []effect) (sql string, arguments []any) {
	contacts := make([]int64, len(effects))
	for i, e := range effects {
		contacts[i] = e.person.contact
	}
	plan := effects[0].bound.plan
	place := slices.IndexFunc(plan.Rule.Steps, func(s automate.Step) bool { return s.Name == step.Name })
	value := plan.Value(place, assignment)
	if value == nil {
		return "select distinct q.contact_id, $2::text::" + kind + "::text v from unnest($1::bigint[]) q (contact_id)",
			[]any{contacts, step.Set[assignment].Value}
	}
	places, bound := make([]int32, len(effects)), make([][]*string, len(effects))
	for i, e := range effects {
		bound[i] = value.Bind(e.subjects(question{e.bound, -1}))
	}
	b, more := batchPredicate(value.SQL, len(value.Arguments), bound)
	return "select q.contact_id, max((" + b.predicate + ")::" + kind + "::text) v from unnest(" + b.given + ") q (place, contact_id" + b.names +
		") join contact c on c.id = q.contact_id group by 1", append([]any{places, contacts}, more...)
}

// assign writes values, which a statement lists as texts by contact; null takes the value that is there.
func (w *walker) assign(ctx context.Context, a crm.Attribute, values string, arguments []any) error {
	name, column, kind := a.Column(), sqlName(a.Column()), a.Type.SQLType()
	_, err := w.tx.Exec(ctx, `
		with given as materialized (`+values+`
		), said as (
			update contact_record r set updated_at = now(), said = case when g.v is null then r.said - '`+name+`'
				else r.said || jsonb_build_object('`+name+`', jsonb_build_object('v', g.v, 'at', now())) end
			from given g where r.contact_id = g.contact_id and r.id = r.contact_id and r.said #>> '{`+name+`,v}' is distinct from g.v
		)
		update contact c set `+column+` = g.v::`+kind+`, updated_at = now(),
			said_at = nullif(coalesce(c.said_at, '{}') - '`+name+`' || case when g.v is null then '{}' else jsonb_build_object('`+name+`', now()) end, '{}')
		from given g where c.id = g.contact_id and c.`+column+` is distinct from g.v::`+kind, arguments...)
	return err
}
