package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// tagsSQL are what is said of tags ($1, $2): given ($3) or taken.
const tagsSQL = `with said as materialized (
		select contact_id, array_agg(tag order by place) filter (where given) given, array_agg(tag) filter (where not given) taken
		from unnest($1::bigint[], $2::text[], $3::boolean[]) with ordinality q (contact_id, tag, given, place) group by 1
	) `

// tagsOf are the tags of a row after what was said of them.
func tagsOf(row, given string) string {
	return `array(select t from unnest(` + row + `.tags) with ordinality x (t, n) where t = any (s.taken) is not true order by n) ||
		array(select t from unnest(` + given + `) with ordinality x (t, n) where t <> all (` + row + `.tags) order by n)`
}

var (
	// Of who has several records, the record that the contact goes by says it from now on, and none says what was taken: a merge, or its undoing,
	// does not bring it back.
	tagRecordsSQL = tagsSQL + `update contact_record r set tags = ` + tagsOf("r", "case when r.id = r.contact_id then s.given end") + `, updated_at = now()
		from said s where r.contact_id = s.contact_id and (r.tags && s.taken or r.id = r.contact_id and not r.tags @> s.given)`
	tagContactsSQL = tagsSQL + `update contact c set tags = ` + tagsOf("c", "s.given") + `, updated_at = now()
		from said s where c.id = s.contact_id and (c.tags && s.taken or not c.tags @> s.given)`
)

// tagAll gives contacts tags and takes them, whatever steps of whatever rules say so: each statement once.
func (w *walker) tagAll(ctx context.Context, effects []effect) error {
	type said struct {
		contact int64
		tag     string
	}
	last := map[said]int{}
	var tags []string
	var contacts []int64
	var given []bool
	for _, e := range effects {
		s := said{e.person.contact, e.step.Tag + e.step.Untag}
		place, again := last[s]
		if !again {
			place, last[s] = len(tags), len(tags)
			tags, contacts, given = append(tags, s.tag), append(contacts, s.contact), append(given, false)
		}
		given[place] = e.step.Tag != ""
	}
	w.counts.Effects += len(effects)
	batch := &pgx.Batch{}
	batch.Queue(lockContactsSQL, contactsOfEffects(effects))
	batch.Queue(tagRecordsSQL, contacts, tags, given)
	batch.Queue(tagContactsSQL, contacts, tags, given)
	if err := w.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("step %q of rule %q: %w", effects[0].step.Name, effects[0].bound.name, err)
	}
	return nil
}
