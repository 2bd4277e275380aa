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
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// happenArgument makes this program the process that has something happen, as who takes events in does.
const happenArgument = "have-happen"

// happenSQL writes as many events as $5 from the number $1 on: of $2 kinds, of $3 people, in $4 places.
const happenSQL = `insert into event (name, occurred_at, identifier_id, contact_id, source, properties)
	select 'kind_' || (g % $2), clock_timestamp(), 1 + g % $3, 1 + g % $3, 'bench', jsonb_build_object('place', (g / $2) % $4)
	from generate_series($1::int, $1 + $5::int - 1) g`

// happened is what the process reached.
type happened struct {
	Events int           `json:"events"`
	Late   time.Duration `json:"late"` // the most that a statement came behind its time
}

// haveHappen has a process of its own write events at a rate.
func haveHappen(ctx context.Context, database string, rate int, during time.Duration) (made happened, err error) {
	self, err := os.Executable()
	if err != nil {
		return made, fmt.Errorf("find this program: %w", err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, self, happenArgument, strconv.Itoa(rate), during.String())
	cmd.Stdin = bytes.NewBufferString(database) // it has a password
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return made, fmt.Errorf("have something happen: %w", err)
	}
	if err := json.Unmarshal(out.Bytes(), &made); err != nil {
		return made, fmt.Errorf("read what happened: %w", err)
	}
	return made, nil
}

// runHappen is the process.
func runHappen(ctx context.Context, arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("this is started by the benchmark of rules")
	}
	rate, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	during, err := time.ParseDuration(arguments[1])
	if err != nil {
		return err
	}
	var database bytes.Buffer
	if _, err := database.ReadFrom(os.Stdin); err != nil {
		return err
	}
	var made happened
	err = withConnection(ctx, database.String(), func(conn *pgx.Conn) error { return happen(ctx, conn, rate, during, &made) })
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(made)
}

// happen writes events in statements of a fiftieth of a second's.
func happen(ctx context.Context, conn *pgx.Conn, rate int, during time.Duration, made *happened) error {
	const pause = 20 * time.Millisecond
	n := max(1, int(float64(rate)*pause.Seconds()))
	began := time.Now()
	for i := range int(during / pause) {
		due := began.Add(time.Duration(i) * pause)
		if err := waitUntil(ctx, due); err != nil {
			return err
		}
		made.Late = max(made.Late, time.Since(due))
		if _, err := conn.Exec(ctx, happenSQL, made.Events, automateKinds, automatePeople, automateRules/automateKinds, n); err != nil {
			return fmt.Errorf("have something happen: %w", err)
		}
		made.Events += n
	}
	return nil
}

// answered is a transaction that handled events.
type answered struct {
	events  int
	slowest time.Duration
}

// ruleWorkers handle events.
type ruleWorkers struct {
	ended   chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex
	handled []answered
	failed  error
}

// startWorkers has two workers handle events until they are told to stop and there are no more.
func (w *ruleWorld) startWorkers(ctx context.Context) *ruleWorkers {
	all := &ruleWorkers{ended: make(chan struct{})}
	for range 2 {
		rules := store.NewRules(w.db)
		all.running.Go(func() {
			if err := all.work(ctx, rules); err != nil {
				all.mu.Lock()
				defer all.mu.Unlock()
				all.failed = errors.Join(all.failed, err)
			}
		})
	}
	return all
}

func (all *ruleWorkers) work(ctx context.Context, rules *store.Rules) error {
	for {
		stopping := false
		select {
		case <-all.ended:
			stopping = true
		default:
		}
		began := time.Now()
		done, err := rules.HandleEvents(ctx, store.EventsAtOnce)
		switch {
		case err != nil:
			return err
		case done.Events > 0:
			all.mu.Lock()
			all.handled = append(all.handled, answered{done.Events, done.Lag + time.Since(began)})
			all.mu.Unlock()
		case stopping:
			return nil
		default:
			if err := waitUntil(ctx, time.Now().Add(20*time.Millisecond)); err != nil {
				return err
			}
		}
	}
}

// stop waits until there is nothing more to handle.
func (all *ruleWorkers) stop() ([]answered, error) {
	close(all.ended)
	all.running.Wait()
	return all.handled, all.failed
}
