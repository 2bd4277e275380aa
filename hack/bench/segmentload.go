package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// changeArgument makes this program one that changes people: see runChanges.
const changeArgument = "change-people"

// changePace is how many changes are made, how fast, and which ones.
type changePace struct {
	contacts  int
	first     int // batch
	batches   int
	perSecond int // changes
}

// batchesIn is how many batches make up so many changes a second for some time.
func batchesIn(perSecond int, d time.Duration) int {
	return int(float64(perSecond) * d.Seconds() / changeBatch)
}

// changesMade is what a process that changes people reached.
type changesMade struct {
	Took  time.Duration `json:"took"`
	Late  time.Duration `json:"late"` // the most that a batch was written behind its time
	Timed []timedChange `json:"timed"`
}

// changePeople has a process of its own make changes at a steady pace, whatever becomes of those before.
func changePeople(ctx context.Context, database string, p changePace) (made changesMade, err error) {
	self, err := os.Executable()
	if err != nil {
		return made, fmt.Errorf("find this program: %w", err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, self, changeArgument, strconv.Itoa(p.contacts), strconv.Itoa(p.first), strconv.Itoa(p.batches), strconv.Itoa(p.perSecond))
	cmd.Stdin = bytes.NewBufferString(database) // it has a password
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return made, fmt.Errorf("change people: %w", err)
	}
	if err := json.Unmarshal(out.Bytes(), &made); err != nil {
		return made, fmt.Errorf("read which people were changed: %w", err)
	}
	return made, nil
}

// changeConnections is how many transactions may be under way at the same moment.
const changeConnections = 4

// runChanges is the process.
func runChanges(ctx context.Context, arguments []string) error {
	var numbers []int
	for _, a := range arguments {
		n, err := strconv.Atoi(a)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	if len(numbers) != 4 {
		return errors.New("this is started by the benchmark of segments")
	}
	var database bytes.Buffer
	if _, err := database.ReadFrom(os.Stdin); err != nil {
		return err
	}
	made, err := makeChanges(ctx, database.String(), changePace{numbers[0], numbers[1], numbers[2], numbers[3]})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(made)
}

func makeChanges(ctx context.Context, database string, p changePace) (changesMade, error) {
	run := changeRun{changePace: p, between: time.Second * changeBatch / time.Duration(p.perSecond), started: time.Now()}
	hands := make([]changesMade, changeConnections)
	failed := make([]error, changeConnections)
	var all sync.WaitGroup
	for h := range hands {
		all.Go(func() {
			failed[h] = withConnection(ctx, database, func(conn *pgx.Conn) error { return run.hand(ctx, conn, &hands[h]) })
		})
	}
	all.Wait()
	made := changesMade{Took: time.Since(run.started)}
	for _, h := range hands {
		made.Late, made.Timed = max(made.Late, h.Late), append(made.Timed, h.Timed...)
	}
	return made, errors.Join(failed...)
}

// changeRun is what the connections that make changes share.
type changeRun struct {
	changePace
	between time.Duration // batches
	started time.Time
	next    atomic.Int64
}

// hand writes one batch after the other, each when it is due, until there are no more.
func (r *changeRun) hand(ctx context.Context, conn *pgx.Conn, made *changesMade) error {
	maker := changeMaker{contacts: r.contacts}
	for {
		i := int(r.next.Add(1)) - 1
		if i >= r.batches {
			return nil
		}
		due := r.started.Add(time.Duration(i) * r.between)
		if err := waitUntil(ctx, due); err != nil {
			return err
		}
		batch := maker.batch(r.first + i)
		began, err := batch.write(ctx, conn)
		if err != nil {
			return err
		}
		made.Late = max(made.Late, began.Sub(due))
		for _, c := range batch.timed {
			c.Nanos = began.UnixNano()
			made.Timed = append(made.Timed, c)
		}
	}
}

// withConnection gives f a connection to a tenant's database.
func withConnection(ctx context.Context, database string, f func(*pgx.Conn) error) error {
	config, err := pgx.ParseConfig(database)
	if err != nil {
		return errors.New("the database's URL cannot be read")
	}
	config.RuntimeParams["search_path"] = store.Schema
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["jit"] = "off"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return f(conn)
}

func waitUntil(ctx context.Context, due time.Time) error {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
