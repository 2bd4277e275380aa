package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// byTime are segments whose membership time changes, of every kind: ages and anniversaries, days and instants of contacts, literals, windows
// of events and of messages, and what is made of those.
var byTime = map[string]string{
	"adults":          `age("born") >= 18`,
	"thirteen":        `age("born") in [13, 14]`,
	"ages":            `age("born") == contact.spent`,
	"young":           `!(age("born") > 19)`,
	"known-a-year":    `age("created_at") >= 1`,
	"trial-years":     `age("trial_ends") == 0`,
	"birthday":        `anniversary("born") == 0`,
	"birthday-soon":   `anniversary("born") in [1, 2, 3, 4, 5, 6, 7]`,
	"birthday-far":    `anniversary("born") > 300`,
	"birthday-month":  `anniversary("born") < contact.spent`,
	"not-joined":      `anniversary("created_at") != 0`,
	"trial-day":       `anniversary("trial_ends") <= 30`,
	"trial":           `contact.trial_ends > now`,
	"trial-ends-soon": `contact.trial_ends > now && contact.trial_ends <= ahead("3d")`,
	"trial-over":      `contact.trial_ends < ago("30d")`,
	"born-before":     `contact.born < ago("3640d")`,
	"born-today":      `contact.born <= ago("3500d") && contact.born > ago("3501d")`,
	"new":             `contact.created_at > ago("7d")`,
	"old":             `!(contact.created_at > ago("200d"))`,
	"season":          `now >= timestamp("2027-06-01T00:00:00+02:00") && now < date("2027-09-01") && contact.plan == "pro"`,
	"after-christmas": `now > date("2027-12-24") || contact.plan == "free"`,
	"recent":          `events("purchase").within("30d")`,
	"settled":         `events("purchase").before("7d").count() > 0`,
	"between":         `events("purchase").within("60d").before("30d")`,
	"large-lately":    `events("purchase").within("20d").where(e, e.amount > 50.0)`,
	"spenders":        `events("purchase").within("90d").sum("amount") >= 120.0`,
	"average":         `events("purchase").within("45d").avg("amount") < 40.0`,
	"spend-more":      `events("purchase").within("30d").sum("amount") > events("purchase").within("60d").before("30d").sum("amount")`,
	"lapsed":          `events("purchase").last() < ago("20d")`,
	"began-lately":    `events("purchase").first() > ago("40d")`,
	"last-large":      `events("purchase").within("50d").last("amount") > 50.0`,
	"visits":          `events("visit").within("20d").count() >= 2 || events("visit").count() > 12`,
	"quiet":           `events("visit").within("12h").count() == 0 && contact.plan != "free"`,
	"opened-lately":   `opened().within("20d")`,
	"opened-spring":   `opened("spring").before("10d")`,
	"clickers":        `clicked().within("40d").count() >= 2`,
	"opened-last":     `opened().last() < ago("15d")`,
	"received-lately": `received().within("30d").count() >= 1`,
	"received-long":   `received("spring").before("3d")`,
	"asleep":          `received().within("60d").count() >= 2 && !opened().within("60d")`,
	"engaged":         `opened("spring") || clicked("autumn")`,
	"got-autumn":      `received("autumn")`,
}

// byOthers stand on those.
var byOthers = map[string]string{
	"others":      `in_segment("recent") && in_segment("adults")`,
	"not-others":  `!in_segment("others") && in_segment("trial")`,
	"other-weeks": `in_segment("birthday-soon") || in_segment("not-others") && contact.plan == "pro"`,
}

// passing is a tenant whose database has a clock of its own, which the test moves.
type passing struct {
	following
	at     time.Time
	random *rand.Rand
	sends  []int64 // that are under way
	names  []string
	query  []string // what a segment lacks and has too many
	values [][]any  // the arguments of that
	done   map[string]int
}

const passingPeople = 60

// newPassing hides the server's clock behind functions that come first in the search path of all that the program does. Statements and the
// functions of the schema take their time from them.
func newPassing(t *testing.T, begins time.Time) *passing {
	t.Helper()
	p := &passing{following: newFollowing(t, passingPeople), at: begins, random: rand.New(rand.NewPCG(20270220, 1)), done: map[string]int{}} //nolint:gosec // the same again
	p.exec("create schema passing")
	p.exec("create table passing.clock (at timestamptz not null)")
	p.exec("insert into passing.clock values ($1)", begins)
	for _, name := range []string{"now", "statement_timestamp", "clock_timestamp"} {
		p.exec("create function passing." + name + "() returns timestamptz stable language sql as 'select at from passing.clock'")
	}
	config := p.Pool.Config()
	config.ConnConfig.RuntimeParams["search_path"] = "passing, tertulia, pg_catalog"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	p.Pool.Close()
	p.Pool = pool
	return p
}

// zones are those of people: on both sides of the line, with quarters of an hour, with half an hour of summer, with summers that begin at
// midnight, and what no server knows.
var zones = []string{
	"Europe/Madrid", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut",
	"Pacific/Auckland", "Nowhere/Land", "",
}

// populate gives people birthdays at the edges of months and years, zones, and things that have happened or are to come.
func (p *passing) populate() {
	p.t.Helper()
	births := []string{"2008-02-29", "2012-02-29", "2009-03-01", "2009-02-28", "2014-12-31", "2010-01-01", "2008-10-31", "2014-03-28", "2009-11-07", "2027-08-15", "2017-06-20", "2017-09-30", "2018-02-28"}
	for id := 1; id <= passingPeople; id++ {
		zone := zones[id%len(zones)]
		p.exec("update contact set attr_born = $2, time_zone = nullif($3, ''), attr_plan = $4, attr_spent = $5, created_at = $6, attr_trial_ends = $7 where id = $1",
			id, births[p.random.IntN(len(births))], zone, []any{"free", "pro", nil}[id%3], 10+id%20,
			p.begins().Add(-time.Duration(p.random.IntN(500*24))*time.Hour), p.begins().Add(time.Duration(p.random.IntN(400*24)-200)*time.Hour))
		for range 3 {
			p.eventAt(id, p.begins().Add(time.Duration(p.random.IntN(500*24)-100*24)*time.Hour)) // most are dated ahead
		}
	}
}

func (p *passing) begins() time.Time { return p.at.Truncate(time.Second) }

// eventAt puts an event.
func (p *passing) eventAt(contact int, at time.Time) {
	p.t.Helper()
	name := []string{"purchase", "visit"}[p.random.IntN(2)]
	p.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source, properties)
		select $1, $2, l.identifier_id, l.contact_id, 'test', jsonb_build_object('amount', $4::int) from identifier_link l where l.contact_id = $3 limit 1`,
		name, at, contact, 10+p.random.IntN(90))
}

// pass lets time pass, and perhaps something happen.
func (p *passing) pass(d time.Duration) {
	p.t.Helper()
	p.at = p.at.Add(d)
	p.exec("update passing.clock set at = $1", p.at)
	if p.random.IntN(3) == 0 {
		p.happen()
	}
}

// happen does one of what happens to people. What is written is as old as the clock, older, or dated ahead.
func (p *passing) happen() {
	p.t.Helper()
	contact := 1 + p.random.IntN(passingPeople)
	hours := func(from, to int) time.Time {
		return p.begins().Add(time.Duration(from+p.random.IntN(to-from)) * time.Hour)
	}
	what := p.random.IntN(12)
	p.done[fmt.Sprint(what)]++
	switch what {
	case 0:
		p.exec("update contact set attr_trial_ends = $2 where id = $1", contact, hours(-200, 1200))
	case 1:
		p.exec("update contact set attr_born = attr_born + $2::int where id = $1", contact, p.random.IntN(60)-30)
	case 2:
		p.exec("update contact set time_zone = nullif($2, '') where id = $1", contact, zones[p.random.IntN(len(zones))])
	case 3:
		p.exec("delete from event where id = (select id from event order by id offset $1 limit 1)", p.random.IntN(100))
	case 4:
		p.send()
	case 5:
		p.deliver()
	case 6, 7:
		p.engage(hours)
	case 8:
		p.merge()
	case 9:
		p.part()
	default:
		p.eventAt(contact, hours(-60*24, 10*24))
	}
}

// send freezes an audience.
func (p *passing) send() {
	var id int64
	key := fmt.Sprint("send-", p.at.Unix())
	err := p.Pool.QueryRow(context.Background(), `
		insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, state, frozen_at)
		values ($1, $2, 'news', 'mail', '{}', 100, '[]', now(), now(), 'Sending', now()) on conflict do nothing returning id`,
		key, []string{"spring", "autumn"}[p.random.IntN(2)]).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.exec("insert into ledger (send_id, seq, contact_id, state) select $1, row_number() over (order by id), id, 'pending' from contact where id % 3 = $2", id, p.random.IntN(3))
	p.exec("insert into send_chunk (send_id, chunk, first_seq, last_seq) values ($1, 0, 1, 1000)", id)
	p.sends = append(p.sends, id)
}

// deliver settles some of what is pending, as a worker does: the rows and the count of their chunk, in one transaction.
func (p *passing) deliver() {
	if len(p.sends) == 0 {
		return
	}
	at := p.random.IntN(len(p.sends))
	err := p.InTx(context.Background(), func(tx pgx.Tx) error {
		tag, err := tx.Exec(context.Background(), `update ledger set state = 'sent', settled_at = now()
			where send_id = $1 and seq in (select seq from ledger where send_id = $1 and state = 'pending' order by seq limit 12)`, p.sends[at])
		if err != nil {
			return err
		}
		if tag.RowsAffected() < 12 {
			_, err := tx.Exec(context.Background(), "update send set state = 'Completed', finished_at = now() where id = $1", p.sends[at])
			p.sends = slices.Delete(p.sends, at, at+1)
			if err != nil || tag.RowsAffected() == 0 {
				return err
			}
			_, err = tx.Exec(context.Background(), `insert into send_tally (send_id, chunk, outcome, n) select id, 0, 'sent', $1 from send where finished_at = now()
				on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n`, tag.RowsAffected())
			return err
		}
		_, err = tx.Exec(context.Background(), `insert into send_tally (send_id, chunk, outcome, n) values ($1, 0, 'sent', $2)
			on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n`, p.sends[at], tag.RowsAffected())
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// engage has people open and click what they got, told of late or by a clock that is fast.
func (p *passing) engage(hours func(from, to int) time.Time) {
	what := []string{"opened", "opened", "clicked"}[p.random.IntN(3)]
	p.exec(`insert into engagement (at, send_id, seq, what) select $1, l.send_id, l.seq, $2 from (
		select send_id, seq from ledger where state = 'sent' order by settled_at desc, seq limit 40) l where l.seq % 4 = $3`, hours(-5, 4), what, p.random.IntN(4))
}

var decider = store.Decider{Token: "t", By: "somebody"}

// merge makes one person of two.
func (p *passing) merge() {
	var two []string
	err := p.Pool.QueryRow(context.Background(), `select array(select public_id::text from contact
		where id not in (select contact_id from contact_record) order by (id * 7919 + $1) % 61 limit 2)`, p.random.IntN(61)).Scan(&two)
	if err != nil || len(two) < 2 {
		p.t.Fatal(two, err)
	}
	if _, err := p.Merge(context.Background(), two[0], two[1], decider); err != nil {
		p.t.Fatal(err)
	}
}

// part takes a person apart again.
func (p *passing) part() {
	var one []string
	err := p.Pool.QueryRow(context.Background(), `select array(select public_id::text from contact_record where id <> contact_id order by (id * 7919 + $1) % 61 limit 1)`,
		p.random.IntN(61)).Scan(&one)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(one) == 0 {
		return
	}
	if _, err := p.Unmerge(context.Background(), one, decider); err != nil {
		p.t.Fatal(err)
	}
}

// prepare makes the queries that compare memberships with what a whole evaluation says.
func (p *passing) prepare() {
	p.t.Helper()
	rows, err := p.Pool.Query(context.Background(), "select name from segment order by name")
	if err == nil {
		p.names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		p.t.Fatal(err)
	}
	for _, name := range p.names {
		var id int64
		var predicate string
		var arguments []string
		err := p.Pool.QueryRow(context.Background(), "select id, predicate, arguments from segment where name = $1", name).Scan(&id, &predicate, &arguments)
		if err != nil {
			p.t.Fatal(err)
		}
		list := make([]any, len(arguments))
		for i, a := range arguments {
			list[i] = a
		}
		p.values = append(p.values, list)
		p.query = append(p.query, fmt.Sprintf(`with belongs as (select c.id from contact c where (%s)), has as (select contact_id id from segment_member where segment_id = %d)
			select array(select id from belongs except select id from has order by 1), array(select id from has except select id from belongs order by 1)`, predicate, id))
	}
}

// compare tells which memberships are not what a whole evaluation says.
func (p *passing) compare() (wrong []string) {
	p.t.Helper()
	var batch pgx.Batch
	for i, name := range p.names {
		batch.Queue(p.query[i], p.values[i]...).QueryRow(func(row pgx.Row) error {
			var missing, surplus []int64
			err := row.Scan(&missing, &surplus)
			if len(missing)+len(surplus) > 0 {
				wrong = append(wrong, fmt.Sprintf("%s lacks %v and has %v too many", name, missing, surplus))
			}
			return err
		})
	}
	if err := p.Pool.SendBatch(context.Background(), &batch).Close(); err != nil {
		p.t.Fatal(err)
	}
	return wrong
}

// TestSegmentsFollowAPassingYear lets a year pass in steps of a quarter of an hour to three days, with two changes of summer time on each side
// of the equator, a 29th of February and the day that is in its place in the year before. After each step, what sweeps and changes made of the memberships has to
// be what a whole evaluation says, and no verification has anything to repair.
func TestSegmentsFollowAPassingYear(t *testing.T) {
	begins := time.Date(2027, 2, 20, 12, 0, 0, 700_000_000, time.UTC) // what is dated to the second has been swept 0.7 seconds later
	p := newPassing(t, begins)
	p.populate()
	for name, source := range byTime {
		p.segment(name, source)
	}
	for name, source := range byOthers {
		p.segment(name, source)
	}
	p.settle()
	p.prepare()
	ends := begins.AddDate(1, 0, 20)
	if testing.Short() {
		ends = begins.AddDate(0, 2, 0)
	}
	steps := 0
	for ; p.at.Before(ends); steps++ {
		quarters := 1 + p.random.IntN(8)
		switch p.random.IntN(10) {
		case 0, 1, 2:
			quarters = 4 * (24 + p.random.IntN(48))
		case 3, 4, 5, 6, 7:
			quarters = 4 * (6 + p.random.IntN(20))
		}
		p.pass(time.Duration(quarters) * 15 * time.Minute)
		p.settle()
		if wrong := p.compare(); len(wrong) > 0 {
			t.Fatalf("after %d steps, at %s, of %v: %q", steps, p.at, p.done, wrong)
		}
		if steps == 100 {
			p.exec("update tenant set time_zone = 'America/Santiago'")
		}
		if steps%100 == 99 {
			if n := p.verify(); n != 0 {
				t.Fatalf("after %d steps, at %s, the verification repaired %d memberships", steps, p.at, n)
			}
		}
	}
	if wrong := p.differences(); len(wrong) > 0 {
		t.Errorf("in the end: %q", wrong)
	}
	t.Logf("%d steps; done: %v", steps, p.done)
	p.checkReasons()
}

// checkReasons wants time to have moved somebody in every segment, and nothing to have been repaired.
func (p *passing) checkReasons() {
	p.t.Helper()
	var still, repaired []string
	err := p.Pool.QueryRow(context.Background(), `
		select array(select g.name from segment g where not exists (select from segment_event e where e.segment_id = g.id and e.reason = 'Time') order by 1),
			array(select distinct g.name from segment g join segment_event e on e.segment_id = g.id where e.reason = 'Repair' order by 1)`).Scan(&still, &repaired)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(repaired) > 0 {
		p.t.Errorf("repaired: %v", repaired)
	}
	for _, name := range still {
		if _, follows := byTime[name]; follows && !slices.Contains([]string{"engaged", "got-autumn"}, name) && !testing.Short() {
			p.t.Errorf("time moved nobody in or out of %s", name)
		}
	}
}

// TestARepairBlamesNobodyForTheTime looks at a contact twice, each time a moment after it has crossed a boundary of the segment and before
// that was swept. Nothing is repaired; what is wrong indeed is.
func TestARepairBlamesNobodyForTheTime(t *testing.T) {
	begins := time.Date(2027, 2, 20, 12, 0, 0, 0, time.UTC)
	p := newPassing(t, begins)
	for id := range 9 {
		p.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source) values ('purchase', $2, $1, $1, 'test'), ('purchase', $3, $1, $1, 'test')`,
			id+1, begins.Add(-time.Hour), begins.Add(9*time.Second))
	}
	p.segment("between", `events("purchase").within("1h10s").before("1h").count() == 1`) // from an hour old on, for ten seconds
	set := func(at time.Time) {
		p.at = at
		p.exec("update passing.clock set at = $1", at)
	}
	set(begins.Add(-3 * time.Second))
	p.settle()
	if got := p.members("between"); len(got) != 0 {
		t.Fatalf("%v are members before anything happened", got)
	}
	set(begins.Add(200 * time.Millisecond)) // the first is an hour old, and not swept yet
	slice, err := p.VerifySegments(t.Context(), time.Hour, 50)
	if err != nil || slice == nil || len(slice.Differing) != 9 {
		t.Fatalf("%+v, %v: the test has to begin with a difference", slice, err)
	}
	repair := func() int {
		t.Helper()
		n, err := p.RepairSegment(t.Context(), *slice)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	set(begins.Add(10*time.Second + 200*time.Millisecond)) // and now it is too old
	p.settle()
	if n := repair(); n != 0 {
		t.Errorf("%d are taken for wrong who have left by the clock", n)
	}
	set(begins.Add(20 * time.Second)) // what was crossed until now is swept
	p.settle()
	set(begins.Add(time.Hour + 9*time.Second + 100*time.Millisecond)) // the second is an hour old
	if n := repair(); n != 0 {
		t.Errorf("%d are taken for wrong who have just crossed a boundary", n)
	}
	set(begins.Add(time.Hour + 11*time.Second))
	p.settle()
	if got := p.members("between"); len(got) != 9 {
		t.Errorf("only %v have entered after the repair left them to the sweep", got)
	}
	p.exec("delete from segment_member where contact_id in (3, 4)") // the triggers tell segments of segments only
	p.exec("delete from event where contact_id = 4")
	p.exec("delete from segment_change")
	if n := repair(); n != 1 {
		t.Errorf("%d are repaired, want the one that somebody took out", n)
	}
	if got := p.reasons("between"); !slices.Contains(got, "+3 Repair") || slices.ContainsFunc(got, func(s string) bool { return s == "+4 Repair" }) {
		t.Errorf("reasons: %v", got)
	}
}
