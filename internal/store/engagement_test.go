package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/engagement"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// newEngaged is a frozen send of which mails are tracked, with its id.
func newEngaged(t *testing.T, recipients int) (sending, int64) {
	t.Helper()
	s := newSending(t, recipients)
	c := s.config()
	c.Tracking = store.Tracking{Opens: true, Clicks: true}
	s.upsert(c)
	s.freeze()
	return s, s.open().ID
}

func clicked(send, seq int64, what engagement.What, variant int) engagement.Judged {
	j := engagement.Judged{
		Event: engagement.Event{At: noon.UnixNano(), Send: send, Seq: seq, Link: 7, Kind: engagement.Click}, What: what, Variant: variant,
	}
	switch what {
	case engagement.MachineClicked:
		j.Reason = engagement.ByBurst
	case engagement.Opened, engagement.MachineOpened:
		j.Kind = engagement.Open
	case engagement.Clicked:
	}
	return j
}

func (s sending) write(b store.EngagementBatch) {
	s.t.Helper()
	if err := s.WriteEngagement(context.Background(), b); err != nil {
		s.t.Fatal(err)
	}
}

// engagedWith is what was done with the messages of a send.
type engagedWith struct {
	People store.Engagement // different recipients: whoever opens a message ten times counts once
	Total  store.Engagement // how often it was done
}

// engaged reads what was done with the messages of a send, for each of its variants with whom anything was done.
func (s sending) engaged(send int64) map[int]engagedWith {
	s.t.Helper()
	rows, err := s.Pool.Query(context.Background(), "select variant, what, people, total from engagement_tally where send_id = $1", send)
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[int]engagedWith{}
	var variant int
	var what engagement.What
	var people, total int64
	_, err = pgx.ForEachRow(rows, []any{&variant, &what, &people, &total}, func() error {
		if found[variant].People == nil {
			found[variant] = engagedWith{People: store.Engagement{}, Total: store.Engagement{}}
		}
		found[variant].People[what] = people
		found[variant].Total[what] = total
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

func TestEngagementCountsPeopleOnce(t *testing.T) {
	s, send := newEngaged(t, 10)
	campaigns := map[int64]string{send: "spring"}
	first := store.EngagementBatch{Flusher: "one", Number: 1, Campaigns: campaigns, Events: []engagement.Judged{
		clicked(send, 1, engagement.Clicked, 0), clicked(send, 1, engagement.Clicked, 0), clicked(send, 2, engagement.Clicked, 1),
		clicked(send, 1, engagement.MachineClicked, 0), clicked(send, 3, engagement.Opened, 0),
	}}
	s.write(first)
	s.write(first) // its commit got lost on its way
	s.write(store.EngagementBatch{Flusher: "two", Number: 1, Campaigns: campaigns, Events: []engagement.Judged{
		clicked(send, 1, engagement.Clicked, 0), clicked(send, 4, engagement.Clicked, 0), clicked(send, 8192, engagement.Clicked, 0),
	}})
	want := map[int]engagedWith{
		0: {
			People: store.Engagement{engagement.Clicked: 3, engagement.MachineClicked: 1, engagement.Opened: 1},
			Total:  store.Engagement{engagement.Clicked: 5, engagement.MachineClicked: 1, engagement.Opened: 1},
		},
		1: {People: store.Engagement{engagement.Clicked: 1}, Total: store.Engagement{engagement.Clicked: 1}},
	}
	if diff := cmp.Diff(want, s.engaged(send)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	status, err := s.SendStatus(t.Context(), "spring")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(store.Engagement{engagement.Clicked: 4, engagement.MachineClicked: 1, engagement.Opened: 1}, status.Engaged); diff != "" {
		t.Errorf("status: -want +got:\n%s", diff)
	}
	var kept string
	err = s.Pool.QueryRow(t.Context(), `select string_agg(what || ':' || coalesce(link_id::text, '-') || ':' || coalesce(reason, '-'), ' ' order by what, link_id, seq)
		from engagement where at = $1 and seq in (1, 3)`, noon).Scan(&kept)
	if err != nil {
		t.Fatal(err)
	}
	if want := "clicked:7:- clicked:7:- clicked:7:- machine-clicked:7:burst opened:-:-"; kept != want {
		t.Errorf("kept %q, want %q", kept, want)
	}
}

// TestEngagementOfManyAtOnce: several servers count into the same blocks, and nobody is lost or counted twice.
func TestEngagementOfManyAtOnce(t *testing.T) {
	s, send := newEngaged(t, 1)
	const flushers, batches, people = 4, 5, 300
	done := make(chan error, flushers)
	for f := range flushers {
		go func() {
			var err error
			for n := range batches {
				b := store.EngagementBatch{Flusher: fmt.Sprint(f), Number: int64(n + 1)}
				for seq := range people {
					b.Events = append(b.Events, clicked(send, int64(seq*100+n), engagement.Clicked, 0))
				}
				if err = s.WriteEngagement(context.Background(), b); err != nil {
					break
				}
			}
			done <- err
		}()
	}
	for range flushers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	want := map[int]engagedWith{0: {
		People: store.Engagement{engagement.Clicked: batches * people}, Total: store.Engagement{engagement.Clicked: flushers * batches * people},
	}}
	if diff := cmp.Diff(want, s.engaged(send)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEngagementFacts(t *testing.T) {
	s, send := newEngaged(t, 4)
	s.exec("update ledger set variant = 1, state = 'sent', intent_at = $2, settled_at = $3 where send_id = $1 and seq = 1", send, noon, noon.Add(time.Second))
	s.exec("update ledger set state = 'intent', intent_at = $2 where send_id = $1 and seq = 2", send, noon)
	s.exec("insert into consent (contact_id, purpose, granted, source) select contact_id, 'tracking', false, 'test' from ledger where send_id = $1 and seq = 3", send)
	s.exec("insert into refusal (address_hash, purpose, source) select address_hash, 'tracking', 'test' from ledger where send_id = $1 and seq = 4", send)
	t.Cleanup(func() { s.exec("update ledger set state = 'pending' where send_id = $1", send) })
	var asked []engagement.Message
	for seq := range 6 {
		asked = append(asked, engagement.Message{Send: send, Seq: int64(seq)})
	}
	facts := func() store.EngagementFacts {
		t.Helper()
		got, err := s.EngagementFacts(t.Context(), append(asked, engagement.Message{Send: 4711, Seq: 1}))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := store.EngagementFacts{
		Sends: map[int64]store.EngagedSend{send: {Campaign: "spring"}},
		Messages: map[engagement.Message]engagement.Facts{
			asked[1]: {Variant: 1, HandedOver: noon.Add(time.Second)}, asked[2]: {HandedOver: noon}, asked[3]: {Untracked: true}, asked[4]: {Untracked: true},
		},
	}
	if diff := cmp.Diff(want, facts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, change := range map[string]string{
		"the tenant forbids it": "update tenant set tracking_forbidden = true",
		"its time is over":      "update tenant set tracking_forbidden = false, tracking_retention = '0'",
	} {
		s.exec(change)
		if got := facts().Sends[send]; !got.Untracked {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestEngagementIsForgotten(t *testing.T) {
	s, send := newEngaged(t, 1)
	now := time.Date(2027, 6, 15, 0, 0, 0, 0, time.UTC)
	if err := s.EnsureEngagementPartitions(t.Context(), noon); err != nil { // of February to June 2027
		t.Fatal(err)
	}
	s.exec("update tenant set tracking_retention = '60 days'")
	s.exec("update send set frozen_at = '2027-03-21'")
	s.write(store.EngagementBatch{Flusher: "one", Number: 1, Events: []engagement.Judged{clicked(send, 1, engagement.Clicked, 0)}})
	s.exec("insert into engagement (at, send_id, seq, what) values ('2025-01-01', $1, 1, 'opened'), ('2027-05-01', $1, 1, 'opened')", send)
	s.exec("insert into engagement (at, send_id, seq, what) values ('2027-05-02', $1, 1, 'machine-clicked')", send)
	s.exec("insert into engaged (contact_id, send_id, what, at) values (2, $1, 'opened', '2027-05-03')", send)
	s.exec("update engagement_flush set written_at = $1", now)
	if err := s.PruneEngagement(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Pool.Query(t.Context(), `
		select 'engagement ' || at::date from engagement union all select 'seen' from engagement_seen
		union all select 'engaged ' || what || ' ' || at::date from engaged
		union all select 'people ' || people from engagement_tally union all select 'flush' from engagement_flush
		union all select relname from pg_class where relname like 'engagement\_2%' and relkind = 'r' order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"engaged opened 2027-05-03", "engagement 2027-05-01", "engagement 2027-05-02", "engagement_2027_04", "engagement_2027_05", "engagement_2027_06", "flush", "people 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestEngagedKnowsTheFirstTime: a row for each person and deed, with the earliest time, whoever wrote it and however often.
func TestEngagedKnowsTheFirstTime(t *testing.T) {
	s, send := newEngaged(t, 3)
	s.write(store.EngagementBatch{Flusher: "one", Number: 1, Events: []engagement.Judged{
		clicked(send, 1, engagement.Clicked, 0), clicked(send, 1, engagement.Clicked, 0), clicked(send, 2, engagement.MachineClicked, 0),
		clicked(send, 3, engagement.Opened, 0),
	}})
	s.exec("insert into engagement (at, send_id, seq, what) values ('2027-01-01', $1, 3, 'opened'), ('2027-12-01', $1, 1, 'clicked'), ('2027-12-01', $1, 9, 'opened')", send)
	rows, err := s.Pool.Query(t.Context(), "select l.seq || ' ' || e.what || ' ' || e.at::date from engaged e join ledger l using (send_id, contact_id) order by 1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1 clicked " + noon.Format(time.DateOnly), "3 opened 2027-01-01"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTrackingIsDeclared(t *testing.T) {
	s, _ := newEngaged(t, 1)
	c := s.config()
	if s.upsert(c); s.upsert(c).Changed {
		t.Error("the same declaration wrote again")
	}
	status, err := s.SendStatus(t.Context(), "spring")
	if err != nil || status.Tracking.Any() {
		t.Errorf("tracking that was taken back once the audience is frozen: %+v, %v", status.Tracking, err)
	}
	c.Tracking.Clicks = true
	if applied := s.upsert(c); !applied.Changed || len(applied.Ignored) > 0 {
		t.Errorf("tracking that is declared once the audience is frozen: %+v", applied)
	}
}
