package work_test

import (
	"testing"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func (h *house) command(verb campaign.Verb) {
	h.t.Helper()
	err := h.db.CommandSend(h.t.Context(), "spring", store.Command{Verb: verb, Token: "test", By: "ana", Reason: "the price was wrong"})
	if err != nil {
		h.t.Fatal(err)
	}
}

// What is in flight when a person aborts gets its outcome, and nobody else gets anything.
func TestAnAbortedSendEnds(t *testing.T) {
	h := newHouse(t, 1200)
	hold := h.hold()
	h.campaign(nil)
	h.worker(patientOptions(h))
	h.waitArrived()
	h.command(campaign.Abort)
	hold.release()
	h.eventually("the send should end", func() bool { return h.status().FinishedAt != nil })
	s := h.status()
	received := int64(len(h.received()))
	// Two chunks with two batches each of four messages were in flight at most.
	if s.State != campaign.Aborted || s.Sent != received || s.Sent == 0 || s.Sent > 16 || s.Pending != 0 || s.Ambiguous != 0 {
		t.Errorf("%s, %d were received", counts(s), received)
	}
}

// A relay takes messages and never says so. A person decides that they are sent again, and one that had arrived arrives twice.
func TestWhatIsAmbiguousIsSentAgainWhenAPersonSaysSo(t *testing.T) {
	h := newHouse(t, 1)
	h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		return delivertest.Action{Close: e.Stage == delivertest.Dot}
	}})
	h.campaign(nil)
	h.worker(h.options())
	h.becomes("Completed planned 1 sent 0 failed 0 ambiguous 1 pending 0")
	first := h.relay
	first.Stop() // a worker may know the channel's former settings for a moment
	h.relay = delivertest.NewServer(t, delivertest.Behaviour{})
	h.channel(nil)
	if n, err := h.db.ResendAmbiguous(t.Context(), "spring", store.Command{Token: "test", By: "ana", Reason: "the relay lost them"}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	h.becomes("Completed planned 1 sent 1 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(1))
	if got := first.Recipients(); len(got) != 1 {
		t.Errorf("received the first time: %v", got)
	}
}
