package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tertulia-crm/tertulia/internal/local/node"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// database is the tenants' PostgreSQL, which the drills stop and crash, and a look into one tenant's ledger as its superuser.
type database struct {
	dir, log string
	server   *postgres.Server
	logFile  *os.File
	velo     *store.DB
}

// start runs the server, on the data that it has. Nothing is made faster by losing what was committed.
func (d *database) start(ctx context.Context) error {
	if d.logFile == nil {
		file, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open PostgreSQL's log: %w", err)
		}
		d.logFile = file
	}
	server, err := postgres.Start(ctx, postgres.Options{
		Dir: d.dir, Port: databasePort, Address: node.Address, Clients: "10.77.0.0/16", Durable: true, Log: d.logFile,
	})
	d.server = server
	return err
}

// stop ends the server in its fast mode: sessions are cut, what was committed is written.
func (d *database) stop(ctx context.Context) error { return d.server.Stop(ctx) }

// crash ends it in its immediate mode: the next start recovers from the log.
func (d *database) crash() error { return d.server.Kill() }

// url names the server's first database, as the role that may make tenants' databases.
func (d *database) url() string { return d.server.URL("postgres") }

// ledgers opens the example tenant's database.
func (d *database) ledgers(ctx context.Context) (*store.DB, error) {
	if d.velo != nil {
		return d.velo, nil
	}
	opened, err := store.Open(ctx, d.server.URL("tertulia_velo_demo"), store.Options{MaxConns: 2, ApplicationName: "e2e"})
	if err != nil {
		return nil, err
	}
	d.velo = opened
	return opened, nil
}

func (d *database) close(ctx context.Context) error {
	var errs []error
	if d.velo != nil {
		d.velo.Close()
	}
	if d.server != nil {
		errs = append(errs, d.server.Stop(ctx))
	}
	if d.logFile != nil {
		errs = append(errs, d.logFile.Close())
	}
	return errors.Join(errs...)
}

// ledger is what the database says of one send. Intents are rows whose outcome is not known yet; a campaign's status counts
// them as pending.
type ledger struct {
	State                                                       string
	Planned, Sent, Failed, Ambiguous, Skipped, Pending, Intents int64
}

// ledger reads a send by its key; the zero value where there is none.
func (s *stage) ledger(ctx context.Context, sendKey string) (ledger, error) {
	velo, err := s.db.ledgers(ctx)
	if err != nil {
		return ledger{}, err
	}
	rows, err := velo.Pool.Query(ctx, `
		select s.state, count(l.send_id), count(*) filter (where l.state = 'sent'), count(*) filter (where l.state = 'failed'),
			count(*) filter (where l.state = 'ambiguous'), count(*) filter (where l.state = 'skipped'),
			count(*) filter (where l.state = 'pending'), count(*) filter (where l.state = 'intent')
		from send s left join ledger l on l.send_id = s.id where s.send_key = $1 group by s.state`, sendKey)
	if err != nil {
		return ledger{}, fmt.Errorf("read the ledger: %w", err)
	}
	defer rows.Close()
	var l ledger
	for rows.Next() {
		if err := rows.Scan(&l.State, &l.Planned, &l.Sent, &l.Failed, &l.Ambiguous, &l.Skipped, &l.Pending, &l.Intents); err != nil {
			return ledger{}, fmt.Errorf("read the ledger: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return ledger{}, fmt.Errorf("read the ledger: %w", err)
	}
	return l, nil
}

// owners are the workers that hold leases of a send's chunks now.
func (s *stage) owners(ctx context.Context, sendKey string) ([]string, error) {
	velo, err := s.db.ledgers(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := velo.Pool.Query(ctx, `
		select distinct c.owner from send_chunk c join send s on s.id = c.send_id
		where s.send_key = $1 and c.owner <> '' and c.leased_until > now()`, sendKey)
	if err != nil {
		return nil, fmt.Errorf("read who sends: %w", err)
	}
	defer rows.Close()
	var owners []string
	for rows.Next() {
		var owner string
		if err := rows.Scan(&owner); err != nil {
			return nil, fmt.Errorf("read who sends: %w", err)
		}
		owners = append(owners, owner)
	}
	return owners, rows.Err()
}
