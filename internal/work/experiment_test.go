package work_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// bySubject counts the messages at the relay by the subject that their variant has.
func (h *house) bySubject() map[string]int {
	got := map[string]int{}
	for _, m := range h.relay.Messages() {
		_, rest, _ := strings.Cut(string(m.Data), "Subject: ")
		subject, _, _ := strings.Cut(rest, "\r\n")
		got[subject]++
	}
	return got
}

// A worker sends the variants to the test share, waits, chooses the better one when its time is over, and sends that to the rest. Who
// is held out gets neither.
func TestTheRestGetsTheBetterVariant(t *testing.T) {
	const n = 600
	h := newHouse(t, n)
	h.template("Primavera")
	h.exec(`insert into template select (jsonb_populate_record(t, jsonb_build_object('name', 'summer', 'content',
		replace(content::text, 'Primavera', 'Verano')::jsonb))).* from template t`)
	id := h.campaign(func(c *store.SendConfig) {
		c.Variants = []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}, {Name: "b", Template: "summer", Weight: 1}}
		c.HoldOut, c.Test = 10, &campaign.Test{Metric: campaign.Opened, AfterSeconds: 3600, Share: 30}
	})
	var ahead atomic.Int64
	o := h.options()
	o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	h.worker(o)
	var share, rest int
	h.eventually("the test share should be sent, and nobody else", func() bool {
		err := h.db.Pool.QueryRow(context.Background(), `
			select count(*) filter (where c.stage = 0 and l.state = 'sent'), count(*) filter (where l.state = 'pending')
			from send_chunk c join ledger l on l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq
			where not exists (select from ledger x join send_chunk y on y.send_id = x.send_id and x.seq between y.first_seq and y.last_seq
				where y.stage = 0 and x.state in ('pending', 'intent'))`).Scan(&share, &rest)
		return err == nil && share > 0
	})
	first := h.bySubject()
	if a, b := first["Primavera"], first["Verano"]; a+b != share || a == 0 || b == 0 || share < n*15/100 || share > n*40/100 || rest == 0 {
		t.Fatalf("a share of %d has %v, and %d wait", share, first, rest)
	}
	h.exec("insert into engagement_tally (send_id, variant, what, people, total) values ($1, 0, 'opened', 2, 2), ($1, 1, 'opened', 50, 60)", id)
	if s := h.status(); s.Decision != nil || int(s.Sent) != share {
		t.Errorf("chosen before its time: %+v, %s", s.Decision, counts(s))
	}
	ahead.Store(int64(2 * time.Hour))
	h.eventually("the rest should be sent", func() bool { return h.status().State == campaign.Completed })
	s := h.status()
	held := 0
	for _, skip := range s.SkippedByReason {
		if skip.Reason == campaign.HoldOut {
			held = int(skip.Count)
		}
	}
	if s.Decision == nil || s.Decision.Winner != 1 || !s.Decision.Significant || s.Decision.Responses[1].Answers != 50 {
		t.Errorf("b did better: %+v", s.Decision)
	}
	if int(s.Planned) != n || held < n*5/100 || held > n*16/100 || int(s.Sent) != n-held || s.Pending != 0 {
		t.Errorf("%d are held out: %s", held, counts(s))
	}
	if all := h.bySubject(); all["Primavera"] != first["Primavera"] || all["Verano"] != first["Verano"]+rest {
		t.Errorf("the rest of %d gets b: %v, and before %v", rest, all, first)
	}
}

// arrive makes people with the ids from one to another. Those whose id is divisible by ten have not consented.
func (h *house) arrive(from, to int) {
	h.t.Helper()
	err := h.db.InTx(context.Background(), func(tx pgx.Tx) error { // or a worker meets somebody who has no address yet
		for _, statement := range []string{
			"insert into contact (locale, attr_first_name) select 'es', 'Ana ' || i from generate_series($1::int, $2::int) i order by i",
			"insert into identifier (type, value) select 'email', 'c' || id || '@people.example' from contact where id between $1 and $2 order by id",
			`insert into identifier_link (identifier_id, contact_id, verified, source)
				select i.id, c.id, true, 'test' from contact c join identifier i on i.value = 'c' || c.id || '@people.example' where c.id between $1 and $2`,
			"insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', id % 10 <> 0, 'test' from contact where id between $1 and $2",
		} {
			if _, err := tx.Exec(context.Background(), statement, from, to); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// A rolling audience goes on: who enters it is written to once, by whichever worker is there, until a person ends it.
func TestARollingAudienceGoesOn(t *testing.T) {
	h := newHouse(t, 20)
	rolling := func(c *store.SendConfig) { c.Rolling, c.MaxRecipients = true, 70 }
	h.campaign(rolling)
	o := h.options()
	o.SegmentInterval = 50 * time.Millisecond
	stop := h.worker(o)
	h.becomes("Sending planned 20 sent 20 failed 0 ambiguous 0 pending 0")
	h.arrive(21, 40)
	h.becomes("Sending planned 40 sent 38 failed 0 ambiguous 0 pending 0 NoConsent 2")
	stop()
	h.arrive(41, 60) // while nobody works
	h.worker(o)
	h.worker(o)
	h.becomes("Sending planned 60 sent 56 failed 0 ambiguous 0 pending 0 NoConsent 4")
	// What enters beyond the bound is not written to.
	h.arrive(61, 80)
	h.becomes("Sending planned 70 sent 65 failed 0 ambiguous 0 pending 0 NoConsent 5")
	h.eventually("the status should say that the bound is reached", func() bool { return strings.Contains(h.status().Message, "maxRecipients") })
	h.campaign(func(c *store.SendConfig) {
		rolling(c)
		c.EndsAt = time.Now()
		c.Timing.EndsAt = c.EndsAt.UTC().Format("2006-01-02T15:04:05")
	})
	h.becomes("Completed planned 70 sent 65 failed 0 ambiguous 0 pending 0 NoConsent 5")
}
