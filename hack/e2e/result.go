package main

import (
	"errors"
	"fmt"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// Verdicts.
const (
	held   = "held"
	broken = "broken"
)

// result is what a drill showed. Its numbers are messages: those of the ledger, Received the mailbox's.
type result struct {
	Drill      string  `json:"drill"`
	Done       string  `json:"done"`
	Disturbed  string  `json:"disturbed,omitempty"` // from which message to which
	Planned    int64   `json:"planned"`
	Received   int64   `json:"received"`
	Sent       int64   `json:"sent"`
	Failed     int64   `json:"failed"`
	Ambiguous  int64   `json:"ambiguous"`
	Skipped    int64   `json:"skipped"`
	Pending    int64   `json:"pending"`
	Duplicates int64   `json:"duplicates"`
	Verdict    string  `json:"verdict"`
	Trouble    string  `json:"trouble,omitempty"`
	Seconds    float64 `json:"seconds"`

	object  string // the campaign's name, where it is not the drill's
	mayLose int64
}

// campaign is the name of the drill's campaign.
func (r *result) campaign() string {
	if r.object != "" {
		return r.object
	}
	return r.Drill
}

// compare says what does not agree between the ledger's numbers and the mailbox. want are the addresses that the campaign is
// for; nil where the ledger alone knows. Messages without a known outcome (ambiguous or still an intent) may have arrived or
// not, and may be mayLose at most.
func (r *result) compare(found mail, want map[string]bool, mayLose int64) error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	unknown := r.Ambiguous + r.Pending
	if sum := r.Sent + r.Failed + r.Ambiguous + r.Skipped + r.Pending; sum != r.Planned {
		complain("the sums do not agree: %d planned, %d accounted for", r.Planned, sum)
	}
	if r.Planned == 0 {
		complain("nothing was planned")
	}
	if r.Failed > 0 {
		complain("%d failed, and the mailbox refuses nobody", r.Failed)
	}
	if unknown > mayLose {
		complain("%d have no known outcome, %d may", unknown, mayLose)
	}
	if n := found.duplicates(); n > 0 {
		complain("%d mails went to somebody who had theirs already", n)
	}
	if found.mails < r.Sent || found.mails > r.Sent+unknown {
		complain("%d count as sent and %d have no known outcome, and %d mails came", r.Sent, unknown, found.mails)
	}
	if want != nil {
		errs = append(errs, r.comparePeople(found, want))
	}
	return errors.Join(errs...)
}

// comparePeople says who was forgotten and who should not have been written to, in numbers.
func (r *result) comparePeople(found mail, want map[string]bool) error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if reachable := r.Planned - r.Skipped; reachable != int64(len(want)) {
		complain("%d were to be written to, and it should be %d", reachable, len(want))
	}
	var forgotten, strangers int64
	for address := range want {
		if found.addresses[address] == 0 {
			forgotten++
		}
	}
	for address := range found.addresses {
		if !want[address] {
			strangers++
		}
	}
	if unknown := r.Ambiguous + r.Pending; forgotten > unknown {
		complain("%d people got nothing, and only %d messages have no known outcome", forgotten, unknown)
	}
	if strangers > 0 {
		complain("%d mails went to people who were not meant", strangers)
	}
	return errors.Join(errs...)
}

// differs says where a campaign's status is not (yet) what the ledger says; "" when it is.
func (r *result) differs(status v1alpha1.CampaignStatus) string {
	for _, n := range []struct {
		what   string
		ledger int64
		status *int64
	}{
		{"planned", r.Planned, status.Planned},
		{"sent", r.Sent, status.Sent},
		{"failed", r.Failed, status.Failed},
		{"ambiguous", r.Ambiguous, status.Ambiguous},
		{"skipped", r.Skipped, status.Skipped},
		{"pending", r.Pending, status.Pending},
	} {
		said := int64(0)
		if n.status != nil {
			said = *n.status
		}
		if said != n.ledger {
			return fmt.Sprintf("the ledger has %d %s, the status %d", n.ledger, n.what, said)
		}
	}
	if r.Pending == 0 && status.Phase != v1alpha1.CampaignCompleted {
		return fmt.Sprintf("nothing is pending, and its phase is %s", status.Phase)
	}
	return ""
}
