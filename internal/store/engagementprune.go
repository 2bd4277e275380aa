package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// flusherAge is when the batches of a process are forgotten that has written none since: none of them is under way any more.
const flusherAge = 7 * 24 * time.Hour

// PruneEngagement forgets who did what with messages when the tenant's retention is over; the counts stay. It writes only where there is
// something to forget. What comes of a message later is not kept any more, so that nobody counts twice.
func (db *DB) PruneEngagement(ctx context.Context, now time.Time) error {
	var retention time.Duration
	if err := db.Pool.QueryRow(ctx, "select tracking_retention from tenant").Scan(&retention); err != nil {
		return fmt.Errorf("read for how long tracking is kept: %w", err)
	}
	before := now.Add(-retention)
	present, err := db.listPartitions(ctx, engagementMonths)
	if err != nil {
		return err
	}
	for _, name := range planExpired(engagementMonths, present, before) {
		if err := db.dropPartition(ctx, name); err != nil {
			return err
		}
	}
	return db.InTx(ctx, func(tx pgx.Tx) error {
		for _, statement := range []string{
			"delete from engagement_default where at < $1",
			"delete from engaged where at < $1",
			"delete from engagement_seen where send_id in (select id from send where frozen_at < $1)",
		} {
			if _, err := tx.Exec(ctx, statement, before); err != nil {
				return fmt.Errorf("forget who did what with messages: %w", err)
			}
		}
		if _, err := tx.Exec(ctx, "delete from engagement_flush where written_at < $1", now.Add(-flusherAge)); err != nil {
			return fmt.Errorf("forget which batches were written: %w", err)
		}
		return nil
	})
}

// planExpired names the partitions of months that ended before a time.
func planExpired(m monthly, present []string, before time.Time) []string {
	var expired []string
	for _, name := range present {
		month, err := time.Parse(m.table+partitionMonth, name)
		if err == nil && !month.AddDate(0, 1, 0).After(before) {
			expired = append(expired, name)
		}
	}
	return expired
}

func (db *DB) dropPartition(ctx context.Context, name string) error {
	err := db.withShortLocks(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "drop table if exists "+sqlName(name))
		return err
	})
	if err != nil {
		return fmt.Errorf("drop partition %s: %w", name, err)
	}
	return nil
}
