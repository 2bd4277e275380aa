package main

import (
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// A report that cannot find fault would hold whatever happens, so each fault is tried.
func TestCompare(t *testing.T) {
	want := map[string]bool{"a@example.org": true, "b@example.org": true, "c@example.org": true}
	mails := func(to ...string) mail {
		m := mail{addresses: map[string]int{}}
		for _, address := range to {
			m.mails++
			m.addresses[address+"@example.org"]++
		}
		return m
	}
	for name, tc := range map[string]struct {
		result  result
		found   mail
		mayLose int64
		fault   string // "" holds
	}{
		"everything sent":                   {result{Planned: 4, Sent: 3, Skipped: 1}, mails("a", "b", "c"), 0, ""},
		"one unknown that came":             {result{Planned: 3, Sent: 2, Ambiguous: 1}, mails("a", "b", "c"), 1, ""},
		"one unknown that did not come":     {result{Planned: 3, Sent: 2, Pending: 1}, mails("a", "b"), 1, ""},
		"more unknown than may be":          {result{Planned: 3, Sent: 1, Ambiguous: 2}, mails("a"), 1, "2 have no known outcome, 1 may"},
		"a sum that is short":               {result{Planned: 4, Sent: 3}, mails("a", "b", "c"), 0, "4 planned, 3 accounted for"},
		"nothing planned":                   {result{}, mails(), 0, "nothing was planned"},
		"refused by a mailbox that refuses": {result{Planned: 3, Sent: 2, Failed: 1}, mails("a", "b"), 0, "1 failed"},
		"somebody twice":                    {result{Planned: 3, Sent: 3}, mails("a", "b", "b"), 0, "1 mails went to somebody who had theirs"},
		"sent, and it did not come":         {result{Planned: 3, Sent: 3}, mails("a", "b"), 0, "3 count as sent and 0 have no known outcome, and 2 mails came"},
		"came, and nobody counted it":       {result{Planned: 3, Sent: 2, Skipped: 1}, mails("a", "b", "c"), 0, "and 3 mails came"},
		"somebody forgotten by the plan":    {result{Planned: 3, Sent: 2, Skipped: 1}, mails("a", "b"), 0, "2 were to be written to, and it should be 3"},
		"a stranger":                        {result{Planned: 3, Sent: 3}, mails("a", "b", "x"), 0, "1 mails went to people who were not meant"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.result.compare(tc.found, want, tc.mayLose)
			if tc.fault == "" && err != nil || tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)) {
				t.Errorf("got %v, want %q", err, tc.fault)
			}
		})
	}
}

func TestDiffers(t *testing.T) {
	status := func(phase v1alpha1.CampaignPhase, planned, sent int64) v1alpha1.CampaignStatus {
		return v1alpha1.CampaignStatus{Phase: phase, Planned: &planned, Sent: &sent}
	}
	done := result{Planned: 3, Sent: 3}
	for name, tc := range map[string]struct {
		status v1alpha1.CampaignStatus
		want   string
	}{
		"the same":          {status(v1alpha1.CampaignCompleted, 3, 3), ""},
		"another number":    {status(v1alpha1.CampaignCompleted, 3, 2), "the ledger has 3 sent, the status 2"},
		"no number yet":     {v1alpha1.CampaignStatus{}, "the ledger has 3 planned, the status 0"},
		"a phase to follow": {status(v1alpha1.CampaignSending, 3, 3), "nothing is pending, and its phase is Sending"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := done.differs(tc.status); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	r := newReport([]*result{{Drill: "one", Verdict: held, Planned: 7}, {Drill: "two", Verdict: broken, Trouble: "it broke"}}, 0)
	if err := r.failure(); err == nil || err.Error() != "1 of 2 drills did not hold: two" {
		t.Errorf("got %v", err)
	}
	if text := r.table(); !strings.Contains(text, "two: it broke") {
		t.Errorf("the table does not say why:\n%s", text)
	}
	if text := r.markdown(); !strings.Contains(text, "| one |  |  | 7 | 0 |") {
		t.Errorf("the document lacks a row:\n%s", text)
	}
	if err := newReport([]*result{{Drill: "one", Verdict: held}}, 0).failure(); err != nil {
		t.Error(err)
	}
}

func TestChoose(t *testing.T) {
	all := []drill{{name: "a"}, {name: "b"}, {name: "c"}}
	chosen, err := choose(all, []string{"c", "a"})
	if err != nil || len(chosen) != 2 || chosen[0].name != "a" || chosen[1].name != "c" {
		t.Errorf("got %v, %v: they keep their order", chosen, err)
	}
	if _, err := choose(all, []string{"d"}); err == nil {
		t.Error("an unknown name was accepted")
	}
	if chosen, err := choose(all, nil); err != nil || len(chosen) != 3 {
		t.Errorf("got %v, %v", chosen, err)
	}
}
