package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// WithSendLock runs f while no other worker does anything under the lock of the same send, and tells whether it ran:
// it does not when somebody else holds the lock. The lock lasts as long as a transaction, which beat keeps from being
// idle: a worker that is stopped or cut off loses it after Options.IdleInTransaction, and who hears nothing from the
// database for three beats, or five seconds, gives it up.
func (db *DB) WithSendLock(ctx context.Context, sendID int64, beat time.Duration, f func(context.Context) error) (ran bool, err error) {
	return db.withLock(ctx, fmt.Sprintf("send/%d", sendID), beat, f)
}

// WithMailboxLock is WithSendLock for the mailbox of a channel.
func (db *DB) WithMailboxLock(ctx context.Context, channel string, beat time.Duration, f func(context.Context) error) (ran bool, err error) {
	return db.withLock(ctx, "mailbox/"+channel, beat, f)
}

func (db *DB) withLock(ctx context.Context, name string, beat time.Duration, f func(context.Context) error) (ran bool, err error) {
	var result error
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	// It runs while a statement of the lock's own connection does.
	patience := max(3*beat, leastPatience)
	silence := time.AfterFunc(patience, func() { giveUp(errSilent) })
	defer silence.Stop()
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock(hashtextextended($1, 0))", name).Scan(&ran); err != nil || !ran {
			return err
		}
		silence.Stop()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- f(ctx) }()
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		for {
			select {
			case result = <-done:
				silence.Reset(patience) // for the commit
				return nil
			case <-ticker.C:
				silence.Reset(patience)
				if _, err := tx.Exec(ctx, "select 1"); err != nil {
					cancel()
					result = <-done
					return err
				}
				silence.Stop()
			}
		}
	})
	if err != nil {
		return ran, fmt.Errorf("hold the lock %s: %w", name, errors.Join(result, err))
	}
	return ran, result
}

// leastPatience is how long a database may take to answer, however short a beat is.
const leastPatience = 5 * time.Second

// errSilent says why a lock was given up.
var errSilent = errors.New("the database does not answer")

// withSessionLock runs f while nobody else holds an advisory lock of this key, and tells whether it ran. The lock is a session's and
// not a transaction's: what runs under it may wait for every transaction that is open. f has the pool's other connections.
func (db *DB) withSessionLock(ctx context.Context, key int64, f func(context.Context) error) (ran bool, err error) {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()
	if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", key).Scan(&ran); err != nil || !ran {
		return false, err
	}
	defer func() {
		unlock, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if _, err := conn.Exec(unlock, "select pg_advisory_unlock($1)", key); err != nil {
			_ = conn.Conn().Close(unlock) // a connection that went back to the pool would keep it
		}
	}()
	return true, f(ctx)
}
