package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestARestoredLedgerHoldsTheOccurrenceThatDiffers has a campaign that recurs in a ledger of which the cluster knows more: what is held
// is the occurrence that was lost in part, and not those before it nor those to come.
func TestARestoredLedgerHoldsTheOccurrenceThatDiffers(t *testing.T) {
	const first, second = "2027-03-21T09:00", "2027-03-22T09:00"
	known := func(occurrence, phase string, sent int64) store.KnownCampaign {
		k := store.KnownCampaign{Campaign: "spring", SendKey: "spring-2027", Occurrence: occurrence, Phase: phase}
		if sent > 0 {
			k.Planned, k.Sent = 2, sent
		}
		return k
	}
	goesOn := known("", "Scheduled", 0)
	for name, tc := range map[string]struct {
		reason string
		change string // of the ledger
		known  []store.KnownCampaign
		want   []string
	}{
		"nothing is missing": {reason: "both agree", known: []store.KnownCampaign{goesOn, known(second, "Completed", 2)}},
		"the last one is behind": {
			reason: "what was sent of it is not known", change: "update send_tally set n = case outcome when 'sent' then 1 else n end where send_id = (select max(id) from send)",
			known: []store.KnownCampaign{goesOn, known(second, "Completed", 2)}, want: []string{second},
		},
		"the last one is forgotten": {
			reason: "it must not be made anew", known: []store.KnownCampaign{goesOn, known("2027-03-23T09:00", "Sending", 1)}, want: []string{"2027-03-23T09:00"},
		},
		"the first one is what the cluster knows": {
			reason: "a ledger that has gone further lacks nothing", known: []store.KnownCampaign{goesOn, known(first, "Completed", 2)},
		},
		"its time has come again": {
			reason: "an occurrence that nobody remembers may begin at once",
			change: "update send set starts_at = now() - interval '2 days', deadline = now() - interval '1 day' where cron is not null",
			known:  []store.KnownCampaign{goesOn, known(second, "Completed", 2)}, want: []string{""},
		},
		"it was ended": {
			reason: "it must make no more", known: []store.KnownCampaign{known("", "Aborted", 0), known(second, "Completed", 2)}, want: []string{""},
		},
		"as quarantines were written before": {
			reason: "one that names no occurrence is about the campaign", known: []store.KnownCampaign{known("", "Scheduled", 2)}, want: []string{""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 2).permitted()
			s.daily(nil, nine.Add(-time.Hour))
			for i, day := range []time.Time{nine, nine.Add(24 * time.Hour)} {
				s.advance(day)
				if i == 0 {
					s.freeze()
				} else {
					s.move(campaign.Freezing)
					if _, err := s.FreezeSend(t.Context(), s.open(), day); err != nil {
						t.Fatal(err)
					}
				}
				l := s.lease(s.open().ID, "w1")
				s.finish(l, settle(campaign.RowSent, s.commit(l, 2).Attempts()...)...)
				s.move(campaign.Completed)
			}
			if tc.change != "" {
				s.exec(tc.change)
				s.t.Cleanup(func() { s.exec("update send_tally set n = 2 where outcome = 'sent'") }) // before the ledger is audited
			}
			sends, err := s.CompareSends(context.Background(), tc.known)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range store.PlanHolds(sends, store.Release{}) {
				got = append(got, h.Occurrence)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: held: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
