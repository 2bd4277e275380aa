package campaign

import (
	"errors"
	"testing"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestWhatACampaignNeeds(t *testing.T) {
	there := func(kind string) reference { return reference{kind: kind, name: "x", found: true, settled: true} }
	absent := func(kind string) reference { return reference{kind: kind, name: "x"} }
	all := facts{channel: there("MessageChannel"), templates: []reference{there("MessageTemplate")}, segments: []reference{there("Segment")}}
	with := func(change func(*facts)) facts {
		f := all
		change(&f)
		return f
	}
	in := func(state campaign.State) *store.SendStatus { return &store.SendStatus{State: state} }
	tests := map[string]struct {
		reason string
		facts  facts
		want   string // the reason of the condition; "" accepts
	}{
		"all there":                 {"it can be sent", all, ""},
		"no channel":                {"nobody could send it", with(func(f *facts) { f.channel = absent("MessageChannel") }), "MessageChannelNotFound"},
		"no template":               {"there is nothing to send", with(func(f *facts) { f.templates = []reference{absent("MessageTemplate")} }), "MessageTemplateNotFound"},
		"no segment":                {"there is nobody to send to", with(func(f *facts) { f.segments = []reference{absent("Segment")} }), "SegmentNotFound"},
		"no segment while sending":  {"the audience is frozen", with(func(f *facts) { f.segments, f.send = []reference{absent("Segment")}, in(campaign.Sending) }), ""},
		"no segment while held":     {"the audience is counted anew", with(func(f *facts) { f.segments, f.send = []reference{absent("Segment")}, in(campaign.Held) }), "SegmentNotFound"},
		"no channel while sending":  {"every message needs it", with(func(f *facts) { f.channel, f.send = absent("MessageChannel"), in(campaign.Sending) }), "MessageChannelNotFound"},
		"no channel when completed": {"nothing is sent any more", with(func(f *facts) { f.channel, f.send = absent("MessageChannel"), in(campaign.Completed) }), ""},
		"segment that is not built": {"its membership would be wrong", with(func(f *facts) { f.segments = []reference{{kind: "Segment", name: "x", found: true}} }), "DependencyNotReady"},
		"missing before unbuilt":    {"what is missing is told first", with(func(f *facts) { f.channel.settled, f.segments = false, []reference{absent("Segment")} }), "SegmentNotFound"},
		"template that is looked at": {"it has an answer in a moment", with(func(f *facts) {
			f.templates = []reference{{kind: "MessageTemplate", name: "x", found: true, underWay: true}}
		}), "interrupted"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := planReferences(tc.facts)
			var waiting *reconciling.Waiting
			var interrupted *reconciling.Interrupted
			var got string
			switch {
			case errors.As(err, &waiting):
				got = waiting.Reason
			case errors.As(err, &interrupted):
				got = "interrupted"
			}
			if got != tc.want {
				t.Errorf("got %q (%v), want %q (%s)", got, err, tc.want, tc.reason)
			}
		})
	}
}

func TestPhaseAndHealth(t *testing.T) {
	tests := map[string]struct {
		reason string
		send   store.SendStatus
		phase  v1alpha1.CampaignPhase
		health string // the reason
		good   bool
	}{
		"scheduled":             {"nothing is wrong", store.SendStatus{State: campaign.Scheduled}, v1alpha1.CampaignScheduled, v1alpha1.DeliveringReason, true},
		"paused":                {"its author said so", store.SendStatus{State: campaign.Sending, Suspended: true, Stopped: true}, v1alpha1.CampaignPaused, v1alpha1.DeliveringReason, true},
		"paused by a person":    {"it is a decision, and no trouble", store.SendStatus{State: campaign.Sending, Pause: &store.Command{Verb: campaign.Pause}, Stopped: true}, v1alpha1.CampaignPaused, v1alpha1.DeliveringReason, true},
		"aborted":               {"it is over", store.SendStatus{State: campaign.Aborted, ChannelTrouble: "x", Counts: campaign.Counts{Pending: 3}}, v1alpha1.CampaignAborted, v1alpha1.DeliveringReason, true},
		"held and suspended":    {"a person must decide all the same", store.SendStatus{State: campaign.Held, Suspended: true}, v1alpha1.CampaignHeld, v1alpha1.AttentionNeededReason, false},
		"completed, suspended":  {"nothing is left to pause", store.SendStatus{State: campaign.Completed, Suspended: true, Stopped: true}, v1alpha1.CampaignCompleted, v1alpha1.DeliveringReason, true},
		"held back":             {"a restored ledger may have forgotten whom it wrote to", store.SendStatus{State: campaign.Sending, HeldBack: true, Stopped: true}, v1alpha1.CampaignHeld, v1alpha1.AttentionNeededReason, false},
		"held back, expired":    {"it may have been sent for all that", store.SendStatus{State: campaign.Expired, HeldBack: true}, v1alpha1.CampaignExpired, v1alpha1.AttentionNeededReason, false},
		"expired":               {"nothing was sent", store.SendStatus{State: campaign.Expired}, v1alpha1.CampaignExpired, v1alpha1.AttentionNeededReason, false},
		"relay in trouble":      {"mail waits", store.SendStatus{State: campaign.Sending, ChannelTrouble: "x"}, v1alpha1.CampaignSending, v1alpha1.ChannelTroubleReason, false},
		"put off":               {"relays put off what they will take", store.SendStatus{State: campaign.Sending, PutOff: true}, v1alpha1.CampaignSending, v1alpha1.DeliveringReason, true},
		"channel suspended":     {"mail waits", store.SendStatus{State: campaign.Sending, Stopped: true}, v1alpha1.CampaignSending, v1alpha1.StoppedReason, false},
		"completed, relay down": {"it is over", store.SendStatus{State: campaign.Completed, ChannelTrouble: "x"}, v1alpha1.CampaignCompleted, v1alpha1.DeliveringReason, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := planPhase(tc.send); got != tc.phase {
				t.Errorf("phase: got %q, want %q (%s)", got, tc.phase, tc.reason)
			}
			if got := planHealth(tc.send); got.good != tc.good || got.reason != tc.health {
				t.Errorf("health: got %+v, want %s, %v (%s)", got, tc.health, tc.good, tc.reason)
			}
		})
	}
}

func TestHealthMessage(t *testing.T) {
	tests := map[string]struct {
		reason string
		send   store.SendStatus
		want   string
	}{
		"put off": {
			"the relay's code tells a greylist from a full mailbox",
			store.SendStatus{State: campaign.Sending, PutOff: true, PutOffCode: "4.7.1"},
			"The relay asks to be tried again later (4.7.1): what waits is tried again after a minute, then with growing pauses.",
		},
		"all sent": {"nothing is left to look into", store.SendStatus{State: campaign.Completed, Counts: campaign.Counts{Sent: 3}}, "Every outcome is known."},
		"refused": {
			"who reads only the message learns of them",
			store.SendStatus{State: campaign.Completed, Counts: campaign.Counts{Sent: 3, Failed: 2}},
			"Every outcome is known. The relay refused 2 for good, or put them off for too long.",
		},
		"ambiguous": {
			"what may have arrived is not known",
			store.SendStatus{State: campaign.Completed, Counts: campaign.Counts{Sent: 3, Ambiguous: 16}},
			"Every outcome is known but of 16: a worker or a connection died on them, they may have arrived, and they are not sent again.",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := planHealth(tc.send); got.message != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got.message, tc.want)
			}
		})
	}
}
