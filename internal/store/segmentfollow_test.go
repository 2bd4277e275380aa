package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/store"
)

const aDay = 24 * time.Hour

func (f following) want(name string, ids ...int64) {
	f.t.Helper()
	f.settle()
	if diff := cmp.Diff(append([]int64{}, ids...), f.members(name)); diff != "" {
		f.t.Errorf("members of %s: -want +got:\n%s", name, diff)
	}
}

// reasons lists why contacts entered (+) and left (-) a segment, by contact and in order.
func (f following) reasons(name string) (list []string) {
	f.t.Helper()
	err := f.Pool.QueryRow(context.Background(), `
		select array(select case when e.entered then '+' else '-' end || e.contact_id || ' ' || e.reason
		from segment_event e join segment g on g.id = e.segment_id where g.name = $1 order by e.contact_id, e.id)`, name).Scan(&list)
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

func TestSegmentsFollowChanges(t *testing.T) {
	f := newFollowing(t, 5)
	f.segment("pro", `contact.plan == "pro"`)
	f.segment("vip", `"vip" in contact.tags`)
	f.segment("readers", `consented("newsletter")`)
	f.segment("buyers", `events("purchase").count() > 0`)
	f.segment("nobody-bought", `events("purchase").count() == 0`)
	f.segment("among-pro", "in pro")
	f.check()
	f.exec("update contact set attr_plan = 'pro' where id in (1, 2)")
	f.want("pro", 1, 2)
	f.want("among-pro", 1, 2)
	f.exec("update contact set attr_plan = 'free', tags = '{vip,x}' where id = 1")
	f.want("pro", 2)
	f.want("among-pro", 2)
	f.want("vip", 1)
	f.exec("insert into consent (contact_id, purpose, granted, source) values (3, 'newsletter', true, 'x'), (4, 'other', true, 'x')")
	f.want("readers", 3)
	f.exec("update consent set granted = false where contact_id = 3")
	f.want("readers")
	f.event(5, "purchase", time.Hour)
	f.want("buyers", 5)
	f.want("nobody-bought", 1, 2, 3, 4)
	f.exec("delete from event")
	f.want("buyers")
	f.exec("insert into contact (attr_plan) values ('pro')")
	f.want("pro", 2, 6)
	f.want("nobody-bought", 1, 2, 3, 4, 5, 6)
	f.check()
	if diff := cmp.Diff([]string{"+1 Data", "-1 Data", "+2 Data", "+6 Data"}, f.reasons("pro")); diff != "" {
		t.Errorf("reasons: -want +got:\n%s", diff)
	}
	if n := f.verify(); n != 0 {
		t.Errorf("the verification repaired %d memberships", n)
	}
}

// TestOnlyDependentSegmentsAreTouched counts what a change costs: rows in the queue, and evaluations.
func TestOnlyDependentSegmentsAreTouched(t *testing.T) {
	f := newFollowing(t, 3)
	f.segment("pro", `contact.plan == "pro"`)
	f.segment("rich", `contact.spent > 100.0`)
	f.segment("vip", `"vip" in contact.tags`)
	f.segment("buyers", `events("purchase").count() > 0`)
	f.settle()
	for _, tc := range []struct {
		change string
		want   int
	}{
		{"update contact set attr_plan = 'club' where id = 1", 1},
		{"update contact set attr_plan = 'club' where id = 2", 1},
		{"update contact set attr_plan = attr_plan, updated_at = now()", 0},
		{"update contact set attr_born = '1990-01-01', locale = 'en'", 0},
		{"update contact set tags = '{guest}' where id = 1", 0},
		{"update contact set tags = '{guest,vip}', attr_spent = 5 where id = 1", 2},
		{"insert into event (name, occurred_at, identifier_id, contact_id, source) values ('visit', now(), 1, 1, 'x')", 0},
		{"insert into event (name, occurred_at, identifier_id, contact_id, source) values ('purchase', now(), 1, 1, 'x')", 1},
		{"insert into consent (contact_id, purpose, granted, source) values (1, 'newsletter', true, 'x')", 0},
	} {
		f.exec(tc.change)
		var queued int
		if err := f.Pool.QueryRow(t.Context(), "select count(*) from segment_change").Scan(&queued); err != nil {
			t.Fatal(err)
		}
		got, err := f.FollowChanges(t.Context(), store.ChangesAtOnce)
		if err != nil {
			t.Fatal(err)
		}
		if queued != tc.want || got.Evaluated != tc.want || got.Changes != tc.want {
			t.Errorf("%s: %d changes were noted and %d evaluated, want %d", tc.change, queued, got.Evaluated, tc.want)
		}
	}
	f.check()
}

// TestSegmentsFollowTime moves the world past boundaries without a change that a trigger could see.
func TestSegmentsFollowTime(t *testing.T) {
	f := newFollowing(t, 4)
	f.segment("recent", `events("purchase").within("30d").count() > 0`)
	f.segment("settled", `events("purchase").before("7d").count() > 0`)
	f.segment("trial-ends", `contact.trial_ends > now && contact.trial_ends < ahead("3d")`)
	f.segment("of-age", `contact.born < ago("3000d")`)
	f.exec("update contact set attr_born = ((now() at time zone 'UTC')::date - 3000 + 5) where id = 4")
	f.check()
	f.event(1, "purchase", time.Hour)
	f.event(2, "purchase", -2*aDay) // dated ahead
	f.exec("update contact set attr_trial_ends = now() + interval '5 days' where id = 3")
	f.want("recent", 1)
	f.want("settled")
	f.age(2*aDay + time.Hour)
	f.want("recent", 1, 2)
	f.want("trial-ends", 3)
	f.age(4 * aDay) // 6 days and an hour
	f.want("settled")
	f.want("trial-ends")
	f.want("of-age", 1, 2, 3, 4)
	f.age(aDay) // 7 days, an hour, and the hour ago
	f.want("settled", 1)
	f.event(3, "purchase", 29*aDay+23*time.Hour) // late
	f.want("recent", 1, 2, 3)
	f.want("settled", 1, 3)
	f.age(2 * time.Hour)
	f.want("recent", 1, 2)
	f.age(40 * aDay)
	f.want("recent")
	f.want("settled", 1, 2, 3)
	f.check()
	want := []string{"+1 Data", "-1 Time", "+2 Time", "-2 Time", "+3 Data", "-3 Time"}
	if diff := cmp.Diff(want, f.reasons("recent")); diff != "" {
		t.Errorf("reasons: -want +got:\n%s", diff)
	}
	if n := f.verify(); n != 0 {
		t.Errorf("the verification repaired %d memberships", n)
	}
}

// TestSweepWritesNothingInVain looks often at segments about which nothing happens.
func TestSweepWritesNothingInVain(t *testing.T) {
	f := newFollowing(t, 4)
	f.segment("recent", `events("purchase").within("30d").count() > 0`)
	f.segment("of-age", `contact.born < ago("3000d")`)
	f.event(1, "purchase", time.Hour)
	f.check()
	f.exec("update segment_boundary set swept_until = clock_timestamp() - interval '1 minute'")
	f.settle()
	before := f.versions()
	for range 20 {
		f.settle()
		f.segment("recent", `events("purchase").within("30d").count() > 0`)
	}
	if diff := cmp.Diff(before, f.versions()); diff != "" {
		t.Errorf("rows were written: -before +after:\n%s", diff)
	}
}

// versions are those of the rows that following changes writes.
func (f following) versions() (list []string) {
	f.t.Helper()
	err := f.Pool.QueryRow(context.Background(), `
		select array(select 'segment ' || ctid || ' ' || xmin from segment union all select 'boundary ' || ctid || ' ' || xmin from segment_boundary
			union all select 'use ' || ctid || ' ' || xmin from segment_use union all select 'tally ' || ctid || ' ' || xmin from segment_tally
			union all select 'member ' || ctid || ' ' || xmin from segment_member union all select 'note ' || oid || ' ' || xmin from pg_proc
				where pronamespace = 'tertulia'::regnamespace and proname like 'note%' order by 1)`).Scan(&list)
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// TestSteeredFunctionsAreNotCompiled looks at the functions that rule plans out: what is ruled out costs so much on paper that the server
// would compile their statements, and each of them would take a second.
func TestSteeredFunctionsAreNotCompiled(t *testing.T) {
	f := newFollowing(t, 1)
	f.segment("recent", `events("purchase").within("30d").count() > 0`)
	var steered, compiled []string
	err := f.Pool.QueryRow(t.Context(), `
		select array(select proname::text from pg_proc where pronamespace = 'tertulia'::regnamespace and proconfig::text like '%enable_%' order by 1),
			array(select proname::text from pg_proc where pronamespace = 'tertulia'::regnamespace and proconfig::text like '%enable_%'
				and not 'jit=off' = any (proconfig) order by 1)`).Scan(&steered, &compiled)
	if err != nil {
		t.Fatal(err)
	}
	if len(steered) < 5 || len(compiled) > 0 {
		t.Errorf("of %v, %v may be compiled", steered, compiled)
	}
}
