package crash

import (
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crash/sink"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var answered = time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)

// clean is the evidence of a send to five people in which all is well: two have their message, one is refused, one is skipped, and of
// one nobody knows.
func clean() *evidence {
	before := answered.Add(-time.Minute)
	return &evidence{
		size: 5,
		rows: []ledgerRow{
			{person: 1, state: campaign.RowSent, intentAt: before},
			{person: 2, state: campaign.RowSent, intentAt: before},
			{person: 3, state: campaign.RowFailed, intentAt: before},
			{person: 4, state: campaign.RowSkipped},
			{person: 5, state: campaign.RowAmbiguous, intentAt: before},
		},
		entries: []sink.Entry{
			{To: addressOf(1), Person: 1, Answer: 250},
			{To: addressOf(2), Person: 2, Answer: 452},
			{To: addressOf(2), Person: 2, Answer: 250},
			{To: addressOf(3), Person: 3, Answer: 554},
			{To: addressOf(5), Person: 5},
		},
		status: store.SendStatus{
			Counts:          campaign.Counts{Planned: 5, Sent: 2, Failed: 1, Ambiguous: 1, Skipped: 1},
			SkippedByReason: []store.SkipCount{{Reason: "NoConsent", Count: 1}},
		},
		unsubscribed: map[int]time.Time{1: answered, 4: answered},
		refused:      func(person int) bool { return person == 3 },
		excused:      map[int]bool{4: true},
	}
}

func TestFindings(t *testing.T) {
	cases := map[string]struct {
		why   string
		spoil func(*evidence)
		want  string
	}{
		"AddressTwice": {
			"two people with one address",
			func(e *evidence) { e.entries[1] = sink.Entry{To: addressOf(1), Person: 2, Answer: 250} }, "addresses that got more than one message",
		},
		"PersonTwice": {
			"one person at two addresses",
			func(e *evidence) { e.entries[1] = sink.Entry{To: "m2@moved.example", Person: 2, Answer: 250} }, "people who got more than one message",
		},
		"AmbiguousTwice": {
			"the second message was acknowledged, the first one perhaps taken",
			func(e *evidence) { e.entries = append(e.entries, sink.Entry{To: addressOf(5), Person: 5, Answer: 250}) }, "people who got more than one message",
		},
		"MessageTwice": {
			"an endpoint got one message twice, by its id, in the name of two people",
			func(e *evidence) {
				e.entries[0].Message = "a.1"
				e.entries = append(e.entries, sink.Entry{To: addressOf(5), Person: 5, Message: "a.1"})
			}, "more than once by their stable id",
		},
		"SentAndNotReceived": {
			"the ledger says more than the mail server",
			func(e *evidence) { e.entries[0].Answer = 0 }, "never acknowledged",
		},
		"Forgotten": {
			"a row without an outcome",
			func(e *evidence) { e.rows[1].state = campaign.RowPending }, "people without an outcome",
		},
		"ReceivedAndFailed": {
			"a failure that was none",
			func(e *evidence) { e.rows[0].state = campaign.RowFailed }, "people who count as failed and got a message",
		},
		"FailedForNothing": {
			"nobody refused the message",
			func(e *evidence) { e.refused = func(int) bool { return false } }, "whom nobody refused",
		},
		"ReceivedAndSkipped": {
			"somebody who was left out got a message",
			func(e *evidence) { e.entries = append(e.entries, sink.Entry{To: addressOf(4), Person: 4, Answer: 250}) }, "people who count as skipped and got a message",
		},
		"MergedTwice": {
			"one who was merged with somebody who has a message gets another",
			func(e *evidence) {
				e.merged = []merging{{people: [2]int{1, 2}, answered: answered.Add(-2 * time.Minute)}}
			}, "merged people who were written to again",
		},
		"MergedForgotten": {
			"each was left out for the other",
			func(e *evidence) {
				e.merged = []merging{{people: [2]int{1, 4}}}
				e.rows[0].state, e.entries[0].Answer = campaign.RowSkipped, 554
			}, "merged people of whom both were left out",
		},
		"MergedOpen": {
			"one of both has no outcome",
			func(e *evidence) {
				e.merged = []merging{{people: [2]int{1, 4}}}
				e.rows[3].state = campaign.RowPending
			}, "merged people without an outcome",
		},
		"MergedReceivedMore": {
			"a message that no row knows",
			func(e *evidence) {
				e.merged = []merging{{people: [2]int{1, 4}}}
				e.entries = append(e.entries, sink.Entry{To: "m4@moved.example", Person: 4, Answer: 250})
			}, "merged people whose messages are not those of the ledger",
		},
		"SkippedForNothing": {
			"somebody was left out who should not have been",
			func(e *evidence) { e.excused = nil }, "skipped without a cause",
		},
		"Stranger": {
			"a message to somebody who was not meant",
			func(e *evidence) { e.entries[0].Person = 77 }, "are not in the ledger",
		},
		"RowTwice": {
			"the ledger holds somebody twice",
			func(e *evidence) { e.rows[1].person = 1 }, "people with two rows",
		},
		"Unsubscribed": {
			"the intent came after the answer",
			func(e *evidence) { e.rows[0].intentAt = answered.Add(time.Second) }, "unsubscribed before their intent",
		},
		"TooMuchUnknown": {
			"more is ambiguous than may be",
			func(e *evidence) {
				e.rows[1].state = campaign.RowAmbiguous
				e.status.Sent, e.status.Ambiguous = 1, 2
			}, "2 are ambiguous, and at most 1 may be",
		},
		"Planned": {
			"somebody of the audience has no row",
			func(e *evidence) { e.size = 6 }, "5 are planned, and the audience holds 6",
		},
		"Status": {
			"what people see is not what the rows say",
			func(e *evidence) { e.status.Sent = 3 }, "2 rows are sent, and the status says 3",
		},
		"Audit": {
			"tallies and rows differ",
			func(e *evidence) { e.audit = []string{"send 1: x"} }, "does not add up",
		},
	}
	if found := findings([]*evidence{clean()}, 1); len(found) > 0 {
		t.Fatalf("something is found where all is well: %v", found)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := clean()
			tc.spoil(e)
			if found := strings.Join(findings([]*evidence{e}, 1), "\n"); !strings.Contains(found, tc.want) {
				t.Errorf("%s: %q is not among what was found:\n%s", tc.why, tc.want, found)
			}
		})
	}
}

func TestCount(t *testing.T) {
	var r Result
	e := clean()
	e.entries = append(e.entries, sink.Entry{To: addressOf(1), Person: 1, Answer: 250})
	r.count([]*evidence{e})
	if r.Planned != 5 || r.Received != 4 || r.Duplicates != 1 || r.Sent != 2 || r.Failed != 1 || r.Ambiguous != 1 || r.Skipped != 1 || r.Pending != 0 {
		t.Errorf("unexpected: %+v", r)
	}
}

// What several occurrences leave open counts together, and what is found tells of which one it is.
func TestFindingsOfOccurrences(t *testing.T) {
	first, second := clean(), clean()
	first.name, second.name = "2027-03-21T09:00", "2027-03-22T09:00"
	second.entries[0].Answer = 0
	found := strings.Join(findings([]*evidence{first, second}, 1), "\n")
	if !strings.Contains(found, "2 are ambiguous, and at most 1 may be") || !strings.Contains(found, "occurrence 2027-03-22T09:00: people who count as sent") ||
		strings.Contains(found, "occurrence 2027-03-21T09:00") {
		t.Errorf("unexpected:\n%s", found)
	}
}
