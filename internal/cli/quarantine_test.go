package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// quarantine does what the operator does when the database has forgotten 1000 of 1200 intents, and a campaign.
func (s *shop) quarantine() {
	s.t.Helper()
	ctx := context.Background()
	fence, err := s.db.LoadFence(ctx)
	known := int64(1200)
	if err == nil {
		err = s.db.OpenQuarantine(ctx, store.Quarantine{
			Identity: fence.Identity, Why: "The ledger holds 200 intents, and the cluster remembers 1200.", KnownMark: &known, LedgerMark: 200,
			Campaigns: []store.KnownCampaign{{Campaign: "spring", SendKey: "spring-2027", Phase: "Completed", Planned: 1000, Sent: 990, Failed: 10}},
		})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// permit does what the operator does when it sees a release.
func (s *shop) permit(ctx context.Context) error {
	fence, err := s.db.LoadFence(ctx)
	for err == nil && (fence.Quarantine == nil || fence.Quarantine.Release == nil) {
		if err = ctx.Err(); err == nil {
			_, err = s.db.Pool.Exec(ctx, "select pg_sleep(0.02)")
		}
		if err == nil {
			fence, err = s.db.LoadFence(ctx)
		}
	}
	if err != nil {
		return err
	}
	return s.db.PermitSending(ctx, fence.Identity)
}

func TestQuarantineShow(t *testing.T) {
	s := newShop(t)
	out, _, err := s.run("quarantine", "show", "--kubeconfig", s.kubeconfig)
	if err != nil || out != "Not quarantined: the ledger may be sent from.\n" {
		t.Fatalf("got %q, %v", out, err)
	}
	s.quarantine()
	out, _, err = s.run("quarantine", "show", "--kubeconfig", s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Quarantined since ", "nothing is sent until a person decides",
		"Missing: of the 1200 intents that the cluster remembers, this ledger does not know 1000.",
		"spring     Completed, 990 of 1000 sent, 10 failed   nothing        0            differs",
		"tertulia quarantine release --reason",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the text lacks %q:\n%s", want, out)
		}
	}
	out, _, err = s.run("quarantine", "show", "--kubeconfig", s.kubeconfig, "--output", "json")
	var info quarantineInfo
	if err == nil {
		err = json.Unmarshal([]byte(out), &info)
	}
	if err != nil || info.State != ledgerQuarantined || *info.Quarantine.Missing != 1000 || len(info.Campaigns) != 1 || info.Campaigns[0].Cluster.Sent != 990 {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestQuarantineRelease(t *testing.T) {
	s := newShop(t)
	release := func(arguments ...string) (string, error) {
		out, _, err := s.run(append([]string{"quarantine", "release", "--kubeconfig", s.kubeconfig, "--by", "ana"}, arguments...)...)
		return out, err
	}
	if out, err := release("--reason", "nothing to release", "--yes"); err != nil || !strings.HasPrefix(out, "Not quarantined") {
		t.Errorf("without a quarantine: %q, %v", out, err)
	}
	s.quarantine()
	if _, err := release("--yes"); err == nil || !strings.Contains(err.Error(), "reason") {
		t.Errorf("without a reason: %v", err)
	}
	if _, err := release("--reason", "the disk failed"); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("without a terminal and without --yes: %v", err)
	}
	if permitted, err := s.db.SendPermitted(t.Context()); err != nil || permitted {
		t.Fatalf("released by a refused release: %v, %v", permitted, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), planePatience)
	defer cancel()
	inForce := make(chan error, 1)
	go func() { inForce <- s.permit(ctx) }()
	out, err := release("--reason", "the disk failed", "--yes")
	if err := <-inForce; err != nil {
		t.Fatal(err)
	}
	if err != nil || !strings.HasPrefix(out, "Not quarantined") || !strings.Contains(out, `by ana (token "admin"): the disk failed`) || !strings.Contains(out, "held") {
		t.Errorf("released: %q, %v", out, err)
	}
	if _, told, err := s.run("quarantine", "resume", "--kubeconfig", s.kubeconfig, "--by", "ana", "--campaign", "spring", "--reason", "it was not sent"); err != nil || told != "Campaign \"spring\" goes on.\n" {
		t.Errorf("resume: %q, %v", told, err)
	}
	var by, reason string
	err = s.db.Pool.QueryRow(t.Context(), "select resumed_by, resume_reason from send_hold where send_key = 'spring-2027'").Scan(&by, &reason)
	if err != nil || by != "ana" || reason != "it was not sent" {
		t.Errorf("who resumed: %q, %q, %v", by, reason, err)
	}
	if held, err := s.db.HeldSends(t.Context()); err != nil || len(held) != 0 {
		t.Errorf("still held: %v, %v", held, err)
	}
}

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"release\n": true, " release ": true, "yes\n": false, "\n": false, "": false} {
		var asked strings.Builder
		if err := confirm(strings.NewReader(answer), &asked, "Really?", "release"); (err == nil) != want || !strings.Contains(asked.String(), "Really?") {
			t.Errorf("%q: got %v", answer, err)
		}
	}
}

func TestReleaseQuestion(t *testing.T) {
	info := quarantineInfo{Campaigns: []quarantinedCampaign{
		{Campaign: "a", Due: true, WouldSend: 700},
		{Campaign: "b", Differs: true},
		{Campaign: "c", Due: true, WouldSend: 20},
		{Campaign: "b", Occurrence: "2027-03-21T09:00", Differs: true},
	}}
	for name, tc := range map[string]struct {
		request releaseRequest
		want    string
	}{
		"hold": {releaseRequest{}, "\nReleased, 3 campaigns are held until you resume each."},
		"one goes on": {
			releaseRequest{Continue: []string{"a"}},
			"\nReleased, 2 campaigns are held until you resume each, and up to 700 messages leave at once (a): whoever got one that this ledger has forgotten gets it again.",
		},
		"all go on": {
			releaseRequest{ContinueAll: true},
			"\nReleased, 0 campaigns are held until you resume each, and up to 720 messages leave at once (a, c): whoever got one that this ledger has forgotten gets it again.",
		},
	} {
		if got := planQuestion(info, tc.request); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}
