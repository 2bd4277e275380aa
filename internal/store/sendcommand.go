package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Command is what a person decided about the sends of a campaign.
type Command struct {
	Verb   campaign.Verb
	Token  string // the name of the API token
	By     string // whom the caller named
	Reason string // "" where none was given
	// Until ends a pause by itself; nil where somebody has to resume.
	Until *time.Time
	At    time.Time
	// EndedAt is since when a pause holds nothing up; nil before, and of other verbs.
	EndedAt *time.Time
	// Affected is how many messages are to be sent again; of ResendAmbiguous only.
	Affected int64
}

// InForce tells whether a pause holds the sends up at a moment.
func (c Command) InForce(now time.Time) bool {
	return c.Verb == campaign.Pause && c.EndedAt == nil && (c.Until == nil || c.Until.After(now))
}

// CommandRefusedError says that a command cannot be followed, and how to mend it.
type CommandRefusedError struct {
	Verb campaign.Verb
	Why  string
}

// Error implements error.
func (e *CommandRefusedError) Error() string { return fmt.Sprintf("%s: %s", e.Verb, e.Why) }

// sendPaused is true for a send s that a person has paused.
const sendPaused = `exists (select from send_command p where p.send_key = s.send_key and p.verb = 'pause' and p.ended_at is null
	and (p.until is null or p.until > now()))`

// CommandSend records a command about the sends of a campaign in force, all occurrences of it, and makes it count, in one
// transaction; nothing that was not begun by then begins after a pause or an abort. It returns ErrNotFound where the
// campaign has declared no send, and a *CommandRefusedError where the command makes no sense. What an abort leaves pending
// is skipped by EndAbortedSends. Use ResendAmbiguous for that verb.
func (db *DB) CommandSend(ctx context.Context, name string, c Command) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		sends, err := lockCommanded(ctx, tx, name)
		if err != nil {
			return err
		}
		if refused := planCommand(c.Verb, sends); refused != nil {
			return refused
		}
		if err := endPause(ctx, tx, sends[0].key); err != nil {
			return err
		}
		if _, err := insertCommand(ctx, tx, sends[0].key, c); err != nil {
			return err
		}
		if c.Verb == campaign.Abort {
			if err := abortSends(ctx, tx, sends[0].key); err != nil {
				return err
			}
		}
		return noteStatusChange(ctx, tx, CampaignKind, name)
	})
	if err != nil {
		return fmt.Errorf("%s campaign %q: %w", c.Verb, name, err)
	}
	return nil
}

// commandedSend is what decides whether a command about a send makes sense.
type commandedSend struct {
	id    int64
	key   string
	state campaign.State
	held  bool
}

// lockCommanded locks the sends of a campaign in force, so that commands about it follow one another.
func lockCommanded(ctx context.Context, tx pgx.Tx, name string) ([]commandedSend, error) {
	rows, err := tx.Query(ctx, `
		select s.id, s.send_key, s.state, `+sendHeld+` from send s
		where s.campaign = $1 and s.dormant_since is null
			and s.send_key = (select send_key from send where campaign = $1 and dormant_since is null order by id desc limit 1)
		order by s.id for no key update of s`, name)
	if err != nil {
		return nil, err
	}
	sends, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s commandedSend, err error) {
		err = row.Scan(&s.id, &s.key, &s.state, &s.held)
		return s, err
	})
	if err == nil && len(sends) == 0 {
		err = ErrNotFound
	}
	return sends, err
}

// planCommand tells why a command makes no sense, and nil for one that does. A command that was followed already may be
// repeated: its answer may have been lost.
func planCommand(verb campaign.Verb, sends []commandedSend) error {
	aborted, over, held := false, true, false
	for _, s := range sends {
		aborted = aborted || s.state == campaign.Aborted
		over = over && s.state.Final()
		held = held || s.held
	}
	refuse := func(why string) error { return &CommandRefusedError{Verb: verb, Why: why} }
	switch {
	case verb == campaign.Abort && over && !aborted:
		return refuse("the campaign is over: there is nothing left to abort")
	case verb != campaign.Abort && aborted:
		return refuse("the campaign was aborted, which is final: to send, write another Campaign with another sendKey")
	case verb == campaign.Pause && over:
		return refuse("the campaign is over: there is nothing left to pause")
	case verb == campaign.Resume && held:
		return refuse("the campaign is held by the release of a quarantine: `tertulia quarantine resume` lets it go on")
	}
	return nil
}

func insertCommand(ctx context.Context, tx pgx.Tx, key string, c Command) (id int64, err error) {
	err = tx.QueryRow(ctx, `insert into send_command (send_key, verb, token, by_whom, reason, until) values ($1, $2, $3, $4, nullif($5, ''), $6) returning id`,
		key, c.Verb, c.Token, c.By, c.Reason, c.Until).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("record the command: %w", err)
	}
	return id, nil
}

// endPause ends the pause of a send, whatever comes in its place.
func endPause(ctx context.Context, tx pgx.Tx, key string) error {
	_, err := tx.Exec(ctx, "update send_command set ended_at = least(now(), until) where send_key = $1 and verb = 'pause' and ended_at is null", key)
	if err != nil {
		return fmt.Errorf("end the pause: %w", err)
	}
	return nil
}

// abortSends ends the sends of a key: those that have rows to skip are finished by EndAbortedSends.
func abortSends(ctx context.Context, tx pgx.Tx, key string) error {
	_, err := tx.Exec(ctx, `
		update send s set state = 'Aborted', message = null,
			finished_at = case when exists (select from send_chunk c where c.send_id = s.id and c.open) then null else now() end
		where s.send_key = $1 and s.state in ('Scheduled', 'Freezing', 'Sending', 'Held')`, key)
	if err != nil {
		return fmt.Errorf("end the sends: %w", err)
	}
	return nil
}

// EndPauses records that pauses with an end have come to it, so that a status does not show them any longer.
func (db *DB) EndPauses(ctx context.Context) error {
	// Nobody's write where nothing has ended: a settled tenant costs none.
	var due bool
	err := db.Pool.QueryRow(ctx, "select exists (select from send_command where verb = 'pause' and ended_at is null and until <= now())").Scan(&due)
	if err != nil {
		return fmt.Errorf("look for pauses that have ended: %w", err)
	}
	if !due {
		return nil
	}
	_, err = db.Pool.Exec(ctx, `
		with ended as (
			update send_command set ended_at = until where verb = 'pause' and ended_at is null and until <= now() returning send_key)
		insert into status_change (kind, name)
		select distinct $1, s.campaign from ended join send s using (send_key) where s.dormant_since is null order by 2
		on conflict (kind, name) do update set name = excluded.name`, CampaignKind)
	if err != nil {
		return fmt.Errorf("end pauses: %w", err)
	}
	return nil
}

// LastCommands are the last command about the sends of a key and the pause that is in force; nil where there is none.
func (db *DB) LastCommands(ctx context.Context, key string) (last, pause *Command, err error) {
	rows, err := db.Pool.Query(ctx, `
		(select false, verb, token, by_whom, coalesce(reason, ''), until, at, ended_at, affected from send_command
			where send_key = $1 order by id desc limit 1)
		union all
		(select true, verb, token, by_whom, coalesce(reason, ''), until, at, ended_at, affected from send_command
			where send_key = $1 and verb = 'pause' and ended_at is null and (until is null or until > now()) order by id desc limit 1)`, key)
	if err != nil {
		return nil, nil, fmt.Errorf("read the commands about send %q: %w", key, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Command
		var inForce bool
		if err := rows.Scan(&inForce, &c.Verb, &c.Token, &c.By, &c.Reason, &c.Until, &c.At, &c.EndedAt, &c.Affected); err != nil {
			return nil, nil, fmt.Errorf("read the commands about send %q: %w", key, err)
		}
		if inForce {
			pause = &c
		} else {
			last = &c
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("read the commands about send %q: %w", key, err)
	}
	return last, pause, nil
}
