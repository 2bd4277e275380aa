package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// ledgerOf is what the API tells of a tenant's ledger.
type ledgerOf struct {
	State      string
	Quarantine *struct {
		ID      int64
		Why     string
		Missing *int64
		Release *struct {
			Token, By, Reason string
			Continue          []string
		}
	}
	Campaigns []struct {
		Campaign        string
		Cluster, Ledger *struct{ Phase string }
		Differs, Due    bool
		Held            bool
		WouldSend       int64 `json:"would_send"`
	}
}

func (f *fixture) ledger() (l ledgerOf) {
	f.t.Helper()
	got := f.request(http.MethodGet, "/v1/quarantine", "")
	if got.status != http.StatusOK {
		f.t.Fatalf("status %d: %s", got.status, got.body)
	}
	got.json(f.t, &l)
	return l
}

func (l ledgerOf) campaigns() (names []string) {
	for _, c := range l.Campaigns {
		name := c.Campaign
		if c.Held {
			name += " held"
		}
		names = append(names, name)
	}
	return names
}

// declareSend makes a send that begins after this time.
func (f *fixture) declareSend(name string, in time.Duration) {
	f.t.Helper()
	_, err := f.db.UpsertSend(f.t.Context(), store.SendConfig{
		SendKey: name + "-key", Campaign: name, Purpose: "newsletter", Channel: "news", Segments: []string{"all"}, MaxRecipients: 10,
		Variants: []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}}, StartsAt: time.Now().Add(in), Deadline: time.Now().Add(in + time.Hour),
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// quarantine does what the operator does when the cluster remembers 1000 intents, and three campaigns.
func (f *fixture) quarantine() {
	f.t.Helper()
	fence, err := f.db.LoadFence(f.t.Context())
	known := int64(1000)
	if err == nil {
		err = f.db.OpenQuarantine(f.t.Context(), store.Quarantine{
			Identity: fence.Identity, Why: "The ledger holds 0 intents, and the cluster remembers 1000.", KnownMark: &known,
			Campaigns: []store.KnownCampaign{
				{Campaign: "gone", SendKey: "gone-key", Phase: "Completed", Planned: 700, Sent: 700},
				{Campaign: "later", SendKey: "later-key", Phase: "Scheduled"},
				{Campaign: "spring", SendKey: "spring-key", Phase: "Sending", Planned: 500, Sent: 300},
			},
		})
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestQuarantine(t *testing.T) {
	f := newFixture(t)
	f.declareSend("spring", -time.Minute)
	f.declareSend("due", -time.Minute) // the cluster's objects knew nothing of it
	f.declareSend("later", time.Hour)
	if l := f.ledger(); l.State != "permitted" || l.Quarantine != nil || len(l.Campaigns) != 0 {
		t.Errorf("before: %+v", l)
	}
	f.quarantine()
	l := f.ledger()
	if l.State != "quarantined" || l.Quarantine.Missing == nil || *l.Quarantine.Missing != 1000 || !strings.Contains(l.Quarantine.Why, "remembers 1000") {
		t.Fatalf("in quarantine: %+v, %+v", l, l.Quarantine)
	}
	if diff := cmp.Diff([]string{"due", "gone", "spring"}, l.campaigns()); diff != "" {
		t.Errorf("campaigns to decide about: -want +got:\n%s", diff)
	}
	if c := l.Campaigns[1]; c.Ledger != nil || c.Cluster == nil || !c.Differs || c.Due {
		t.Errorf("a send that the ledger has forgotten: %+v", c)
	}

	for name, tc := range map[string]struct {
		path, body string
		status     int
	}{
		"no reason":           {"release", `{"id": 1, "by": "ana", "reason": ""}`, http.StatusUnprocessableEntity},
		"nobody":              {"release", `{"id": 1, "by": "", "reason": "restored"}`, http.StatusUnprocessableEntity},
		"another quarantine":  {"release", `{"id": 99, "by": "ana", "reason": "restored"}`, http.StatusConflict},
		"an unknown campaign": {"release", `{"id": 1, "by": "ana", "reason": "restored", "continue": ["sprnig"]}`, http.StatusUnprocessableEntity},
		"nothing to resume":   {"resume", `{"campaign": "sprnig", "by": "ana", "reason": "restored"}`, http.StatusNotFound},
	} {
		if got := f.request(http.MethodPost, "/v1/quarantine/"+tc.path, tc.body); got.status != tc.status {
			t.Errorf("%s: status %d, want %d: %s", name, got.status, tc.status, got.body)
		}
	}
	if l := f.ledger(); l.State != "quarantined" || len(l.Campaigns) != 3 {
		t.Errorf("a refused release changed something: %+v", l)
	}

	release := `{"id": 1, "by": "ana", "reason": "the disk failed", "continue": ["due"]}`
	for range 2 { // repeating it changes nothing
		if got := f.request(http.MethodPost, "/v1/quarantine/release", release); got.status != http.StatusOK {
			t.Fatalf("release: status %d: %s", got.status, got.body)
		}
		release = `{"id": 1, "by": "eva", "reason": "another reason", "continue_all": true}`
	}
	l = f.ledger()
	if l.State != "released" || l.Quarantine.Release == nil {
		t.Fatalf("after the release: %+v", l)
	}
	if r := l.Quarantine.Release; r.Token != "admin" || r.By != "ana" || r.Reason != "the disk failed" || len(r.Continue) != 1 {
		t.Errorf("who released: %+v", r)
	}
	if diff := cmp.Diff([]string{"due", "gone held", "spring held"}, l.campaigns()); diff != "" {
		t.Errorf("held campaigns: -want +got:\n%s", diff)
	}

	// The operator puts it in force.
	fence, err := f.db.LoadFence(t.Context())
	if err == nil {
		err = f.db.PermitSending(t.Context(), fence.Identity)
	}
	if err != nil {
		t.Fatal(err)
	}
	l = f.ledger()
	if diff := cmp.Diff([]string{"gone held", "spring held"}, l.campaigns()); diff != "" || l.State != "permitted" {
		t.Errorf("in force: %s; -want +got:\n%s", l.State, diff)
	}
	for range 2 {
		if got := f.request(http.MethodPost, "/v1/quarantine/resume", `{"campaign": "spring", "by": "ana", "reason": "nobody got it"}`); got.status != http.StatusOK {
			t.Fatalf("resume: status %d: %s", got.status, got.body)
		}
	}
	if diff := cmp.Diff([]string{"gone held"}, f.ledger().campaigns()); diff != "" {
		t.Errorf("after the resumption: -want +got:\n%s", diff)
	}
}

func TestQuarantineIsForAdministrators(t *testing.T) {
	f := newFixture(t)
	token := store.NewToken()
	if _, err := f.db.CreateToken(t.Context(), store.Token{Name: "shop", Scopes: []string{"contacts:read", "contacts:write"}}, store.HashToken(token)); err != nil {
		t.Fatal(err)
	}
	f.token = token
	for path, method := range map[string]string{
		"/v1/quarantine": http.MethodGet, "/v1/quarantine/release": http.MethodPost, "/v1/quarantine/resume": http.MethodPost,
	} {
		if got := f.request(method, path, `{}`); got.status != http.StatusForbidden {
			t.Errorf("%s %s: status %d: %s", method, path, got.status, got.body)
		}
	}
}
