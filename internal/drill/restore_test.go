package drill

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

const people = 40

// A backup is restored over the database while workers and the operator live. It has forgotten a campaign.
func TestDumpRestoredInPlace(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.newDatabase("velo")
	h := newTenant(t, inWorld(t), controlplanetest.Namespace(t), ownerURL(m.Port(), "velo"), people)
	h.campaign("winter")
	h.sent("winter", people, people)
	backup := m.dump("velo")
	h.campaign("spring")
	h.sent("spring", people, 2*people)
	heard := h.heard()

	m.restoreInPlace("velo", backup)
	h.quarantined(v1alpha1.LedgerBehindReason)
	h.condition(&v1alpha1.Campaign{}, "spring", v1alpha1.HealthyCondition, "False", v1alpha1.QuarantinedReason)
	h.silent(heard)
	spring := &v1alpha1.Campaign{}
	if err := h.api.Get(t.Context(), h.key("spring"), spring); err != nil || spring.Status.Sent == nil || *spring.Status.Sent != people {
		t.Errorf("the campaign's numbers should be those from before: %+v, %v", spring.Status, err)
	}
	told := h.shown(1)
	if told.State != "quarantined" || told.Quarantine.Missing == nil || *told.Quarantine.Missing != people || !strings.Contains(told.Quarantine.Why, "made anew") {
		t.Errorf("what is told: %+v", told)
	}
	if told.Campaigns[0].Campaign != "spring" || !told.Campaigns[0].Differs || told.Campaigns[0].Cluster.Sent != people {
		t.Errorf("the campaign that was forgotten: %+v", told.Campaigns)
	}

	told = h.quarantine("release", "--yes", "--by", "ana", "--reason", "the disk failed")
	if diff := cmp.Diff([]string{"spring"}, told.held()); diff != "" || told.State != "permitted" {
		t.Errorf("released: %s, held: -want +got:\n%s", told.State, diff)
	}
	h.permitted()
	h.remembers(people)
	h.condition(&v1alpha1.Campaign{}, "spring", v1alpha1.HealthyCondition, "False", v1alpha1.AttentionNeededReason)
	h.silent(heard)

	// What is new is sent; what was forgotten, when a person says so, and then to those again who got it.
	h.campaign("summer")
	h.sent("summer", people, 2*people)
	h.received(3, people)
	h.quarantine("resume", "--campaign", "spring", "--by", "ana", "--reason", "better twice than never")
	h.sent("spring", people, 3*people)
	h.received(4, people)
}

// A backup is restored somewhere else, and the tenant is led there.
func TestDumpRestoredElsewhere(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(*testing.T, *machine) *machine{
		"another database of the server": func(_ *testing.T, m *machine) *machine { return m },
		"another server":                 func(t *testing.T, _ *machine) *machine { return newMachine(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.newDatabase("velo")
			h := newTenant(t, inWorld(t), controlplanetest.Namespace(t), ownerURL(m.Port(), "velo"), people)
			h.campaign("winter")
			h.sent("winter", people, people)
			backup := m.dump("velo")
			h.campaign("spring")
			h.sent("spring", people, 2*people)
			heard := h.heard()

			elsewhere := other(t, m)
			elsewhere.newDatabase("rescue")
			elsewhere.restore("rescue", backup, "--no-owner", "--no-privileges")
			h.moveTo(ownerURL(elsewhere.Port(), "rescue"))
			h.quarantined(v1alpha1.LedgerBehindReason)
			h.silent(heard)
			told := h.shown(1)
			if told.State != "quarantined" || told.Quarantine.Missing == nil || *told.Quarantine.Missing != people || told.Campaigns[0].Campaign != "spring" {
				t.Errorf("what is told: %+v", told)
			}
			told = h.quarantine("release", "--yes", "--by", "ana", "--reason", "nobody got it", "--continue", "spring")
			if told.State != "permitted" || len(told.held()) > 0 {
				t.Errorf("released: %+v", told)
			}
			h.sent("spring", people, 2*people)
			h.received(3, people)
		})
	}
}

// The rows are restored into the tables that are there: PostgreSQL's identity is the same, and the mark alone shows it.
func TestRowsRestoredIntoTheSameTables(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.newDatabase("velo")
	h := newTenant(t, inWorld(t), controlplanetest.Namespace(t), ownerURL(m.Port(), "velo"), people)
	h.campaign("winter")
	h.sent("winter", people, people)
	heard := h.heard()
	m.inDatabase(ownerURL(m.Port(), "velo"), `set search_path = tertulia; begin;
		update ledger set state = 'skipped', reason = 'Dormant', attempts = 0; update send_chunk set intents = 0; delete from send_tally where outcome = 'sent'; commit`)
	h.quarantined(v1alpha1.LedgerBehindReason)
	h.silent(heard)
	h.quarantine("release", "--yes", "--by", "ana", "--reason", "a drill")
	h.permitted()
	h.remembers(0)
}

// A cluster's database was lost, and an empty one is in its place.
func TestAnEmptyDatabaseInThePlaceOfTheTenants(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.newDatabase("velo")
	h := newTenant(t, inWorld(t), controlplanetest.Namespace(t), ownerURL(m.Port(), "velo"), people)
	h.campaign("winter")
	h.sent("winter", people, people)
	heard := h.heard()
	m.newDatabase("empty")
	h.moveTo(ownerURL(m.Port(), "empty"))
	h.quarantined(v1alpha1.LedgerBehindReason)
	h.people(people)
	h.silent(heard)
	h.shown(1)
	h.quarantine("release", "--yes", "--by", "ana", "--reason", "we begin anew")
	h.permitted()
	h.silent(heard)
}
