package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// A slow receiver holds up its own chunks and no others: those with many rows have chunks of their own, and take turns.
func TestChunksByReceiver(t *testing.T) {
	s := newSending(t, 2600)
	s.exec("update identifier set value = 'c' || id || case when id <= 1200 then '@big.example' when id <= 2200 then '@second.example' else '@small' || id % 7 || '.example' end")
	s.exec("update consent set granted = false where contact_id > 2590")
	s.begin()
	rows, err := s.Pool.Query(context.Background(), `
		select coalesce(r.name, ''), c.last_seq - c.first_seq + 1, c.open,
			(select count(distinct split_part(i.value, '@', 2)) from ledger l join identifier i on i.id = l.contact_id where l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq)
		from send_chunk c left join receiver r on r.id = c.receiver order by c.chunk`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	type chunk struct {
		Receiver string
		Rows     int
		Open     bool
		Domains  int
	}
	var got []chunk
	for rows.Next() {
		var c chunk
		if err := rows.Scan(&c.Receiver, &c.Rows, &c.Open, &c.Domains); err != nil {
			t.Fatal(err)
		}
		got = append(got, c)
	}
	want := []chunk{
		{"big.example", 500, true, 1},
		{"second.example", 500, true, 1},
		{"", 390, true, 7},
		{"big.example", 500, true, 1},
		{"second.example", 500, true, 1},
		{"big.example", 200, true, 1},
		{"", 10, false, 7},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chunks differ (-want +got):\n%s", diff)
	}
}

// Each recipient waits for the hour in their own zone; who is too late for it is left out, and who has no zone is in the tenant's.
func TestFreezeByZone(t *testing.T) {
	s := newSending(t, 5)
	s.exec(`update contact set time_zone = (array['Europe/Madrid', 'Asia/Tokyo', 'America/Los_Angeles', 'Atlantis', null])[id]`)
	c := s.config()
	// At noon UTC it is 21 o'clock in Tokyo: ten hours too late for eleven, with six allowed.
	c.Timing = campaign.Timing{At: "2027-03-21T11:00", TimeZone: "America/Bogota", PerRecipient: true, StartingDeadline: "6h"}
	schedule, err := c.Timing.Parse()
	if err != nil {
		t.Fatal(err)
	}
	c.StartsAt, c.Deadline = schedule.Once().StartsAt, schedule.Once().Deadline
	s.upsert(c)
	s.freeze()
	s.wantCounts("planned 5 sent 0 failed 0 ambiguous 0 pending 4 Late 1")
	rows, err := s.Pool.Query(context.Background(), "select contact_id, not_before from ledger where state = 'pending'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[int64]string{}
	for rows.Next() {
		var contact int64
		var at time.Time
		if err := rows.Scan(&contact, &at); err != nil {
			t.Fatal(err)
		}
		got[contact] = at.UTC().Format(time.RFC3339)
	}
	want := map[int64]string{1: "2027-03-21T10:00:00Z", 3: "2027-03-21T18:00:00Z", 4: "2027-03-21T16:00:00Z", 5: "2027-03-21T16:00:00Z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hours differ (-want +got):\n%s", diff)
	}
	var next time.Time
	if err := s.Pool.QueryRow(context.Background(), "select min(next_at) from send_chunk where open").Scan(&next); err != nil || next.UTC().Format(time.RFC3339) != want[1] {
		t.Errorf("a chunk is not leased before the first of its rows is due: %s, %v", next, err)
	}
}

// No chunk is leased before the first of its rows is due, and none waits for the hour of others.
func TestChunksWaitForTheirFirstHour(t *testing.T) {
	s := newSending(t, 1210)
	s.exec("update contact set time_zone = case when id % 2 = 0 then 'Europe/Madrid' else 'America/Los_Angeles' end")
	s.exec("update consent set granted = false where contact_id > 1200")
	c := s.config()
	c.Timing = campaign.Timing{At: "2027-03-21T11:00", TimeZone: "Europe/Madrid", PerRecipient: true, StartingDeadline: "6h"}
	schedule, err := c.Timing.Parse()
	if err != nil {
		t.Fatal(err)
	}
	c.StartsAt, c.Deadline = schedule.Once().StartsAt, schedule.Once().Deadline
	s.upsert(c)
	s.freeze()
	rows, err := s.Pool.Query(context.Background(), `
		select format('%s open %s', c.last_seq - c.first_seq + 1, c.open), to_char(nullif(c.next_at, '-infinity') at time zone 'UTC', 'HH24:MI'),
			(select string_agg(distinct to_char(l.not_before at time zone 'UTC', 'HH24:MI'), ' ') from ledger l where l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq)
		from send_chunk c order by c.chunk`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got [][3]string
	for rows.Next() {
		var what string
		var next, hours *string
		if err := rows.Scan(&what, &next, &hours); err != nil {
			t.Fatal(err)
		}
		line := [3]string{what}
		for i, value := range []*string{next, hours} {
			if value != nil {
				line[i+1] = *value
			}
		}
		got = append(got, line)
	}
	want := [][3]string{
		{"500 open t", "10:00", "10:00"},
		{"500 open t", "10:00", "10:00 18:00"},
		{"200 open t", "18:00", "18:00"},
		{"10 open f", "", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chunks differ (-want +got):\n%s", diff)
	}
}
