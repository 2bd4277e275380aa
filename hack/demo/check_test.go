package main

import (
	"testing"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		sent    int64
		mailbox tally
		ok      bool
	}{
		"one mail for each message":       {sent: 9, mailbox: tally{Count: 9, MessageIDs: 9}, ok: true},
		"a mail that nobody counted":      {sent: 9, mailbox: tally{Count: 10, MessageIDs: 10}},
		"a message that never arrived":    {sent: 9, mailbox: tally{Count: 8, MessageIDs: 8}},
		"the same message twice":          {sent: 9, mailbox: tally{Count: 10, MessageIDs: 9}},
		"one twice in place of a missing": {sent: 9, mailbox: tally{Count: 9, MessageIDs: 8}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := compare(c.sent, c.mailbox); (err == nil) != c.ok {
				t.Errorf("compare(%d, %+v): %v", c.sent, c.mailbox, err)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	campaign := func(sent, pending, failed, ambiguous int64) v1alpha1.Campaign {
		return v1alpha1.Campaign{Status: v1alpha1.CampaignStatus{Sent: &sent, Pending: &pending, Failed: &failed, Ambiguous: &ambiguous}}
	}
	for name, c := range map[string]struct {
		campaigns []v1alpha1.Campaign
		sent      int64
		ok        bool
	}{
		"two that are done":  {campaigns: []v1alpha1.Campaign{campaign(4, 0, 0, 0), campaign(5, 0, 0, 0)}, sent: 9, ok: true},
		"one without counts": {campaigns: []v1alpha1.Campaign{campaign(4, 0, 0, 0), {}}, sent: 4, ok: true},
		"pending":            {campaigns: []v1alpha1.Campaign{campaign(4, 1, 0, 0)}},
		"failed":             {campaigns: []v1alpha1.Campaign{campaign(4, 0, 1, 0)}},
		"ambiguous":          {campaigns: []v1alpha1.Campaign{campaign(4, 0, 0, 1)}},
		"nothing sent":       {campaigns: []v1alpha1.Campaign{campaign(0, 0, 0, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			sent, err := settled(c.campaigns)
			if (err == nil) != c.ok || sent != c.sent {
				t.Errorf("settled: %d, %v; want %d, ok %v", sent, err, c.sent, c.ok)
			}
		})
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 60_000: "60,000", 1_002_003: "1,002,003"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}
