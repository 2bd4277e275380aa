package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// daily declares a campaign that recurs at nine each day, from the moment before the given one on.
func (s sending) daily(change func(*store.SendConfig), now time.Time) store.AppliedSend {
	s.t.Helper()
	c := s.config()
	c.Timing = campaign.Timing{Cron: "0 9 * * *", TimeZone: "UTC"}
	if change != nil {
		change(&c)
	}
	schedule, err := c.Timing.Parse()
	if err != nil {
		s.t.Fatal(err)
	}
	next, _ := schedule.Upcoming(now)
	c.NextOccurrence, c.StartsAt, c.Deadline, c.EndsAt = next.Local, next.StartsAt, next.Deadline, schedule.EndsAt()
	return s.upsert(c)
}

// advance has a worker look after what recurs at a moment.
func (s sending) advance(now time.Time) {
	s.t.Helper()
	ctx := context.Background()
	due, err := s.DueDeclarations(ctx, now)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, id := range due {
		if err := s.AdvanceDeclaration(ctx, id, now); err != nil {
			s.t.Fatal(err)
		}
	}
}

// sends are the occurrences with their states, and what the declaration comes to next.
func (s sending) wantOccurrences(want ...string) {
	s.t.Helper()
	rows, err := s.Pool.Query(context.Background(),
		"select case when cron is null then occurrence || ' ' || state else 'next ' || coalesce(next_occurrence, state) end from send order by cron is not null, occurrence")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			s.t.Fatal(err)
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("occurrences differ (-want +got):\n%s", diff)
	}
}

var nine = time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)

// permitted lets the ledger be sent from, as the operator does.
func (s sending) permitted() sending {
	s.t.Helper()
	s.exec("insert into send_permit (system_identifier, timeline, database_oid, ledger_oid) select system_identifier, timeline, database_oid, ledger_oid from ledger_identity on conflict do nothing")
	return s
}

func TestOccurrencesAreMadeOnce(t *testing.T) {
	s := newSending(t, 2).permitted()
	s.daily(nil, nine.Add(-time.Hour))
	s.advance(nine.Add(-time.Second))
	s.wantOccurrences("next 2027-03-21T09:00")
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() { s.advance(nine) })
	}
	workers.Wait()
	s.wantOccurrences("2027-03-21T09:00 Scheduled", "next 2027-03-22T09:00")
	// A clock that is set back makes nothing anew.
	s.advance(nine.Add(-time.Hour))
	s.advance(nine.Add(time.Minute))
	s.wantOccurrences("2027-03-21T09:00 Scheduled", "next 2027-03-22T09:00")
}

func TestOccurrencesThatWereMissed(t *testing.T) {
	cases := map[string]struct {
		why    string
		before string
		now    time.Time
		after  string
		want   []string
	}{
		"Week": {
			"a cluster that wakes up a week late records what it missed and mails nobody", "", nine.Add(2*24*time.Hour + 7*time.Hour), "",
			[]string{"2027-03-21T09:00 Expired", "2027-03-22T09:00 Expired", "2027-03-23T09:00 Expired", "next 2027-03-24T09:00"},
		},
		"Suspended": {
			"nothing is made while it is suspended", "update send set suspended = true", nine.Add(time.Hour), "",
			[]string{"next 2027-03-21T09:00"},
		},
		"SuspendedAndBack": {
			"what it missed is recorded when it goes on", "update send set suspended = true", nine.Add(time.Hour), "update send set suspended = false",
			[]string{"2027-03-21T09:00 Expired", "next 2027-03-22T09:00"},
		},
		"DeletedAndBack": {
			"a campaign that comes back goes on with its schedule", "update send set dormant_since = now()", nine.Add(time.Hour), "update send set dormant_since = null",
			[]string{"2027-03-21T09:00 Expired", "next 2027-03-22T09:00"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 1).permitted()
			s.daily(nil, nine.Add(-time.Hour))
			if tc.before != "" {
				s.exec(tc.before)
			}
			s.advance(tc.now)
			if tc.after != "" {
				s.exec(tc.after)
				s.advance(nine.Add(8 * time.Hour))
			}
			s.wantOccurrences(tc.want...)
		})
	}
}

func TestAnEditAppliesFromTheNextOccurrence(t *testing.T) {
	s := newSending(t, 1).permitted()
	s.daily(nil, nine.Add(-time.Hour))
	s.advance(nine)
	// The same declaration, hours later, moves nothing.
	if applied := s.daily(nil, nine.Add(time.Hour)); applied.Changed {
		t.Error("the same declaration wrote something")
	}
	s.daily(func(c *store.SendConfig) { c.Timing.Cron = "0 18 * * *"; c.MaxRecipients = 7 }, nine.Add(time.Hour))
	s.wantOccurrences("2027-03-21T09:00 Scheduled", "next 2027-03-21T18:00")
	if most := s.open().Facts.MaxRecipients; most != 7 {
		t.Errorf("an occurrence that is not frozen takes the bound over: %d", most)
	}
	s.freeze()
	s.daily(func(c *store.SendConfig) { c.Timing.Cron = "0 18 * * *"; c.MaxRecipients = 8 }, nine.Add(time.Hour))
	var most int64
	if err := s.Pool.QueryRow(context.Background(), "select max_recipients from send where occurrence <> ''").Scan(&most); err != nil || most != 7 {
		t.Errorf("one that is frozen keeps its own: %d, %v", most, err)
	}
}

// Each occurrence has an audience of its own, and begins when the one before it has ended.
func TestOccurrencesFollowOneAnother(t *testing.T) {
	s := newSending(t, 2).permitted()
	s.daily(nil, nine.Add(-time.Hour))
	s.advance(nine)
	s.freeze()
	s.wantCounts("planned 2 sent 0 failed 0 ambiguous 0 pending 2")
	next := nine.Add(24 * time.Hour)
	s.advance(next)
	sends, err := s.OpenSends(context.Background())
	if err != nil || len(sends) != 2 {
		t.Fatalf("both occurrences are open: %+v, %v", sends, err)
	}
	if state := campaign.Next(sends[1].State, sends[1].Facts, next); !sends[1].Facts.Waits || state != campaign.Scheduled {
		t.Errorf("the second waits for the first: it is %s", state)
	}
	l := s.lease(sends[0].ID, "w1")
	s.finish(l, settle(campaign.RowSent, s.commit(l, 2).Attempts()...)...)
	if _, err := s.MoveSend(context.Background(), sends[0], campaign.Completed, ""); err != nil {
		t.Fatal(err)
	}
	s.move(campaign.Freezing)
	if state, err := s.FreezeSend(context.Background(), s.open(), next); err != nil || state != campaign.Sending {
		t.Fatalf("freeze: %s, %v", state, err)
	}
	s.wantCounts("planned 2 sent 0 failed 0 ambiguous 0 pending 2")
	status, err := s.SendStatus(context.Background(), "spring")
	if err != nil || status.Occurrence != "2027-03-22T09:00" || !status.Recurs || status.NextAt == nil || !status.NextAt.Equal(next.Add(24*time.Hour)) {
		t.Errorf("a status tells of the last occurrence and of the next: %+v, %v", status, err)
	}
}

func TestWhatRecursEnds(t *testing.T) {
	s := newSending(t, 0).permitted()
	ends := func(at string) func(*store.SendConfig) { return func(c *store.SendConfig) { c.Timing.EndsAt = at } }
	s.daily(ends("2027-03-21T13:00"), nine.Add(-time.Hour))
	s.advance(nine)
	s.wantOccurrences("2027-03-21T09:00 Scheduled", "next Completed")
	s.freeze()
	s.daily(ends("2027-03-25T12:00"), nine.Add(time.Hour))
	s.wantOccurrences("2027-03-21T09:00 Completed", "next 2027-03-22T09:00")
	if status, err := s.SendStatus(context.Background(), "spring"); err != nil || status.Stage() != campaign.Scheduled {
		t.Errorf("between two occurrences it is scheduled: %+v, %v", status, err)
	}
}

func TestEndSends(t *testing.T) {
	s := newSending(t, 4).permitted()
	id := s.begin()
	l := s.lease(id, "w1")
	b := s.commit(l, 2)
	deferred := store.Settlement{Attempt: b.Recipients[1].Attempt, State: campaign.RowPending, RetryIn: time.Hour, Reply: "450 4.7.1 later"}
	s.finish(l, append(settle(campaign.RowSent, b.Recipients[0].Attempt), deferred)...)
	s.exec("update send set ends_at = now() - interval '1 second'")
	if sends, _, err := s.SendableSends(context.Background()); err != nil || len(sends) > 0 {
		t.Errorf("nothing is begun after the end: %v, %v", sends, err)
	}
	if changed, err := s.EndSends(context.Background()); err != nil || len(changed) != 1 {
		t.Errorf("the campaign's counts have changed: %v, %v", changed, err)
	}
	s.wantCounts("planned 4 sent 1 failed 1 ambiguous 0 pending 0 Ended 2")
	if changed, err := s.EndSends(context.Background()); err != nil || len(changed) != 0 {
		t.Errorf("what has ended is left alone: %v, %v", changed, err)
	}
}
