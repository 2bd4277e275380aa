package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// following is a tenant whose segments follow what changes.
type following struct {
	t *testing.T
	*store.DB
	schema crm.Schema
}

// newFollowing makes a tenant with n people, each with an address, a plan and a birthday.
func newFollowing(t *testing.T, n int) following {
	t.Helper()
	f := following{t: t, DB: storetest.New(t), schema: crm.Schema{
		Attributes: []crm.Attribute{
			{Name: "plan", Type: crm.String}, {Name: "spent", Type: crm.Decimal}, {Name: "born", Type: crm.Date}, {Name: "trial_ends", Type: crm.Timestamp},
		},
		Events: []crm.EventType{{Name: "purchase", Properties: []crm.Property{{Name: "amount", Type: crm.Decimal}}}, {Name: "visit"}},
	}}
	if _, err := f.SaveTenant(t.Context(), store.Tenant{ID: "velo", Namespace: "velo", TimeZone: "UTC", Locales: []string{"en"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.EnsureAttributes(t.Context(), f.schema.Attributes); err != nil {
		t.Fatal(err)
	}
	f.exec(`insert into contact (locale, attr_plan, attr_spent, attr_born) select 'es', 'free', i, date '1980-01-01' + i from generate_series(1, $1::int) i`, n)
	f.exec("insert into identifier (type, value) select 'email', 'c' || id || '@people.example' from contact order by id")
	f.exec(`insert into identifier_link (identifier_id, contact_id, verified, source)
		select i.id, c.id, true, 'test' from contact c join identifier i on i.value = 'c' || c.id || '@people.example'`)
	return f
}

func (f following) exec(sql string, arguments ...any) {
	f.t.Helper()
	if _, err := f.Pool.Exec(context.Background(), sql, arguments...); err != nil {
		f.t.Fatalf("%s: %v", sql, err)
	}
}

// segment brings a segment into force.
func (f following) segment(name, source string) {
	f.t.Helper()
	if err := f.save(name, source); err != nil {
		f.t.Fatal(err)
	}
}

// save brings a segment into force; "in NAME" is who is in another one.
func (f following) save(name, source string) error {
	d := store.SegmentDefinition{Name: name, Match: source}
	if other, inOther := strings.CutPrefix(source, "in "); inOther {
		d.Digest, d.Arguments, d.Dependencies = source, []string{other}, &expr.Dependencies{Segments: []string{other}}
		d.Predicate = "exists (select from segment_member x join segment g on g.id = x.segment_id where g.name = $1::text and x.contact_id = c.id)"
	} else {
		compiled, err := expr.Compile(f.schema, source)
		if err != nil {
			return err
		}
		d.Digest, d.Predicate, d.Arguments, d.Dependencies = compiled.Digest, compiled.Predicate, compiled.Arguments, &compiled.Dependencies
	}
	_, _, err := f.SaveSegment(context.Background(), d)
	return err
}

// work does what a worker's loops do, once, and tells whether there was anything.
func (f following) work(ctx context.Context) (busy bool, err error) {
	news, err := f.LookAtSegments(ctx, time.Hour)
	if err != nil {
		return false, err
	}
	if news.Build {
		segments, err := f.SegmentsAtWork(ctx)
		if err != nil {
			return false, err
		}
		for _, s := range segments {
			if _, err := f.BuildSegment(ctx, s.Name, time.Hour); err != nil {
				return false, err
			}
		}
	}
	if news.Changes {
		if _, err := f.FollowChanges(ctx, store.ChangesAtOnce); err != nil {
			return false, err
		}
	}
	return news.Build || news.Changes, f.TellMembers(ctx)
}

// settle works until there is nothing to do.
func (f following) settle() {
	f.t.Helper()
	for range 1000 {
		busy, err := f.work(context.Background())
		if err != nil {
			f.t.Fatal(err)
		}
		if !busy {
			return
		}
	}
	f.t.Fatal("the segments do not come to rest")
}

// members lists who is in a segment, as contacts' ids.
func (f following) members(name string) []int64 {
	f.t.Helper()
	rows, err := f.Pool.Query(context.Background(), `select m.contact_id from segment_member m join segment g on g.id = m.segment_id
		where g.name = $1 order by 1`, name)
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	ids := []int64{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			f.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// differences compares every segment that is in force with what its definition says of everybody, and the counts and the record of
// who entered and left with the membership. Who belonged when a segment was first built did not enter.
func (f following) differences() (found []string) {
	f.t.Helper()
	ctx := context.Background()
	rows, err := f.Pool.Query(ctx, "select id, name, predicate, arguments from segment where watched order by id")
	if err != nil {
		f.t.Fatal(err)
	}
	type definition struct {
		id              int64
		name, predicate string
		arguments       []string
	}
	var all []definition
	for rows.Next() {
		var d definition
		if err := rows.Scan(&d.id, &d.name, &d.predicate, &d.arguments); err != nil {
			f.t.Fatal(err)
		}
		all = append(all, d)
	}
	rows.Close()
	for _, d := range all {
		arguments := []any{}
		for _, a := range d.arguments {
			arguments = append(arguments, a)
		}
		var missing, surplus []int64
		err := f.Pool.QueryRow(ctx, fmt.Sprintf(`
			with belongs as (select c.id from contact c where (%s)), has as (select contact_id id from segment_member where segment_id = %d)
			select array(select id from belongs except select id from has order by 1), array(select id from has except select id from belongs order by 1)`,
			d.predicate, d.id), arguments...).Scan(&missing, &surplus)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(missing)+len(surplus) > 0 {
			found = append(found, fmt.Sprintf("%s lacks %v and has %v too many", d.name, missing, surplus))
		}
	}
	var miscounted []string
	err = f.Pool.QueryRow(ctx, `
		select array(select format('%s has %s members, a tally of %s, a count of %s and %s of whom the record says something else', g.name, m.n, t.n, g.members, e.n)
		from segment g
			cross join lateral (select count(*) n from segment_member where segment_id = g.id) m
			cross join lateral (select coalesce(sum(n), 0) n from segment_tally where segment_id = g.id) t
			cross join lateral (
				select count(*) n
				from (select distinct on (contact_id) contact_id, entered from segment_event where segment_id = g.id order by contact_id, id desc) l
					full join (select contact_id, reason from segment_member where segment_id = g.id) h using (contact_id)
				where coalesce(l.entered, h.reason = 'Definition') <> (h.reason is not null)) e
		where g.built_digest is not null and (m.n <> t.n or m.n <> g.members or e.n > 0))`).Scan(&miscounted)
	if err != nil {
		f.t.Fatal(err)
	}
	return append(found, miscounted...)
}

// check settles and then compares. Who has just crossed a boundary is swept half a second later.
func (f following) check() {
	f.t.Helper()
	gomega.NewWithT(f.t).Eventually(func() []string {
		f.settle()
		return f.differences()
	}, 20*time.Second, 50*time.Millisecond).Should(gomega.BeEmpty())
}

// verify compares everybody with every segment, as the verification pass does, and returns how many it repaired.
func (f following) verify() (repaired int) {
	f.t.Helper()
	f.exec("update segment set verified_at = null, verified_to = null")
	for range 1000 {
		slice, err := f.VerifySegments(context.Background(), time.Hour, 50)
		if err != nil {
			f.t.Fatal(err)
		}
		var left int
		if err := f.Pool.QueryRow(context.Background(), "select count(*) from segment where watched and verified_at is null").Scan(&left); err != nil {
			f.t.Fatal(err)
		}
		if slice == nil {
			if left == 0 {
				return repaired
			}
			continue
		}
		if len(slice.Differing) > 0 {
			n, err := f.RepairSegment(context.Background(), *slice)
			if err != nil {
				f.t.Fatal(err)
			}
			repaired += n
		}
	}
	f.t.Fatal("the verification does not come to an end")
	return 0
}

// age makes the world older than it was, as if that much time had passed for everybody but the triggers: what is stored moves back
// before the clock, with what was swept.
func (f following) age(d time.Duration) {
	f.t.Helper()
	for _, sql := range []string{
		"alter table event disable trigger user", "alter table contact disable trigger user", "alter table engaged disable trigger user",
		fmt.Sprintf("update event set occurred_at = occurred_at - interval '%f seconds'", d.Seconds()),
		fmt.Sprintf("update engaged set at = at - interval '%f seconds'", d.Seconds()),
		fmt.Sprintf(`update contact set attr_trial_ends = attr_trial_ends - interval '%f seconds', created_at = created_at - interval '%[1]f seconds',
			attr_born = attr_born - %d`, d.Seconds(), int(d.Hours()/24)),
		fmt.Sprintf("update segment_boundary set swept_until = swept_until - interval '%f seconds'", d.Seconds()),
		"alter table event enable trigger user", "alter table contact enable trigger user", "alter table engaged enable trigger user",
	} {
		f.exec(sql)
	}
}

// event puts an event of a contact, so long ago; negative is ahead.
func (f following) event(contact int64, name string, ago time.Duration) {
	f.t.Helper()
	f.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source, properties)
		select $1, clock_timestamp() - $2::interval, l.identifier_id, l.contact_id, 'test', '{"amount": 10}'
		from identifier_link l where l.contact_id = $3 limit 1`, name, ago, contact)
}
