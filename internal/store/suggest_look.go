package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/identity"
)

// Who may be one person is looked for from what changed: gather takes contacts out of the queue, brings what they are compared by up to date and
// reads how they compare with those who share a key with them; identity.Weigh says what that means; and the list is brought in line. It is one
// transaction: a worker that is killed has done nothing.

// suggestionLock is held while suggestions are looked for, and while somebody decides that two contacts are two people.
const suggestionLock = 7_302_115_848

// Looked tells what a look at changed contacts came to.
type Looked struct {
	Contacts, Pairs int
	// Added and Removed count suggestions.
	Added, Removed int64
	// Next is where the next look begins in the queue; 0 is its beginning.
	Next int64
	// More tells that more waits.
	More bool
	// Busy tells that somebody else looks at this moment.
	Busy bool
}

// LookForSuggestions compares at most so many contacts that are new or changed with those who share a key with them. after is where the look
// before has ended; who committed late is found from the beginning again.
func (db *DB) LookForSuggestions(ctx context.Context, after int64, most int) (result Looked, err error) {
	err = retryConflicts(func() error {
		return db.InTx(ctx, func(tx pgx.Tx) (err error) {
			result, err = lookForSuggestions(ctx, tx, after, most)
			return err
		})
	})
	if err != nil {
		return Looked{}, fmt.Errorf("look for suggestions: %w", err)
	}
	return result, nil
}

// aloneByKeys takes the lock if nobody has it, and has the planner look rows up by their keys, whatever it believes of the tables' size.
const aloneByKeys = `select pg_try_advisory_xact_lock($1), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
	set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)`

func lookForSuggestions(ctx context.Context, tx pgx.Tx, after int64, most int) (result Looked, err error) {
	var alone bool
	var ignored string
	if err := tx.QueryRow(ctx, aloneByKeys, int64(suggestionLock)).Scan(&alone, &ignored, &ignored, &ignored, &ignored); err != nil {
		return result, err
	}
	if !alone {
		result.Busy, result.Next = true, after
		return result, nil
	}
	contacts, next, more, err := claimDue(ctx, tx, after, most)
	if err != nil {
		return result, err
	}
	result.Next, result.More = next, more
	if contacts, err = holdContacts(ctx, tx, contacts, nil); err != nil || len(contacts) == 0 {
		return result, err
	}
	result.Contacts = len(contacts)
	roles, err := loadRoles(ctx, tx)
	if err != nil {
		return result, err
	}
	if err := writeProfiles(ctx, tx, roles, contacts); err != nil {
		return result, fmt.Errorf("note what contacts are compared by: %w", err)
	}
	pairs, err := comparePairs(ctx, tx, contacts)
	if err != nil {
		return result, fmt.Errorf("compare contacts: %w", err)
	}
	result.Pairs = len(pairs)
	planned, err := holdPairs(ctx, tx, contacts, planSuggestions(pairs))
	if err != nil {
		return result, err
	}
	result.Added, result.Removed, err = writeSuggestions(ctx, tx, contacts, planned)
	return result, err
}

// holdContacts sees to it that contacts stay there until the transaction ends, and returns those for which it could. It waits for nobody, so
// that it is in no circle with those who merge: whoever holds a contact is why it, or the one beside it in the list, is looked at again.
func holdContacts(ctx context.Context, tx pgx.Tx, contacts, instead []int64) ([]int64, error) {
	if len(contacts) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, "select c.id from contact c where c.id = any ($1) order by c.id for key share of c skip locked", contacts)
	if err != nil {
		return nil, err
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("hold contacts: %w", err)
	}
	if len(held) == len(contacts) {
		return held, nil
	}
	if instead == nil {
		instead = contacts
	}
	_, err = tx.Exec(ctx, `insert into suggestion_due (contact_id) select distinct t.again from unnest($1::bigint[], $2::bigint[]) t(id, again)
		where t.id <> all ($3) and exists (select from contact c where c.id = t.id)`, contacts, instead, held)
	if err != nil {
		return nil, fmt.Errorf("put contacts off: %w", err)
	}
	return held, nil
}

// holdPairs returns the pairs of which both stay there.
func holdPairs(ctx context.Context, tx pgx.Tx, contacts []int64, planned []suggested) ([]suggested, error) {
	partners := map[int64]int64{}
	for _, s := range planned {
		for _, pair := range [][2]int64{{s.a, s.b}, {s.b, s.a}} {
			if _, mine := slices.BinarySearch(contacts, pair[0]); mine {
				if _, mine := slices.BinarySearch(contacts, pair[1]); !mine {
					partners[pair[1]] = pair[0]
				}
			}
		}
	}
	ids := slices.Sorted(maps.Keys(partners))
	instead := make([]int64, len(ids))
	for i, id := range ids {
		instead[i] = partners[id]
	}
	held, err := holdContacts(ctx, tx, ids, instead)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(planned, func(s suggested) bool {
		for _, id := range []int64{s.a, s.b} {
			if _, partner := partners[id]; partner && !slices.Contains(held, id) {
				return true
			}
		}
		return false
	}), nil
}

// claimDue takes contacts out of the queue, and then of those that are all to be compared anew.
func claimDue(ctx context.Context, tx pgx.Tx, after int64, most int) (contacts []int64, next int64, more bool, err error) {
	rows, err := tx.Query(ctx, `delete from suggestion_due where id in (select id from suggestion_due where id > $1 order by id limit $2)
		returning id, contact_id`, after, most)
	if err != nil {
		return nil, 0, false, err
	}
	var id, contact int64
	taken := 0
	_, err = pgx.ForEachRow(rows, []any{&id, &contact}, func() error {
		contacts, next = append(contacts, contact), max(next, id)
		taken++
		return nil
	})
	if err != nil {
		return nil, 0, false, fmt.Errorf("take changed contacts: %w", err)
	}
	if taken == most {
		slices.Sort(contacts)
		return slices.Compact(contacts), next, true, nil
	}
	// The queue is empty behind this place. What committed late stands before it.
	rows, err = tx.Query(ctx, `
		with chosen as (select c.id from contact c where c.id > (select scan_after from suggestion_state) order by c.id limit $1),
		moved as (update suggestion_state set scan_after = (select case when count(*) = $1 then max(id) end from chosen) where scan_after is not null)
		select id from chosen`, most-taken)
	if err != nil {
		return nil, 0, false, err
	}
	scanned, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, 0, false, fmt.Errorf("take contacts: %w", err)
	}
	contacts = append(contacts, scanned...)
	slices.Sort(contacts)
	return slices.Compact(contacts), 0, len(scanned) == most-taken || after > 0, nil
}

// writeProfiles brings what contacts are compared by up to date, and the keys under which they are found.
func writeProfiles(ctx context.Context, tx pgx.Tx, r roles, contacts []int64) error {
	_, err := tx.Exec(ctx, `
		with raw as materialized (
			select c.id, c.locale, `+r.expressions()+` from contact c where c.id = any ($1)
		), fresh as materialized (
			select r.id, r.name, r.place, r.birthday, r.language, k.locals, k.handles, k.sources,
				suggestion_keys(r.name, r.place, r.birthday, k.locals || k.handles) keys
			from (select r.id, name_words(r.name) as name, r.place, r.birthday, nullif(lower(split_part(r.locale, '-', 1)), '') as language from raw r) r
			cross join lateral (
				select coalesce(array_agg(distinct l.called) filter (where l.type = 'email' and l.called is not null), '{}') locals,
					coalesce(array_agg(distinct l.called) filter (where l.type <> 'email' and l.called is not null), '{}') handles,
					coalesce(array_agg(distinct l.type) filter (where l.type like 'external:%'), '{}') sources
				from (select i.type, account_name(i.type, i.value) called from identifier_link l join identifier i on i.id = l.identifier_id
					where l.contact_id = r.id limit 40) l) k
		), was as materialized (
			select p.contact_id, unnest(p.keys || word_keys(p.name)) key from suggestion_profile p where p.contact_id = any ($1)
		), becomes as materialized (
			select distinct f.id contact_id, unnest(f.keys || word_keys(f.name)) key from fresh f
		), gone as (
			delete from suggestion_key k using (select * from was except select * from becomes) g where k.key = g.key and k.contact_id = g.contact_id
		), written as (
			insert into suggestion_profile (contact_id, name, place, birthday, language, locals, handles, sources, keys)
			select * from fresh
			on conflict (contact_id) do update set name = excluded.name, place = excluded.place, birthday = excluded.birthday, language = excluded.language,
				locals = excluded.locals, handles = excluded.handles, sources = excluded.sources, keys = excluded.keys
			where suggestion_profile is distinct from excluded
		)
		insert into suggestion_key (contact_id, key)
		select contact_id, key from becomes except select contact_id, key from was on conflict do nothing`, contacts)
	return err
}

// expressions are what a contact c is compared by, of its own columns.
func (r roles) expressions() string {
	name, birthday := "''", "null::date"
	if len(r.names) > 0 {
		name = "concat_ws(' '"
		for _, column := range r.names {
			name += ", c." + sqlName(column)
		}
		name += ")"
	}
	places := make([]string, len(r.places))
	for i, column := range r.places {
		places[i] = "left(trim(plain_text(c." + sqlName(column) + ")), 60)"
	}
	if r.birthday != "" {
		birthday = "c." + sqlName(r.birthday)
	}
	return name + " as name, array[" + strings.Join(places, ", ") + "]::text[] as place, " + birthday + " as birthday"
}

// suggested is a pair that is to be put before people.
type suggested struct {
	a, b    int64
	score   float64
	reasons []identity.Reason
}

// planSuggestions picks the pairs that are likely enough.
func planSuggestions(pairs []comparedPair) []suggested {
	var list []suggested
	for _, p := range pairs {
		if score, reasons := identity.Weigh(p.Comparison); score >= identity.Suggested {
			list = append(list, suggested{a: p.a, b: p.b, score: score, reasons: reasons})
		}
	}
	return list
}

// writeSuggestions brings the suggestions of contacts to those that are planned, but for pairs that somebody has decided.
func writeSuggestions(ctx context.Context, tx pgx.Tx, contacts []int64, planned []suggested) (added, removed int64, err error) {
	a, b, scores, reasons := make([]int64, len(planned)), make([]int64, len(planned)), make([]float64, len(planned)), make([][]identity.Reason, len(planned))
	for i, s := range planned {
		a[i], b[i], scores[i], reasons[i] = s.a, s.b, s.score, s.reasons
	}
	err = tx.QueryRow(ctx, `
		with wanted as materialized (
			select n.a, n.b, n.score, n.reasons from unnest($2::bigint[], $3::bigint[], $4::double precision[], $5::jsonb[]) n(a, b, score, reasons)
			where `+undecided("n.a", "n.b")+`
		), gone as (
			delete from suggestion s where (s.a = any ($1) or s.b = any ($1)) and not exists (select from wanted w where w.a = s.a and w.b = s.b) returning 1
		), written as (
			insert into suggestion (a, b, score, reasons)
			select w.a, w.b, w.score, w.reasons from wanted w order by w.a, w.b
			on conflict (a, b) do update set score = excluded.score, reasons = excluded.reasons
			where (suggestion.score, suggestion.reasons) is distinct from (excluded.score, excluded.reasons)
			returning xmax = 0 as fresh
		)
		select (select count(*) from written where fresh), (select count(*) from gone)`, contacts, a, b, scores, reasons).Scan(&added, &removed)
	if err != nil {
		return 0, 0, fmt.Errorf("write suggestions: %w", err)
	}
	return added, removed, nil
}
