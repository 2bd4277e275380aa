package work_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

func TestACampaignIsDelivered(t *testing.T) {
	h := newHouse(t, 1203)
	h.campaign(nil)
	h.worker(h.options())
	h.becomes("Completed planned 1203 sent 1203 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(1203)...))
	for _, m := range h.relay.Messages() {
		if m.To != "c7@people.example" {
			continue
		}
		text := strings.ReplaceAll(string(m.Data), "=\r\n", "")
		for _, want := range []string{
			"From: \"Velo\" <hola@velo.example>", "Subject: Hola Ana 7", "List-Unsubscribe: <https://crm.velo.example/u/", "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
			"Ana 7, 7.5, 1980-02-29, Velo Ciclismo",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the message lacks %q:\n%s", want, text)
			}
		}
		if m.From != "hola@velo.example" {
			t.Errorf("the envelope's sender is %q", m.From)
		}
	}
	want := map[store.StatusChange]bool{
		{Kind: "Campaign", Name: "spring"}: true, {Kind: "Segment", Name: "everybody"}: true,
		{Kind: "CRMTenant", Name: "default"}: true, // a worker has come
	}
	got := map[store.StatusChange]bool{}
	gomega.NewWithT(t).Eventually(func() map[store.StatusChange]bool {
		changes, err := h.db.TakeStatusChanges(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			got[c] = true
		}
		return got
	}).WithTimeout(patience).WithPolling(5*time.Millisecond).Should(gomega.Equal(want), "status changes")
}

func TestTwoWorkers(t *testing.T) {
	h := newHouse(t, 3000)
	h.campaign(nil)
	h.worker(h.options())
	h.worker(h.options())
	h.eventually("the send should be completed, and its sums right at every moment", func() bool {
		h.check()
		return h.status().State == campaign.Completed
	})
	h.becomes("Completed planned 3000 sent 3000 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(3000)...))
}

func TestSchedule(t *testing.T) {
	now := time.Now()
	cases := map[string]struct {
		why  string
		plan func(*store.SendConfig)
		want string
	}{
		"NotYet": {
			why: "its time has not come", want: "Scheduled planned 0 sent 0 failed 0 ambiguous 0 pending 0",
			plan: func(c *store.SendConfig) { c.StartsAt, c.Deadline = now.Add(time.Hour), now.Add(2*time.Hour) },
		},
		"TooLate": {
			why: "a cluster that wakes up late does not mail", want: "Expired planned 0 sent 0 failed 0 ambiguous 0 pending 0",
			plan: func(c *store.SendConfig) { c.StartsAt, c.Deadline = now.Add(-2*time.Hour), now.Add(-time.Hour) },
		},
		"Held": {
			why: "the audience is over its bound", want: "Held planned 0 sent 0 failed 0 ambiguous 0 pending 0",
			plan: func(c *store.SendConfig) { c.MaxRecipients = 4 },
		},
		"Suspended": {
			why: "a suspended send begins nothing", want: "Scheduled planned 0 sent 0 failed 0 ambiguous 0 pending 0",
			plan: func(c *store.SendConfig) { c.Suspended = true },
		},
		"SegmentMissing": {
			why: "an exclusion that is not there yet", want: "Freezing planned 0 sent 0 failed 0 ambiguous 0 pending 0",
			plan: func(c *store.SendConfig) { c.Exclude = []string{"later"} },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 5)
			h.campaign(tc.plan)
			other := h.campaign(func(c *store.SendConfig) { c.SendKey, c.Campaign = "other", "other" })
			h.worker(h.options())
			// When the other one is through, this one has been judged as well.
			h.eventually("the other campaign should be completed", func() bool {
				s, err := h.db.SendStatus(context.Background(), "other")
				return err == nil && s.State == campaign.Completed && other != 0
			})
			t.Log(tc.why)
			h.becomes(tc.want)
		})
	}
}

func TestHeldGoesOn(t *testing.T) {
	cases := map[string]struct {
		why    string
		change func(h *house)
		want   string
	}{
		"Raised": {
			why:    "the bound was raised",
			change: func(h *house) { h.campaign(func(c *store.SendConfig) { c.MaxRecipients = 5 }) },
			want:   "Completed planned 5 sent 5 failed 0 ambiguous 0 pending 0",
		},
		"Narrowed": {
			why:    "the segment was narrowed",
			change: func(h *house) { h.exec("update segment set digest = 'd2', predicate = 'c.id <= 3'") },
			want:   "Completed planned 3 sent 3 failed 0 ambiguous 0 pending 0",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 5)
			h.campaign(func(c *store.SendConfig) { c.MaxRecipients = 4 })
			h.worker(h.options())
			h.becomes("Held planned 0 sent 0 failed 0 ambiguous 0 pending 0")
			tc.change(h)
			t.Log(tc.why)
			h.becomes(tc.want)
		})
	}
}

func TestATemplateThatFailsForOne(t *testing.T) {
	h := newHouse(t, 20)
	h.exec("update contact set attr_first_name = '0' where id = 7")
	h.template("{% if contact.first_name == '0' %}{{ 1 | divided_by: contact.first_name }}{% endif %}Hola")
	h.campaign(nil)
	h.worker(h.options())
	h.becomes("Completed planned 20 sent 19 failed 1 ambiguous 0 pending 0")
	var reason, reply string
	if err := h.db.Pool.QueryRow(context.Background(), "select reason, reply from ledger where state = 'failed'").Scan(&reason, &reply); err != nil {
		t.Fatal(err)
	}
	if reason != "NotWritten" || reply == "" {
		t.Errorf("the row should say why: %q, %q", reason, reply)
	}
}

func TestTenantsComeAndGo(t *testing.T) {
	h := newHouse(t, 3)
	h.campaign(nil)
	o := h.options()
	empty := t.TempDir()
	o.TenantsDir = empty
	h.worker(o)
	o = h.options()
	w, err := work.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if w.Ready() == nil {
		t.Error("a worker that has not looked for its tenants is not ready")
	}
	// The tenant appears in the directory that the worker watches.
	h.tenants = empty
	h.credentials(nil)
	h.becomes("Completed planned 3 sent 3 failed 0 ambiguous 0 pending 0")
}

// A directory that cannot be read for a moment is no tenant that is gone.
func TestATenantDirectoryThatCannotBeRead(t *testing.T) {
	h := newHouse(t, 3)
	o := h.options()
	o.Metrics = work.NewMetrics()
	h.worker(o)
	h.eventually("the tenant should be worked for", func() bool {
		var built bool
		err := h.db.Pool.QueryRow(context.Background(), "select built_at is not null from segment").Scan(&built)
		return err == nil && built
	})
	tooLarge := filepath.Join(h.tenants, tenantID, "channel.newsletter.password")
	if err := os.WriteFile(tooLarge, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	// The failures of another tenant show that the directories have been read since.
	if err := credentials.Write(h.tenants, credentials.Tenant{ID: "other", DatabaseURL: h.runtime}); err != nil {
		t.Fatal(err)
	}
	h.eventually("the other directory should be found", func() bool { return failures(t, o.Metrics) > 0 })
	h.campaign(nil)
	h.becomes("Completed planned 3 sent 3 failed 0 ambiguous 0 pending 0")
}

func TestAForeignDatabaseIsRefused(t *testing.T) {
	h := newHouse(t, 3)
	h.campaign(nil)
	h.exec("update tenant set id = 'somebody-else'")
	o := h.options()
	o.Metrics = work.NewMetrics()
	h.worker(o)
	h.eventually("the worker should look at the database and refuse it", func() bool { return failures(t, o.Metrics) > 3 })
	if s := h.status(); s.State != campaign.Scheduled {
		t.Errorf("the send of another tenant is %s", s.State)
	}
}

// failures sums the rounds of loops that failed.
func failures(t *testing.T, m *work.Metrics) (sum float64) {
	t.Helper()
	for series, n := range gathered(t, m) {
		if strings.HasPrefix(series, "tertulia_loop_failures_total ") {
			sum += n
		}
	}
	return sum
}
