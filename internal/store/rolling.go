package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// rolledAtOnce bounds how many contacts one call of RollSend adds.
const rolledAtOnce = 20_000

// Rolled is what a rolling send took in.
type Rolled struct {
	Appended
	// More says that others may have entered too, and wait for the next call.
	More bool
}

// RollSend adds to a rolling send those who have entered its audience since the freeze. Who entered because the definition of a
// segment changed, or because a membership was mended, is not added, unless the campaign says so. While a segment is being rebuilt, or
// is not there, nobody is added.
func (db *DB) RollSend(ctx context.Context, sendID int64, now time.Time) (Rolled, error) {
	var entered []int64
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		since, ready, err := rebase(ctx, tx, sendID)
		if err != nil || !ready {
			return err
		}
		var included, excluded []int64
		var adds bool
		err = tx.QueryRow(ctx, `
			select array(select id from segment where name = any (s.segments)), array(select id from segment where name = any (s.exclude)), s.adds_on_edit,
				set_config('enable_nestloop', 'off', true)
			from send s where s.id = $1`, sendID).Scan(&included, &excluded, &adds, nil)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, enteredSQL, sendID, included, excluded, since, adds, rolledAtOnce)
		if err != nil {
			return err
		}
		entered, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err != nil {
		return Rolled{}, fmt.Errorf("look who entered the audience of send %d: %w", sendID, err)
	}
	added, err := db.AppendRows(ctx, sendID, entered, now)
	if errors.Is(err, ErrNotFound) { // it was aborted meanwhile
		return Rolled{}, nil
	}
	return Rolled{Appended: added, More: len(entered) == rolledAtOnce && added.OverBound == 0}, err
}

// enteredSQL lists members of segments who are not in a send yet, under any of their records, those who entered first at the top. It is to
// be run without nested loops: members and the ledger are compared as a whole, and the planner, which knows neither while they grow,
// would look for each member through all of the other.
const enteredSQL = `
	select m.contact_id from segment_member m
	where m.segment_id = any ($2::bigint[]) and ($4::timestamptz is null or m.entered_at > $4)
		and ($5::boolean or m.reason is null or m.reason in ('Data', 'Time'))
		and not exists (
			select from (
				select l.contact_id from ledger l where l.send_id = $1 and l.step = ''
				union all
				select x.contact_id from ledger l join contact_record x on x.id = l.contact_id where l.send_id = $1 and l.step = ''
			) taken where taken.contact_id = m.contact_id)
		and not exists (select from segment_member o where o.segment_id = any ($3::bigint[]) and o.contact_id = m.contact_id)
	group by m.contact_id order by min(m.entered_at), m.contact_id limit $6`

// rebase brings the basis of a rolling send up to its segments' definitions, and tells since when those who enter count. It is not
// ready where a segment has no membership to rely on.
func rebase(ctx context.Context, tx pgx.Tx, sendID int64) (since *time.Time, ready bool, err error) {
	var basis *campaign.Basis
	var adds bool
	var names []string
	var now time.Time
	err = tx.QueryRow(ctx, `
		select basis, adds_on_edit, segments || exclude, now() from send
		where id = $1 and rolling and state = 'Sending' for no key update`, sendID).Scan(&basis, &adds, &names, &now)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	digests, err := readDigests(ctx, tx, names)
	if err != nil || digests == nil {
		return nil, false, err
	}
	if basis == nil {
		basis = &campaign.Basis{}
	}
	next, changed := basis.Rebase(digests, adds, now)
	if !changed {
		return next.Since, true, nil
	}
	_, err = tx.Exec(ctx, "update send set basis = $2 where id = $1", sendID, next)
	return next.Since, true, err
}

// readDigests reads the definitions of segments; nil where the membership of one cannot be relied on.
func readDigests(ctx context.Context, tx pgx.Tx, names []string) (map[string]string, error) {
	rows, err := tx.Query(ctx, "select name, digest from segment where name = any ($1) and dormant_since is null and built_digest = digest", names)
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	var name, digest string
	if _, err := pgx.ForEachRow(rows, []any{&name, &digest}, func() error { digests[name] = digest; return nil }); err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	if len(digests) != len(wanted) {
		return nil, nil
	}
	return digests, nil
}
