package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// MaxLinkURL is how many bytes the address of a tracked link may have.
const MaxLinkURL = 2000

// Link is where a tracked link of a send leads.
type Link struct {
	ID     int64
	SendID int64
	// URL is the address, or, with Liquid in it, the template of one that differs between recipients.
	URL string
}

// EnsureLinks gives each address an id within a send, the same every time, and writes those that have none yet. An address
// that is empty or longer than MaxLinkURL gets none.
func (db *DB) EnsureLinks(ctx context.Context, sendID int64, urls []string) (map[string]int64, error) {
	ids := make(map[string]int64, len(urls))
	if len(urls) == 0 {
		return ids, nil
	}
	// In the order of their addresses, so that two workers that begin together do not wait for each other in a circle.
	_, err := db.Pool.Exec(ctx, `
		insert into link (send_id, url)
		select $1, u.url from (select distinct unnest($2::text[]) url) u
		where octet_length(u.url) between 1 and $3 and not exists (select from link l where l.send_id = $1 and l.url = u.url)
		order by u.url
		on conflict do nothing`, sendID, urls, MaxLinkURL)
	if err != nil {
		return nil, fmt.Errorf("write the links of send %d: %w", sendID, err)
	}
	rows, err := db.Pool.Query(ctx, "select url, id from link where send_id = $1 and url = any ($2)", sendID, urls)
	if err != nil {
		return nil, fmt.Errorf("read the links of send %d: %w", sendID, err)
	}
	var url string
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&url, &id}, func() error {
		ids[url] = id
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the links of send %d: %w", sendID, err)
	}
	return ids, nil
}

// SendLinks lists the links of a send in the order of their ids.
func (db *DB) SendLinks(ctx context.Context, sendID int64) ([]Link, error) {
	rows, err := db.Pool.Query(ctx, "select id, send_id, url from link where send_id = $1 order by id", sendID)
	if err != nil {
		return nil, fmt.Errorf("list the links of send %d: %w", sendID, err)
	}
	links, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Link])
	if err != nil {
		return nil, fmt.Errorf("list the links of send %d: %w", sendID, err)
	}
	return links, nil
}
