package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// begin begins a transaction, which the test ends.
func (f following) begin(level pgx.TxIsoLevel) pgx.Tx {
	f.t.Helper()
	tx, err := f.Pool.BeginTx(f.t.Context(), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}

func (f following) in(tx pgx.Tx, sql string) {
	f.t.Helper()
	if _, err := tx.Exec(f.t.Context(), sql); err != nil {
		f.t.Fatalf("%s: %v", sql, err)
	}
}

func (f following) commit(tx pgx.Tx) {
	f.t.Helper()
	if err := tx.Commit(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// TestBuildAwaitsWriters declares a segment while somebody has written something of which nobody took note then.
func TestBuildAwaitsWriters(t *testing.T) {
	f := newFollowing(t, 3)
	writer := f.begin(pgx.ReadCommitted)
	f.in(writer, "update contact set attr_plan = 'pro' where id = 2")
	f.segment("pro", `contact.plan == "pro"`)
	var busy *store.SegmentBusyError
	if _, err := f.BuildSegment(t.Context(), "pro", time.Hour); !errors.As(err, &busy) {
		t.Fatalf("the segment was built: %v", err)
	}
	var notReady *store.SegmentNotReadyError
	if err := f.SettleSegments(t.Context(), []string{"pro"}); !errors.As(err, &notReady) {
		t.Fatalf("the segment is ready: %v", err)
	}
	f.commit(writer)
	f.want("pro", 2)
}

// TestBuildAwaitsSlowAnswers has the database not say in time whether the writers have ended: nothing is known to be wrong.
func TestBuildAwaitsSlowAnswers(t *testing.T) {
	f := newFollowing(t, 3)
	f.segment("pro", `contact.plan == "pro"`)
	writer := f.begin(pgx.ReadCommitted)
	f.in(writer, "update contact set attr_plan = 'pro' where id = 2")
	done := make(chan error, 1)
	go func() {
		_, err := f.BuildSegment(context.Background(), "pro", time.Hour)
		done <- err
	}()
	gomega.NewWithT(t).Eventually(func() (begun bool) {
		if err := f.Pool.QueryRow(t.Context(), "select building_since is not null from segment").Scan(&begun); err != nil {
			t.Fatal(err)
		}
		return begun
	}, time.Minute, 10*time.Millisecond).Should(gomega.BeTrue())
	f.in(f.begin(pgx.ReadCommitted), "lock table segment in access exclusive mode") // whoever asks waits, until the build gives up
	var busy *store.SegmentBusyError
	if err := <-done; !errors.As(err, &busy) {
		t.Errorf("the build ended with %v", err)
	}
}

// TestOldSnapshotsAreNoticed writes in a transaction that began before the segment was there, and sees it neither.
func TestOldSnapshotsAreNoticed(t *testing.T) {
	f := newFollowing(t, 3)
	writer := f.begin(pgx.RepeatableRead)
	f.in(writer, "select from segment")
	f.segment("pro", `contact.plan == "pro"`)
	f.want("pro")
	f.in(writer, "update contact set attr_plan = 'pro' where id = 2")
	f.want("pro")
	f.commit(writer)
	f.want("pro", 2)
}

// awaitWaiting waits until so many wait for others.
func (f following) awaitWaiting(n int) {
	f.t.Helper()
	gomega.NewWithT(f.t).Eventually(func() (waiting int) {
		err := f.Pool.QueryRow(f.t.Context(), `select count(distinct pid) from pg_locks l where not granted and exists (
			select from pg_stat_activity a where a.pid = l.pid and a.datname = current_database())`).Scan(&waiting)
		if err != nil {
			f.t.Fatal(err)
		}
		return waiting
	}, time.Minute, 10*time.Millisecond).Should(gomega.Equal(n))
}

// heldBuild builds a segment that was built before, until it has evaluated everybody. goOn lets it go on and returns how it ended.
func (f following) heldBuild(name string) (goOn func() error) {
	f.t.Helper()
	gate := f.begin(pgx.ReadCommitted)
	f.in(gate, "select from segment_tally for update") // whoever has evaluated waits at the counts of members
	done := make(chan error, 1)
	go func() {
		_, err := f.BuildSegment(context.Background(), name, time.Hour)
		done <- err
	}()
	f.awaitWaiting(1)
	return func() error {
		f.commit(gate)
		return <-done
	}
}

// TestWhoIsDeletedIsNoMember deletes a contact who is a member, and one whom a build has found meanwhile.
func TestWhoIsDeletedIsNoMember(t *testing.T) {
	f := newFollowing(t, 4)
	f.segment("rich", `contact.spent > 2.0`)
	f.want("rich", 3, 4)
	f.exec("delete from identifier_link where contact_id in (2, 3)")
	f.exec("delete from contact where id = 3")
	f.want("rich", 4)
	f.segment("rich", `contact.spent > 1.0`)
	goOn := f.heldBuild("rich")
	f.exec("delete from contact where id = 2")
	if err := goOn(); err != nil {
		t.Fatal(err)
	}
	f.want("rich", 4)
}

// TestBuildAwaitsEvaluations edits a segment while somebody evaluates a change by the definition of before.
func TestBuildAwaitsEvaluations(t *testing.T) {
	f := newFollowing(t, 4)
	f.segment("rich", `contact.spent > 2.0`)
	f.want("rich", 3, 4)
	f.exec("update contact set attr_spent = 9 where id = 1")
	gate := f.begin(pgx.ReadCommitted)
	f.in(gate, "select from segment_tally for update") // whoever has evaluated waits at the counts of members
	done := make(chan error, 2)
	go func() {
		_, err := f.FollowChanges(context.Background(), store.ChangesAtOnce)
		done <- err
	}()
	f.awaitWaiting(1)
	f.segment("rich", `contact.spent > 2.0 && contact.spent < 5.0`)
	go func() {
		_, err := f.BuildSegment(context.Background(), "rich", time.Hour)
		done <- err
	}()
	f.awaitWaiting(2)
	f.commit(gate)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	f.want("rich", 3, 4)
	f.check()
}

// TestChangesDuringABuild lets people change when the build has evaluated them already.
func TestChangesDuringABuild(t *testing.T) {
	f := newFollowing(t, 4)
	f.segment("pro", `contact.plan == "pro"`)
	f.exec("update contact set attr_plan = 'pro' where id in (1, 2)")
	f.want("pro", 1, 2)
	f.segment("pro", `contact.plan == "pro" || contact.plan == "club"`)
	goOn := f.heldBuild("pro")
	f.exec("update contact set attr_plan = case id when 1 then 'free' when 3 then 'club' end where id in (1, 3)")
	f.exec("insert into contact (attr_plan) values ('club')")
	if followed, err := f.FollowChanges(t.Context(), store.ChangesAtOnce); err != nil || followed.Evaluated != 0 || followed.Changes != 3 {
		t.Errorf("while the segment is being built: %+v, %v", followed, err)
	}
	if got := f.members("pro"); len(got) != 2 {
		t.Errorf("members %v while the segment is being built, want those of before", got)
	}
	if err := goOn(); err != nil {
		t.Fatal(err)
	}
	f.want("pro", 2, 3, 5)
	f.check()
	var touched int
	if err := f.Pool.QueryRow(t.Context(), "select count(*) from segment_touched").Scan(&touched); err != nil || touched != 0 {
		t.Errorf("%d touched contacts are left, %v", touched, err)
	}
}

// TestEditDuringABuild gives a segment another definition when the build has evaluated everybody by the old one.
func TestEditDuringABuild(t *testing.T) {
	f := newFollowing(t, 4)
	f.segment("rich", `contact.spent > 2.0`)
	f.want("rich", 3, 4)
	f.segment("rich", `contact.spent > 3.0`)
	goOn := f.heldBuild("rich")
	f.segment("rich", `contact.spent < 2.0`)
	if err := goOn(); err != nil {
		t.Fatal(err)
	}
	f.want("rich", 1)
	f.check()
}

// TestBrokenDefinitionsHarmNobodyElse evaluates a segment that was compiled for another schema.
func TestBrokenDefinitionsHarmNobodyElse(t *testing.T) {
	f := newFollowing(t, 3)
	f.segment("among", `contact.plan == "pro" && contact.spent > 1.0`)
	f.segment("broken", `contact.plan == "pro"`)
	f.segment("rich", `contact.spent > 2.0`)
	f.settle()
	f.exec("update segment set predicate = 'c.attr_plan = 1' where name = 'broken'")
	f.exec("update contact set attr_plan = 'pro', attr_spent = 9 where id = 2")
	for range 3 {
		if _, err := f.FollowChanges(t.Context(), store.ChangesAtOnce); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.members("among"); len(got) != 1 || got[0] != 2 {
		t.Errorf("the other segment has %v, want 2", got)
	}
	if _, err := f.BuildSegment(t.Context(), "broken", time.Hour); err == nil {
		t.Error("nobody is told that the definition cannot be evaluated")
	}
	f.exec("update segment set predicate = 'c.attr_plan = $1::text' where name = 'broken'")
	f.want("broken", 2)
	f.check()
}

// TestAttributeOfAnotherType gives an attribute another type under segments that depend on it.
func TestAttributeOfAnotherType(t *testing.T) {
	f := newFollowing(t, 3)
	f.segment("ending", `contact.trial_ends > now`)
	f.segment("pro", `contact.plan == "pro"`)
	f.settle()
	f.schema.Attributes[3].Type = crm.Date
	if _, _, err := f.EnsureAttributes(t.Context(), f.schema.Attributes); err != nil {
		t.Fatal(err)
	}
	f.exec("update contact set attr_trial_ends = current_date + 2, attr_plan = 'pro' where id = 1")
	f.want("pro", 1)
	f.segment("ending", `contact.trial_ends > now`)
	f.want("ending", 1)
	f.exec("update contact set attr_trial_ends = current_date + 2 where id = 2")
	f.want("ending", 1, 2)
	f.check()
}

// TestSleepingSegmentsCostNothing changes people while nothing depends on it.
func TestSleepingSegmentsCostNothing(t *testing.T) {
	f := newFollowing(t, 3)
	f.segment("pro", `contact.plan == "pro"`)
	f.settle()
	for name, sleep := range map[string][2]string{
		"suspended":        {"update segment set suspended = true", "update segment set suspended = false"},
		"deleted":          {"update segment set dormant_since = now()", "update segment set dormant_since = null"},
		"tenant suspended": {"update tenant set suspended = true", "update tenant set suspended = false"},
	} {
		t.Run(name, func(t *testing.T) {
			f.exec(sleep[0])
			f.exec("update contact set attr_plan = 'pro' where id = 2")
			var queued int
			if err := f.Pool.QueryRow(t.Context(), "select count(*) from segment_change").Scan(&queued); err != nil || queued != 0 {
				t.Errorf("%d changes were noted, %v", queued, err)
			}
			f.want("pro")
			f.exec(sleep[1])
			f.want("pro", 2)
			f.exec("update contact set attr_plan = 'free' where id = 2")
			f.want("pro")
		})
	}
}

// TestSettleSegments looks at what was committed a moment ago, with nobody else at work, through segments that depend on each other.
func TestSettleSegments(t *testing.T) {
	f := newFollowing(t, 3)
	f.segment("a", `contact.plan == "pro"`)
	f.segment("b", "in a")
	f.segment("c", "in b")
	for _, tc := range []struct {
		change string
		want   []int64
	}{
		{"update contact set attr_plan = 'pro' where id = 1", []int64{1}},
		{"update contact set attr_plan = 'pro' where id = 3", []int64{1, 3}},
		{"update contact set attr_plan = null where id = 1", []int64{3}},
	} {
		f.exec(tc.change)
		if err := f.SettleSegments(t.Context(), []string{"c"}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, f.members("c")); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tc.change, diff)
		}
	}
}

// TestRotateChanges works off what both sides of the queue hold, while the sides take turns.
func TestRotateChanges(t *testing.T) {
	f := newFollowing(t, 50)
	f.segment("rich", `contact.spent > 2.0`)
	f.settle()
	size := func() (bytes [2]int64) {
		t.Helper()
		err := f.Pool.QueryRow(t.Context(), "select pg_relation_size('segment_change_0'), pg_relation_size('segment_change_1')").Scan(&bytes[0], &bytes[1])
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	rotate := func() {
		t.Helper()
		f.exec("select segment_rotate(1)")
	}
	f.exec("update contact set attr_spent = attr_spent + 100")
	rotate()
	f.exec("update contact set attr_spent = attr_spent - 100")
	if s := size(); s[0] == 0 || s[1] == 0 {
		t.Fatalf("the sides have %v bytes, want some in both", s)
	}
	rotate()
	if s := size(); s[0] == 0 || s[1] == 0 {
		t.Fatalf("what was not evaluated yet is gone: %v bytes", s)
	}
	f.check()
	rotate()
	rotate()
	if s := size(); s[0] != 0 || s[1] != 0 {
		t.Errorf("the sides have %v bytes, want none", s)
	}
	f.check()
}
