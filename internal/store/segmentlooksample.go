package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// How members are drawn by lot: a segment of few is shuffled; of more, ids are guessed until enough of them are members', which costs
// by how rare members are among contacts and not by how many they are.
const (
	shuffled   = 20_000
	mostDrawn  = 200_000
	drawnTwice = 3 // times as many ids are drawn as are needed on average
)

// SampleSegment draws members of a segment by lot, each with the same chance, and returns their public ids in no order. It is ErrNotFound
// where no segment in force has this name.
func (db *DB) SampleSegment(ctx context.Context, name string, n int) (ids []string, err error) {
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) (err error) {
		var id, members, first, last int64
		err = tx.QueryRow(ctx, `
			select g.id, (select coalesce(sum(n), 0) from segment_tally t where t.segment_id = g.id)::bigint,
				coalesce((select min(contact_id) from segment_member m where m.segment_id = g.id), 0),
				coalesce((select max(contact_id) from segment_member m where m.segment_id = g.id), 0)
			from segment g where g.name = $1 and g.dormant_since is null`, name).Scan(&id, &members, &first, &last)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if draws := drawnTwice * (int64(n) + 10) * (last - first + 1) / max(members, 1); members > shuffled && draws <= mostDrawn {
			ids, err = collectIDs(ctx, tx, `
				with drawn as materialized (
					select distinct $3 + floor(random() * ($4::bigint - $3::bigint + 1))::bigint id from generate_series(1, $5::bigint)
				)
				select c.public_id::text from (
					select d.id from drawn d cross join lateral (
						select from segment_member m where m.segment_id = $1 and m.contact_id = d.id offset 0) m
					order by random() limit $2
				) d join contact c on c.id = d.id`, id, n, first, last, draws)
			if err != nil || len(ids) == n {
				return err
			}
		}
		ids, err = collectIDs(ctx, tx, `
			select c.public_id::text from (select contact_id id from segment_member where segment_id = $1 order by random() limit $2) m
				join contact c on c.id = m.id`, id, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("draw members of segment %q: %w", name, err)
	}
	return ids, nil
}

func collectIDs(ctx context.Context, tx pgx.Tx, query string, arguments ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
