package crmtenant

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var (
	here     = store.Identity{SystemIdentifier: 7, Timeline: 2, DatabaseOID: 10, LedgerOID: 20}
	before   = store.Identity{SystemIdentifier: 7, Timeline: 1, DatabaseOID: 10, LedgerOID: 20}
	after    = store.Identity{SystemIdentifier: 7, Timeline: 3, DatabaseOID: 10, LedgerOID: 20}
	restored = store.Identity{SystemIdentifier: 7, Timeline: 2, DatabaseOID: 10, LedgerOID: 21}
	renamed  = store.Identity{SystemIdentifier: 7, Timeline: 2, DatabaseOID: 11, LedgerOID: 20}
	moved    = store.Identity{SystemIdentifier: 8, Timeline: 3, DatabaseOID: 10, LedgerOID: 20}
)

func mark(n int64) *int64 { return &n }

func TestPlanFence(t *testing.T) {
	tests := map[string]struct {
		reason string
		facts  fenceFacts
		want   fenceDecision
	}{
		"a new tenant":                     {"nothing was ever sent", fenceFacts{here: here}, permitSending},
		"a new database of a known tenant": {"the old one is gone with who was written to", fenceFacts{here: here, known: mark(5)}, quarantineHere},
		"a new database, nothing was sent": {"nobody can get a message twice", fenceFacts{here: here, known: mark(0)}, permitSending},
		"a permit that is gone":            {"nobody knows how", fenceFacts{here: here, ledger: 5}, quarantineHere},
		"settled":                          {"nothing has changed", fenceFacts{permit: &here, here: here, known: mark(5), ledger: 5}, keepPermit},
		"sending":                          {"the mark follows", fenceFacts{permit: &here, here: here, known: mark(5), ledger: 9}, keepPermit},
		"etcd rebuilt":                     {"the database is intact", fenceFacts{permit: &here, here: here, ledger: 9}, adoptMark},
		"rows restored into the same tables, or a snapshot of the volume": {
			"the identity is the same and the mark shows it", fenceFacts{permit: &here, here: here, known: mark(9), ledger: 5}, quarantineHere,
		},
		"failover without a loss":            {"the standby was synchronous", fenceFacts{permit: &before, here: here, known: mark(9), ledger: 9}, permitSending},
		"failover after the mark was kept":   {"the ledger is ahead of the mark's lag", fenceFacts{permit: &before, here: here, known: mark(9), ledger: 12}, permitSending},
		"failover with a loss":               {"the standby lagged behind", fenceFacts{permit: &before, here: here, known: mark(9), ledger: 8}, quarantineHere},
		"failover, etcd rebuilt":             {"there is nothing to compare with", fenceFacts{permit: &before, here: here, ledger: 9}, quarantineHere},
		"an older timeline":                  {"no failover goes back", fenceFacts{permit: &after, here: here, known: mark(9), ledger: 9}, quarantineHere},
		"dump restored in place":             {"it forgot what was sent since", fenceFacts{permit: &here, here: restored, known: mark(9), ledger: 5}, quarantineHere},
		"dump restored, the marks agree":     {"the mark may not have been kept up", fenceFacts{permit: &here, here: restored, known: mark(9), ledger: 9}, quarantineHere},
		"dump restored in another database":  {"it is another ledger", fenceFacts{permit: &here, here: renamed, known: mark(9), ledger: 9}, quarantineHere},
		"dump restored on another server":    {"it is another ledger", fenceFacts{permit: &here, here: moved, known: mark(9), ledger: 9}, quarantineHere},
		"both restored elsewhere":            {"the permit does not match", fenceFacts{permit: &here, here: moved, ledger: 9}, quarantineHere},
		"quarantined, the marks agree again": {"a person decides", fenceFacts{permit: &here, here: here, known: mark(5), ledger: 5, quarantined: true}, quarantineHere},
		"released, the ledger is behind":     {"the mark comes down first", fenceFacts{permit: &before, here: here, known: mark(9), ledger: 5, quarantined: true, released: true}, forgetMark},
		"released":                           {"a person has decided", fenceFacts{permit: &before, here: here, known: mark(5), ledger: 5, quarantined: true, released: true}, permitSending},
		"released, etcd rebuilt":             {"a person has decided", fenceFacts{permit: &before, here: here, ledger: 5, quarantined: true, released: true}, permitSending},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := planFence(tc.facts); got != tc.want {
				t.Errorf("got %s, want %s (%s)", got, tc.want, tc.reason)
			}
		})
	}
}

// A release that came with a dump is about another ledger.
func TestAReleaseDoesNotTravel(t *testing.T) {
	f := store.Fence{Identity: restored, Permit: &here, Mark: 5, Quarantine: &store.Quarantine{Identity: here, Release: &store.Release{By: "ana"}}}
	if got := planFence(factsOfFence(f, mark(5))); got != quarantineHere {
		t.Errorf("got %s", got)
	}
	f.Quarantine.Identity = restored
	if got := planFence(factsOfFence(f, mark(5))); got != permitSending {
		t.Errorf("got %s", got)
	}
}

func drawIdentity(t *rapid.T, name string) store.Identity {
	few := rapid.Int64Range(1, 3)
	return store.Identity{
		SystemIdentifier: few.Draw(t, name+" system"), Timeline: few.Draw(t, name+" timeline"),
		DatabaseOID: few.Draw(t, name+" database"), LedgerOID: few.Draw(t, name+" ledger"),
	}
}

func TestFenceNeverPermitsALedgerThatIsBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := fenceFacts{here: drawIdentity(t, "here"), ledger: rapid.Int64Range(0, 5).Draw(t, "ledger")}
		if rapid.Bool().Draw(t, "permitted before") {
			permit := drawIdentity(t, "permit")
			f.permit = &permit
		}
		if rapid.Bool().Draw(t, "known") {
			f.known = mark(rapid.Int64Range(0, 5).Draw(t, "mark"))
		}
		f.quarantined = rapid.Bool().Draw(t, "quarantined")
		f.released = f.quarantined && rapid.Bool().Draw(t, "released")
		got := planFence(f)
		sends := got == permitSending || got == keepPermit || got == adoptMark
		switch {
		case sends && f.known != nil && f.ledger < *f.known:
			t.Fatalf("%s, although the ledger holds %d and the cluster remembers %d", got, f.ledger, *f.known)
		case sends && f.quarantined && !f.released:
			t.Fatalf("%s, although nobody has released the quarantine", got)
		case sends && !f.released && f.permit != nil && !f.permit.SameLedger(f.here):
			t.Fatalf("%s, although it is another ledger and nobody has decided", got)
		case got == forgetMark && !f.released:
			t.Fatalf("the mark is forgotten although nobody has decided")
		case got == keepPermit && (f.permit == nil || *f.permit != f.here):
			t.Fatalf("a permit is kept that is none")
		}
		// What is decided brings the tenant to rest: the same facts, after it was done, keep the permit or the quarantine.
		for range 2 {
			switch planFence(f) {
			case forgetMark:
				f.known = mark(f.ledger)
			case permitSending:
				f.permit, f.quarantined, f.released = &f.here, false, false
				if f.known == nil {
					f.known = mark(f.ledger)
				}
			case adoptMark:
				f.known = mark(f.ledger)
			case quarantineHere:
				f.quarantined, f.released = true, false
			case keepPermit:
			}
		}
		if rest := planFence(f); rest != keepPermit && rest != quarantineHere {
			t.Fatalf("it does not come to rest: %s after %s", rest, got)
		}
	})
}

func TestFenceDifferences(t *testing.T) {
	tests := map[string]struct {
		facts fenceFacts
		want  []string
	}{
		"in place":       {fenceFacts{permit: &here, here: restored, known: mark(9), ledger: 5}, []string{"table was made anew", "holds 5 intents", "remembers 9"}},
		"other database": {fenceFacts{permit: &here, here: renamed, known: mark(9), ledger: 9}, []string{"another database of the same cluster", "as many"}},
		"other server":   {fenceFacts{permit: &here, here: moved, ledger: 5}, []string{"another PostgreSQL cluster", "remembers no number"}},
		"failover":       {fenceFacts{permit: &before, here: here, known: mark(9), ledger: 5}, []string{"timeline 2, and 1 is permitted"}},
		"empty":          {fenceFacts{here: here, known: mark(9)}, []string{"is empty", "holds 0 intents"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := fenceDifferences(tc.facts)
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q lacks %q", got, want)
				}
			}
		})
	}
}

func TestPlanFailover(t *testing.T) {
	tests := map[string]struct {
		reason string
		seen   store.Replication
		want   metav1.ConditionStatus
	}{
		"no standby":              {"there is nothing to fail over to", store.Replication{}, metav1.ConditionTrue},
		"asynchronous":            {"it may lag behind", store.Replication{Standbys: 1, Asynchronous: 1}, metav1.ConditionFalse},
		"asynchronous, hidden":    {"nobody waits for any", store.Replication{Standbys: 1, Hidden: true}, metav1.ConditionFalse},
		"synchronous":             {"commits wait for it", store.Replication{Awaited: true, Standbys: 1}, metav1.ConditionTrue},
		"one of each":             {"the other may lag behind", store.Replication{Awaited: true, Standbys: 2, Asynchronous: 1}, metav1.ConditionFalse},
		"synchronous, and hidden": {"there may be others", store.Replication{Awaited: true, Standbys: 2, Hidden: true}, metav1.ConditionUnknown},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := planFailover(tc.seen); got.status != tc.want || got.reason == "" || got.message == "" {
				t.Errorf("got %+v, want %s (%s)", got, tc.want, tc.reason)
			}
		})
	}
}

// TestPlanKnown tells apart what a status says of the campaign and of its last occurrence.
func TestPlanKnown(t *testing.T) {
	campaign := func(s v1alpha1.CampaignStatus) *v1alpha1.Campaign {
		return &v1alpha1.Campaign{ObjectMeta: metav1.ObjectMeta{Name: "spring"}, Spec: v1alpha1.CampaignSpec{SendKey: "spring-2027"}, Status: s}
	}
	for name, tc := range map[string]struct {
		status v1alpha1.CampaignStatus
		want   []store.KnownCampaign
	}{
		"nothing is known": {},
		"once": {
			v1alpha1.CampaignStatus{Phase: "Sending", Planned: ptr.To[int64](10), Sent: ptr.To[int64](4)},
			[]store.KnownCampaign{{Campaign: "spring", SendKey: "spring-2027", Phase: "Sending", Planned: 10, Sent: 4}},
		},
		"before the first occurrence": {
			v1alpha1.CampaignStatus{Phase: "Scheduled"}, []store.KnownCampaign{{Campaign: "spring", SendKey: "spring-2027", Phase: "Scheduled"}},
		},
		"between two occurrences": {
			v1alpha1.CampaignStatus{Phase: "Scheduled", Occurrence: "2027-03-21T09:00", LastPhase: "Completed", Planned: ptr.To[int64](10), Sent: ptr.To[int64](10)},
			[]store.KnownCampaign{
				{Campaign: "spring", SendKey: "spring-2027", Phase: "Scheduled"},
				{Campaign: "spring", SendKey: "spring-2027", Occurrence: "2027-03-21T09:00", Phase: "Completed", Planned: 10, Sent: 10},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, planKnown(campaign(tc.status))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
