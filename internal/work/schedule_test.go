package work_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Two workers with the rights that workers have make one occurrence, and send it, without any cluster.
func TestACampaignRecursWithoutTheCluster(t *testing.T) {
	h := newHouse(t, 20)
	minute := time.Now().UTC().Truncate(time.Minute)
	h.campaign(func(c *store.SendConfig) {
		c.Timing = campaign.Timing{Cron: fmt.Sprintf("%d %d * * *", minute.Minute(), minute.Hour()), TimeZone: "UTC"}
		c.NextOccurrence, c.StartsAt, c.Deadline = minute.Format("2006-01-02T15:04"), minute, minute.Add(campaign.DefaultStartingDeadline)
	})
	h.worker(h.options())
	h.worker(h.options())
	h.eventually("the occurrence is sent", func() bool {
		var n int
		err := h.db.Pool.QueryRow(context.Background(), "select count(*) from send where occurrence <> '' and state = 'Completed'").Scan(&n)
		return err == nil && n > 0
	})
	h.wantReceived(people(upTo(20)...)) // the next is tomorrow's
}

// Who is outside of the hours waits, and keeps nobody else waiting.
func TestHoursAreKept(t *testing.T) {
	h := newHouse(t, 20)
	// It is the same hour in both zones on no day: they are twelve hours apart.
	now := time.Now().UTC()
	from, to := now.Add(-time.Hour).Format("15:04"), now.Add(time.Hour).Format("15:04")
	h.exec("update contact set time_zone = case when id <= 8 then 'Etc/GMT-12' else 'UTC' end")
	h.campaign(func(c *store.SendConfig) {
		c.Timing = campaign.Timing{At: "2020-01-01T00:00", TimeZone: "UTC", Hours: &campaign.Hours{Open: []campaign.Window{{From: from, To: to}}}}
	})
	h.worker(h.options())
	h.becomes("Sending planned 20 sent 12 failed 0 ambiguous 0 pending 8")
	var off int
	err := h.db.Pool.QueryRow(context.Background(), "select count(*) from ledger where state = 'pending' and not_before > now() + interval '9 hours' and attempts = 0").Scan(&off)
	if err != nil || off != 8 {
		t.Errorf("those whose night it is are put off until their hours: %d, %v", off, err)
	}
}
