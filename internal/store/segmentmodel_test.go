package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// definitions are what the segments of the test below are edited to, at random.
var definitions = []string{
	`contact.plan == "pro"`,
	`contact.spent > 50.0 && contact.plan != "pro"`,
	`!has(contact.plan) || "vip" in contact.tags`,
	`consented("newsletter")`,
	`consented("newsletter") && !consented("offers")`,
	`events("purchase").count() > 0`,
	`events("purchase").count() == 0 && contact.plan == "free"`,
	`events("visit").within("1s").count() > 0`,
	`events("visit").before("1s").count() > 1`,
	`events("purchase").sum("amount") > 20.0`,
	`contact.trial_ends > now`,
	`contact.trial_ends < ahead("1s") && has(contact.trial_ends)`,
	`has_identifier("phone")`,
	`contact.locale == "es"`,
	"in base",
	"in nested",
}

const chaosPeople = 120

// chaos is what the random test does to a tenant while its segments are followed.
type chaos struct {
	following
	failures atomic.Int64 // of what was cut off
	done     atomic.Int64
}

// TestSegmentsFollowWhateverHappens lets people be written about in every way at once, by transactions that take long, fail or are
// cut off, while several workers evaluate, segments are edited, put to sleep and woken, and connections are ended anywhere. When all
// is quiet every membership must be what its definition says, and the verification must find nothing to repair.
func TestSegmentsFollowWhateverHappens(t *testing.T) {
	c := &chaos{following: newFollowing(t, chaosPeople)}
	c.segment("base", definitions[0])
	c.segment("nested", "in base")
	for i, source := range definitions {
		c.segment(fmt.Sprintf("s%d", i), source)
	}
	ctx, stop := context.WithTimeout(t.Context(), 12*time.Second)
	defer stop()
	var others sync.WaitGroup
	for i := range 4 {
		others.Go(func() { c.repeat(ctx, uint64(i), c.write) })
	}
	for i := range 2 {
		others.Go(func() { c.repeat(ctx, uint64(10+i), c.evaluate) })
	}
	others.Go(func() { c.repeat(ctx, 20, c.edit) })
	others.Go(func() { c.repeat(ctx, 30, c.cutOff) })
	others.Go(func() { c.repeat(ctx, 40, c.verifySome) })
	others.Wait()
	t.Logf("%d things were done, %d were cut off", c.done.Load(), c.failures.Load())
	if c.done.Load() < 200 || c.failures.Load() < 5 {
		t.Error("too little happened to prove anything")
	}
	c.Pool.Reset() // a connection may have been cut off when nobody used it any more
	c.exec("update segment set suspended = false, dormant_since = null")
	c.check()
	// The verification looks a second time when what is crossed has been swept; here nothing is left to be crossed.
	gomega.NewWithT(t).Eventually(func() (ahead bool) {
		err := c.Pool.QueryRow(t.Context(), `select exists (select from event where occurred_at > clock_timestamp() - interval '3 seconds')
			or exists (select from contact where attr_trial_ends > clock_timestamp() - interval '3 seconds')`).Scan(&ahead)
		if err != nil {
			t.Fatal(err)
		}
		return ahead
	}, 20*time.Second, 50*time.Millisecond).Should(gomega.BeFalse())
	c.check()
	if n := c.verify(); n != 0 {
		t.Errorf("the verification repaired %d memberships", n)
	}
	var repairs int
	if err := c.Pool.QueryRow(t.Context(), "select count(*) from segment_event where reason = 'Repair'").Scan(&repairs); err != nil || repairs != 0 {
		t.Errorf("%d memberships were repaired meanwhile, %v", repairs, err)
	}
}

// repeat does something again and again. What is cut off, or loses against others, is only counted.
func (c *chaos) repeat(ctx context.Context, seed uint64, do func(context.Context, *rand.Rand) error) {
	random := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // a test is to do the same again
	for ctx.Err() == nil {
		err := do(context.WithoutCancel(ctx), random)
		c.done.Add(1)
		var busy *store.SegmentBusyError
		var notReady *store.SegmentNotReadyError
		switch {
		case err == nil, errors.As(err, &busy), errors.As(err, &notReady), errors.Is(err, store.ErrNotFound): // it was deleted meanwhile
		case store.IsUnavailable(err), isSerialization(err):
			c.failures.Add(1)
		default:
			c.t.Errorf("%T: %v", err, err)
			return
		}
	}
}

// isSerialization recognises who lost a deadlock, or waited for something that another one made.
func isSerialization(err error) bool {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return errors.Is(err, pgx.ErrTxCommitRollback)
	}
	switch state.SQLState() {
	case "40P01", "40001", "55P03", "23505", "57P01", "57014", "23503":
		return true
	}
	return false
}

func (c *chaos) write(ctx context.Context, random *rand.Rand) error {
	id := 1 + random.IntN(chaosPeople)
	switch random.IntN(12) {
	case 0:
		return c.importSome(ctx, random)
	case 1, 2:
		return c.putEvents(ctx, random)
	case 3:
		return c.transaction(ctx, random, 20)
	case 4:
		return c.one(ctx, "delete from event where id in (select id from event order by random() limit 3)")
	case 5:
		return c.one(ctx, "update contact set attr_plan = case when id % 3 = $1 then 'pro' when id % 3 = 1 then 'free' end where id % 5 = $2", random.IntN(3), random.IntN(5))
	case 6:
		return c.one(ctx, "delete from consent where contact_id % 7 = $1", random.IntN(7))
	case 7:
		return c.one(ctx, "update contact set attr_trial_ends = clock_timestamp() + make_interval(secs => $1) where id % 4 = $2", random.Float64()*4-1, random.IntN(4))
	default:
		return c.statement(ctx, c.Pool, random, id)
	}
}

func (c *chaos) one(ctx context.Context, sql string, arguments ...any) error {
	_, err := c.Pool.Exec(ctx, sql, arguments...)
	return err
}

type executor interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

// statement writes one thing about a contact.
func (c *chaos) statement(ctx context.Context, q executor, random *rand.Rand, id int) (err error) {
	switch random.IntN(6) {
	case 0:
		_, err = q.Exec(ctx, "update contact set attr_plan = $2, locale = $3 where id = $1", id, []any{"pro", "free", nil}[random.IntN(3)], []any{"es", "en"}[random.IntN(2)])
	case 1:
		_, err = q.Exec(ctx, "update contact set attr_spent = $2, tags = $3 where id = $1", id, random.IntN(100), [][]string{{}, {"vip"}, {"x", "vip"}}[random.IntN(3)])
	case 2:
		_, err = q.Exec(ctx, `insert into consent (contact_id, purpose, granted, source) values ($1, $2, $3, 'x')
			on conflict (contact_id, purpose) do update set granted = excluded.granted`, id, []string{"newsletter", "offers"}[random.IntN(2)], random.IntN(2) == 0)
	case 3:
		_, err = q.Exec(ctx, `insert into event (name, occurred_at, identifier_id, contact_id, source, properties)
			select $2, clock_timestamp() + make_interval(secs => $3), $1, $1, 'x', '{"amount": 7.5}' from generate_series(1, 2)`, id,
			[]string{"purchase", "visit"}[random.IntN(2)], random.Float64()*4-3)
	case 4:
		_, err = q.Exec(ctx, "update event set contact_id = $1 where id in (select id from event order by random() limit 2)", id)
	case 5:
		_, err = q.Exec(ctx, "insert into contact (attr_plan, locale) values ($1, 'es')", []any{"pro", nil}[random.IntN(2)])
	}
	return err
}

// transaction writes several things, slowly, and may be rolled back in the end or see nothing of what others do meanwhile.
func (c *chaos) transaction(ctx context.Context, random *rand.Rand, most int) error {
	isolation := []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead}[random.IntN(2)]
	rollback := errors.New("rolled back")
	err := pgx.BeginTxFunc(ctx, c.Pool, pgx.TxOptions{IsoLevel: isolation}, func(tx pgx.Tx) error {
		for range random.IntN(most) {
			if err := c.statement(ctx, tx, random, 1+random.IntN(chaosPeople)); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "select pg_sleep($1)", random.Float64()/20); err != nil {
				return err
			}
		}
		if random.IntN(4) == 0 {
			return rollback
		}
		return nil
	})
	if errors.Is(err, rollback) {
		return nil
	}
	return err
}

func (c *chaos) importSome(ctx context.Context, random *rand.Rand) error {
	columns := store.ContactColumns{Attributes: []crm.Attribute{{Name: "plan", Type: crm.String}}, Purposes: []string{"newsletter"}, EmailVerified: true}
	rows := make([]store.ContactRow, 20)
	for i := range rows {
		n := random.IntN(2 * chaosPeople)
		rows[i] = store.ContactRow{
			ExternalID: fmt.Sprint(n), Email: fmt.Sprintf("c%d@people.example", n), Attributes: []string{[]string{"pro", "free", ""}[random.IntN(3)]},
			Consents: []store.Decision{store.Decision(random.IntN(3))}, //nolint:gosec // 0 to 2
		}
		if random.IntN(3) == 0 {
			rows[i].Phone = fmt.Sprintf("+4930%07d", n)
		}
	}
	_, err := c.PutContacts(ctx, "shop", columns, rows)
	return err
}

func (c *chaos) putEvents(ctx context.Context, random *rand.Rand) error {
	events := make([]store.Event, 1+random.IntN(10))
	for i := range events {
		events[i] = store.Event{
			Source: "shop", ClientID: fmt.Sprint(random.Uint64()), Name: []string{"purchase", "visit"}[random.IntN(2)],
			OccurredAt:     time.Now().Add(time.Duration(random.Int64N(int64(4*time.Second))) - 3*time.Second),
			IdentifierType: crm.EmailIdentifier, IdentifierValue: fmt.Sprintf("c%d@people.example", random.IntN(2*chaosPeople)),
			Properties: []byte(`{"amount": 12.25}`),
		}
	}
	_, err := c.PutEvents(ctx, events)
	return err
}

func (c *chaos) evaluate(ctx context.Context, random *rand.Rand) error {
	switch random.IntN(10) {
	case 0:
		return c.RotateChanges(ctx)
	case 1:
		return c.SettleSegments(ctx, []string{"nested", fmt.Sprintf("s%d", random.IntN(len(definitions)))})
	case 2:
		_, err := c.FollowChanges(ctx, 1+random.IntN(20))
		return err
	default:
		_, err := c.work(ctx)
		return err
	}
}

// edit changes a definition, or puts a segment to sleep or wakes it.
func (c *chaos) edit(ctx context.Context, random *rand.Rand) error {
	if err := c.one(ctx, "select pg_sleep(0.05)"); err != nil {
		return err
	}
	name := fmt.Sprintf("s%d", random.IntN(len(definitions)))
	switch random.IntN(4) {
	case 0:
		return c.one(ctx, "update segment set suspended = not suspended where name = $1", name)
	case 1:
		return c.DormantSegment(ctx, name)
	default:
		return c.save(name, definitions[random.IntN(len(definitions))])
	}
}

// cutOff ends somebody's connection.
func (c *chaos) cutOff(ctx context.Context, _ *rand.Rand) error {
	return c.one(ctx, `select pg_terminate_backend(pid) from (select pid from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle' order by random() limit 1) a, pg_sleep(0.1)`)
}

func (c *chaos) verifySome(ctx context.Context, _ *rand.Rand) error {
	_, err := c.VerifySegments(ctx, 0, 30)
	if err != nil {
		return err
	}
	return c.one(ctx, "select pg_sleep(0.1)")
}
