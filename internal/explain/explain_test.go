package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/explain"
)

var now = time.Date(2027, 3, 21, 12, 0, 0, 0, time.UTC)

// sending is a send that workers are sending.
func sending(change func(*explain.Facts)) explain.Facts {
	f := explain.Facts{
		Campaign: "spring", SendKey: "spring-2027", State: campaign.Sending, StartsAt: now.Add(-time.Hour), Deadline: now.Add(time.Hour),
		Permitted: true, Workers: 1, Channel: explain.Part{Name: "newsletter", State: explain.InForce},
		Counts: campaign.Counts{Planned: 10, Sent: 4, Pending: 6}, Chunks: explain.Chunks{Open: 2, Leased: 1, Free: 1},
	}
	if change != nil {
		change(&f)
	}
	return f
}

func TestWhyItIsNotSending(t *testing.T) {
	later := now.Add(time.Hour)
	empty, code := "", "4.7.1"
	idle := explain.Chunks{Open: 2, NextAt: &later}
	for name, tc := range map[string]struct {
		facts explain.Facts
		want  []string // codes, with ! where it blocks
		words string   // in the first finding
	}{
		"it is": {sending(nil), []string{"Sending"}, "4 of 10"},
		"everything at once, what must be mended first at the top": {
			sending(func(f *explain.Facts) {
				f.ReadOnly, f.Quarantined, f.Workers, f.HeldBack, f.TenantSuspended, f.Suspended, f.Trouble = true, true, 0, true, true, true, "no answer"
				f.Pause = &explain.Command{By: "ana", Reason: "wrong price"}
				f.Templates = []explain.Part{{Name: "spring", State: explain.Missing}}
				f.CappedUntil, f.Chunks = &later, idle
			}),
			[]string{"DatabaseReadOnly!", "Quarantined!", "NoWorker!", "HeldBack!", "Paused!", "TenantSuspended!", "Suspended!", "ChannelTrouble!", "TemplateNotReady!", "NotNow!", "DailyCap!"},
			"no writes",
		},
		"paused until":           {sending(func(f *explain.Facts) { f.Pause = &explain.Command{By: "ana", Reason: "wrong price", Until: &later} }), []string{"Paused!", "Sending"}, "by ana: wrong price"},
		"not the right database": {sending(func(f *explain.Facts) { f.Permitted = false }), []string{"LedgerNotPermitted!", "Sending"}, "operator"},
		"not due":                {sending(func(f *explain.Facts) { f.State, f.StartsAt = campaign.Scheduled, later }), []string{"NotDue!"}, "time"},
		"due":                    {sending(func(f *explain.Facts) { f.State = campaign.Scheduled }), []string{"Due!"}, "due"},
		"freezing": {
			sending(func(f *explain.Facts) {
				f.State, f.Segments = campaign.Freezing, []explain.Part{{Name: "buyers", State: explain.Unbuilt}}
			}), []string{"SegmentNotReady!", "Freezing!"}, "not built yet",
		},
		"a segment of what is frozen": {sending(func(f *explain.Facts) { f.Segments = []explain.Part{{Name: "buyers", State: explain.Missing}} }), []string{"Sending"}, ""},
		"held":                        {sending(func(f *explain.Facts) { f.State, f.Message = campaign.Held, "The audience holds 9." }), []string{"Held!"}, "The audience holds 9."},
		"deleted":                     {sending(func(f *explain.Facts) { f.DormantSince, f.Suspended = &now, true }), []string{"Deleted!", "Sending"}, "30 days"},
		"expired":                     {sending(func(f *explain.Facts) { f.State, f.Workers = campaign.Expired, 0 }), []string{"Expired!"}, "deadline"},
		"aborted": {
			sending(func(f *explain.Facts) {
				f.State, f.Abort = campaign.Aborted, &explain.Command{By: "ana", Reason: "wrong price"}
			}), []string{"Aborted!"}, "by ana (wrong price); 6 messages",
		},
		"completed": {sending(func(f *explain.Facts) { f.State, f.Counts = campaign.Completed, campaign.Counts{Planned: 4, Sent: 4} }), []string{"Completed"}, "4 of 4"},
		"with ambiguous": {sending(func(f *explain.Facts) {
			f.State, f.Counts = campaign.Completed, campaign.Counts{Planned: 4, Sent: 3, Ambiguous: 1}
		}), []string{"Completed"}, "Of 1 nobody knows"},
		"sent again":        {sending(func(f *explain.Facts) { f.State = campaign.Completed }), []string{"Reopened"}, "again"},
		"ended":             {sending(func(f *explain.Facts) { f.EndsAt = &now }), []string{"Ended!", "Sending"}, "endsAt"},
		"its hours":         {sending(func(f *explain.Facts) { f.Chunks = idle }), []string{"NotNow!"}, "quiet hours"},
		"its hours, partly": {sending(func(f *explain.Facts) { f.Chunks.NextAt = &later }), []string{"NotNow", "Sending"}, "quiet hours"},
		"put off":           {sending(func(f *explain.Facts) { f.Chunks, f.Code = idle, &code }), []string{"PutOff!"}, "(4.7.1)"},
		"put off, wordless": {sending(func(f *explain.Facts) { f.Chunks, f.Code = idle, &empty }), []string{"PutOff!"}, "later:"},
		"a worker died":     {sending(func(f *explain.Facts) { f.Chunks = explain.Chunks{Open: 1, Lost: 1} }), []string{"WorkerLost!"}, "eleven minutes"},
		"a worker of two":   {sending(func(f *explain.Facts) { f.Chunks = explain.Chunks{Open: 2, Lost: 1, Leased: 1} }), []string{"WorkerLost", "Sending"}, ""},
		"a test":            {sending(func(f *explain.Facts) { f.Chunks = explain.Chunks{Open: 2, Staged: 2} }), []string{"AwaitsWinner!"}, "variant"},
		"a large receiver": {
			sending(func(f *explain.Facts) {
				f.Throttled, f.Chunks = []explain.Receiver{{Name: "mail.example", Until: later}}, explain.Chunks{Open: 2, Paused: 2}
			}), []string{"ReceiversDefer!"}, "mail.example",
		},
		"small receivers":    {sending(func(f *explain.Facts) { f.Chunks.Paused = 1 }), []string{"ReceiversDefer", "Sending"}, "Small"},
		"the bound of a day": {sending(func(f *explain.Facts) { f.CappedUntil = &later }), []string{"DailyCap!", "Sending"}, "rate"},
		"a rate":             {sending(func(f *explain.Facts) { f.PerSecond = 200 }), []string{"Rate", "Sending"}, "200 messages a second"},
		"of yesterday":       {sending(func(f *explain.Facts) { f.CappedUntil = &now }), []string{"Sending"}, ""},
		"no turn yet":        {sending(func(f *explain.Facts) { f.Chunks.Leased = 0 }), []string{"Queued!"}, "turn"},
		"at its end":         {sending(func(f *explain.Facts) { f.Chunks, f.Counts.Pending = explain.Chunks{}, 0 }), []string{"Ending"}, "seconds"},
		"nobody knows":       {sending(func(f *explain.Facts) { f.Chunks = explain.Chunks{} }), []string{"NotKnown!"}, "nothing is sent"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			findings := explain.Explain(tc.facts, now)
			for _, f := range findings {
				code := f.Code
				if f.Blocks {
					code += "!"
				}
				got = append(got, code)
				if f.What == "" || f.Until != nil && !f.Until.Equal(later) && f.Code != "Due" {
					t.Errorf("%+v", f)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(findings) > 0 && !strings.Contains(findings[0].What, tc.words) {
				t.Errorf("%q does not say %q", findings[0].What, tc.words)
			}
		})
	}
}
