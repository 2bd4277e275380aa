package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// rule finds one thing that may stand in the way.
type rule func(f Facts, now time.Time) []Finding

// rules are in the order in which things must be mended: what is below another may look different once that is.
var rules = []rule{
	findDatabase, findLedger, findWorkers, findHeld, findDecisions, findSuspended, findChannel, findTemplates, findSegments, findSchedule,
	findWaiting, findPace, findProgress,
}

// Explain tells why a campaign is not being sent, or that it is. It gives at least one finding.
func Explain(f Facts, now time.Time) []Finding {
	if over := findEnd(f); len(over) > 0 {
		return over
	}
	var findings []Finding
	for _, r := range rules {
		findings = append(findings, r(f, now)...)
	}
	if len(findings) == 0 {
		findings = blocked("NotKnown", "Nothing that the tenant's database knows of stands in its way, and yet nothing is sent.", "Look at the workers' logs.")
	}
	return findings
}

func blocked(code, what, do string) []Finding {
	return []Finding{{Code: code, Blocks: true, What: what, Do: do}}
}

func blockedUntil(until *time.Time, code, what, do string) []Finding {
	return []Finding{{Code: code, Blocks: true, What: what, Do: do, Until: until}}
}

// findEnd answers of a campaign that is over.
func findEnd(f Facts) []Finding {
	switch f.State {
	case campaign.Aborted:
		what := "The campaign was aborted"
		if f.Abort != nil {
			what += " by " + f.Abort.By + " (" + f.Abort.Reason + ")"
		}
		if f.Counts.Pending > 0 {
			what += fmt.Sprintf("; %d messages have no outcome yet, and no other begins", f.Counts.Pending)
		}
		return []Finding{{Code: "Aborted", Blocks: true, What: what + ".", Do: "It is final. To send, write another Campaign with another sendKey."}}
	case campaign.Expired:
		return []Finding{{
			Code: "Expired", Blocks: true, What: "The starting deadline passed before the send could begin, and nothing was sent.",
			Do: "Give it another schedule to send it after all.",
		}}
	case campaign.Completed:
		if f.HeldBack || f.Counts.Pending > 0 {
			return nil
		}
		end := Finding{Code: "Completed", What: fmt.Sprintf("Everything is done: %d of %d were sent.", f.Counts.Sent, f.Counts.Planned)}
		if f.Counts.Ambiguous > 0 {
			end.What += fmt.Sprintf(" Of %d nobody knows whether they arrived; they are not sent again.", f.Counts.Ambiguous)
			end.Do = "If you would rather have them twice than not at all: tertulia campaign resend-ambiguous " + f.Campaign
		}
		return []Finding{end}
	case campaign.Scheduled, campaign.Freezing, campaign.Sending, campaign.Held:
	}
	return nil
}

func findDatabase(f Facts, _ time.Time) []Finding {
	if !f.ReadOnly {
		return nil
	}
	return blocked("DatabaseReadOnly", "The database takes no writes.",
		"See why: show default_transaction_read_only; select pg_is_in_recovery(). After a failover the address must lead to the new primary.")
}

func findLedger(f Facts, _ time.Time) []Finding {
	switch {
	case f.Quarantined:
		return blocked("Quarantined", "The tenant is quarantined: its ledger may have forgotten who was written to.",
			"Look at it: tertulia quarantine show; then release it, or bring the other database back.")
	case !f.Permitted:
		return blocked("LedgerNotPermitted", "The database is another than the one that was sent from, and the operator has not looked at it yet.",
			"Look whether the operator runs: tertulia status")
	}
	return nil
}

func findWorkers(f Facts, _ time.Time) []Finding {
	if f.Workers > 0 {
		return nil
	}
	return blocked("NoWorker", "No worker has said for minutes that it is there.",
		"Look at the tenant's workers: tertulia status; kubectl get pods -l app.kubernetes.io/name=tertulia")
}

func findHeld(f Facts, _ time.Time) []Finding {
	var found []Finding
	if f.HeldBack {
		found = append(found, blocked("HeldBack", "It was held when a quarantine was released: the restored ledger may not know everybody who was written to.",
			"Compare the numbers: tertulia quarantine show; send what is pending: tertulia quarantine resume --campaign "+f.Campaign)...)
	}
	if f.State == campaign.Held {
		what := f.Message
		if what == "" {
			what = "It is held until a person decides."
		}
		found = append(found, blocked("Held", what, "Change the Campaign in Git as the message says, or delete it.")...)
	}
	return found
}

func findDecisions(f Facts, _ time.Time) []Finding {
	if f.Pause == nil {
		return nil
	}
	what := "It was paused by " + f.Pause.By
	if f.Pause.Reason != "" {
		what += ": " + f.Pause.Reason
	}
	return blockedUntil(f.Pause.Until, "Paused", what, "Let it go on: tertulia campaign resume "+f.Campaign)
}

func findSuspended(f Facts, _ time.Time) []Finding {
	var found []Finding
	if f.DormantSince != nil {
		found = append(found, blocked("Deleted",
			"The Campaign was deleted: what is pending waits for 30 days for a Campaign with the same sendKey, and is then skipped.",
			"Apply it again to send the rest.")...)
	}
	if f.TenantSuspended {
		found = append(found, blocked("TenantSuspended", "The tenant is suspended.", "Remove spec.suspend of the CRMTenant.")...)
	}
	if f.Suspended && f.DormantSince == nil {
		found = append(found, blocked("Suspended", "It is suspended: spec.suspend says so, or the operator does not accept its newest edit.",
			"Look at it: kubectl describe campaign "+f.Campaign)...)
	}
	return found
}

func findChannel(f Facts, _ time.Time) []Finding {
	switch {
	case f.Channel.State == Missing:
		return blocked("ChannelMissing", fmt.Sprintf("MessageChannel %q is not there.", f.Channel.Name), "Apply it, or bring it back.")
	case f.Channel.State == Suspended:
		return blocked("ChannelSuspended", fmt.Sprintf("MessageChannel %q is suspended.", f.Channel.Name), "Remove its spec.suspend.")
	case f.Trouble != "":
		return blocked("ChannelTrouble", fmt.Sprintf("MessageChannel %q is in trouble: %s", f.Channel.Name, f.Trouble),
			"Look at the far end, its address, its certificate and the channel's Secret. Workers try again by themselves.")
	}
	return nil
}

func findTemplates(f Facts, _ time.Time) []Finding {
	var found []Finding
	for _, t := range f.Templates {
		found = append(found, blocked("TemplateNotReady", fmt.Sprintf("MessageTemplate %q is %s.", t.Name, t.State),
			"Look at it: kubectl describe messagetemplate "+t.Name)...)
	}
	return found
}

// findSegments speaks of what a send needs that is not frozen yet.
func findSegments(f Facts, _ time.Time) []Finding {
	if f.State.Frozen() {
		return nil
	}
	var found []Finding
	for _, s := range f.Segments {
		found = append(found, blocked("SegmentNotReady", fmt.Sprintf("Segment %q is %s.", s.Name, s.State), "Look at it: kubectl describe segment "+s.Name)...)
	}
	return found
}

func findSchedule(f Facts, now time.Time) []Finding {
	switch {
	case f.State == campaign.Scheduled && now.Before(f.StartsAt):
		return blockedUntil(&f.StartsAt, "NotDue", "Its time has not come.", "")
	case f.State == campaign.Scheduled:
		return blockedUntil(&f.Deadline, "Due", "It is due, and a worker begins it within seconds where nothing else stands in the way.", "")
	case f.State == campaign.Freezing:
		what := f.Message
		if what == "" {
			what = "Its audience is being chosen."
		}
		return []Finding{{Code: "Freezing", Blocks: true, What: what}}
	case f.EndsAt != nil && !now.Before(*f.EndsAt):
		return blocked("Ended", "schedule.endsAt has come: what is pending is skipped, and nothing more begins.", "")
	}
	return nil
}

// findWaiting tells what keeps the pieces of a frozen audience from being taken.
func findWaiting(f Facts, now time.Time) []Finding {
	if f.State != campaign.Sending {
		return nil
	}
	c := f.Chunks
	busy := c.Leased+c.Free > 0
	var found []Finding
	if c.Staged > 0 {
		found = append(found, Finding{
			Code: "AwaitsWinner", Blocks: !busy, What: "The rest of the audience waits until the best variant is chosen.",
		})
	}
	if c.Lost > 0 {
		found = append(found, Finding{
			Code: "WorkerLost", Blocks: !busy && c.Open == c.Lost,
			What: "A worker ended while it handed messages over: what became of them is waited for, and what is not known eleven minutes later is ambiguous.",
		})
	}
	if c.NextAt == nil || !c.NextAt.After(now) {
		return found
	}
	if f.Code != nil {
		code := ""
		if *f.Code != "" {
			code = " (" + *f.Code + ")"
		}
		return append(found, Finding{
			Code: "PutOff", Blocks: !busy, Until: c.NextAt,
			What: "The far end asks to be tried again later" + code + ": what waits is tried again with growing pauses.",
		})
	}
	return append(found, Finding{
		Code: "NotNow", Blocks: !busy, Until: c.NextAt,
		What: "What is left waits for its moment: the hours of schedule.hours, quiet hours of a SendPolicy on each recipient's clock, or the channel's rate.",
	})
}

func findPace(f Facts, now time.Time) []Finding {
	if f.State != campaign.Sending {
		return nil
	}
	var found []Finding
	if f.CappedUntil != nil && f.CappedUntil.After(now) {
		found = append(found, blockedUntil(f.CappedUntil, "DailyCap",
			fmt.Sprintf("As many messages have left over MessageChannel %q today as its spec.rate allows.", f.Channel.Name),
			"To send more today, raise perDay or the warm-up's step.")...)
	}
	var names []string
	var until *time.Time
	for _, r := range f.Throttled {
		names = append(names, r.Name)
		if r.Until.After(now) && (until == nil || r.Until.Before(*until)) {
			until = &r.Until
		}
	}
	switch {
	case len(names) > 0:
		found = append(found, Finding{
			Code: "ReceiversDefer", Blocks: f.Chunks.Paused > 0 && f.Chunks.Leased+f.Chunks.Free == 0,
			What: "These receivers have deferred mail, and are written to more slowly: " + strings.Join(names, ", ") + ".", Until: until,
		})
	case f.Chunks.Paused > 0:
		found = append(found, Finding{
			Code: "ReceiversDefer", Blocks: f.Chunks.Leased+f.Chunks.Free == 0,
			What: "Small receivers have deferred mail, and are left alone for some minutes.",
		})
	}
	if f.PerSecond > 0 && f.Counts.Pending > 0 {
		found = append(found, Finding{
			Code: "Rate",
			What: fmt.Sprintf("MessageChannel %q hands over at most %d messages a second, for all campaigns together (spec.rate).",
				f.Channel.Name, f.PerSecond),
		})
	}
	return found
}

// findProgress answers where nothing else does.
func findProgress(f Facts, _ time.Time) []Finding {
	c, n := f.Chunks, f.Counts
	switch {
	case f.State == campaign.Completed:
		return []Finding{{Code: "Reopened", What: fmt.Sprintf("%d messages are to be sent again: it goes on within seconds.", n.Pending)}}
	case f.State != campaign.Sending:
		return nil
	case c.Leased > 0:
		return []Finding{{Code: "Sending", What: fmt.Sprintf("Workers are sending it: %d of %d were sent, %d are pending.", n.Sent, n.Planned, n.Pending)}}
	case c.Free > 0:
		return []Finding{{
			Code:   "Queued",
			What:   fmt.Sprintf("%d of %d were sent; the rest waits for its turn on MessageChannel %q.", n.Sent, n.Planned, f.Channel.Name),
			Do:     "If it stays so while nothing above stands in the way, look at the workers' logs.",
			Blocks: true,
		}}
	case n.Pending == 0:
		return []Finding{{Code: "Ending", What: "Every outcome is known: it is completed within seconds."}}
	}
	return nil
}
