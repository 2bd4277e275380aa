package work_test

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
)

// While two workers send, some recipients are refused, some put off and some leave: at every look the counts agree with the rows,
// and everybody is in one of them.
func TestTheSumHoldsAtEveryMoment(t *testing.T) {
	const n = 400
	h := newHouse(t, n)
	var looks atomic.Int32 // in the middle of the send; the last recipient is put off until there were enough
	h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		name, _, _ := strings.Cut(strings.TrimPrefix(e.To, "c"), "@")
		switch id, _ := strconv.Atoi(name); {
		case e.Stage == delivertest.Rcpt && id%25 == 3:
			return delivertest.Action{Reply: "550 5.1.1 no such user"}
		case e.Stage == delivertest.Dot && id%25 == 7 && e.Message%2 == 0:
			return delivertest.Action{Reply: "452 4.2.2 no room now"}
		case e.Stage == delivertest.Rcpt && id == n && looks.Load() < 3:
			return delivertest.Action{Reply: "450 4.2.1 come back later"}
		}
		return delivertest.Action{}
	}})
	h.campaign(nil)
	h.worker(h.options())
	h.worker(h.options())
	left := false
	for done := false; !done; {
		s := h.status()
		done = s.State == campaign.Completed
		if s.Planned > 0 && s.Planned != s.Sent+s.Failed+s.Ambiguous+s.Skipped+s.Pending {
			t.Fatalf("it does not add up: %s", counts(s))
		}
		if s.Sent > 0 && s.Pending > 0 {
			looks.Add(1)
		}
		if s.Sent > n/3 && !left {
			left = true
			h.exec("update consent set granted = false where contact_id % 25 = 11")
		}
		findings, err := h.db.AuditLedger(context.Background())
		if err != nil || len(findings) > 0 {
			t.Fatalf("%v, %v", findings, err)
		}
	}
	if s := h.status(); looks.Load() < 3 || s.Failed != n/25 || s.Planned != n || s.Pending != 0 {
		t.Errorf("after %d looks: %s", looks.Load(), counts(s))
	}
}
