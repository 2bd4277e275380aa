package crmtenant

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// fenceFacts are what decides whether a ledger may be sent from.
type fenceFacts struct {
	permit *store.Identity // the ledger that was permitted, as the database remembers it; nil before there was one
	here   store.Identity  // the ledger that is there
	known  *int64          // the mark that the cluster remembers; nil where it remembers none
	ledger int64           // the ledger's own mark
	// quarantined says that a quarantine is not closed; released, that a person has decided about it, for this very ledger.
	quarantined, released bool
}

func factsOfFence(f store.Fence, known *int64) fenceFacts {
	facts := fenceFacts{permit: f.Permit, here: f.Identity, known: known, ledger: f.Mark}
	if f.Quarantine != nil {
		facts.quarantined = true
		facts.released = f.Quarantine.Release != nil && f.Quarantine.Identity == f.Identity
	}
	return facts
}

// behind tells whether the cluster remembers more intents than the ledger.
func (f fenceFacts) behind() bool { return f.known != nil && f.ledger < *f.known }

// fenceDecision is what is done about a ledger.
type fenceDecision string

const (
	keepPermit     fenceDecision = "Keep"       // it is the permitted one, and knows all that the cluster knows
	adoptMark      fenceDecision = "Adopt"      // it is the permitted one, and the cluster remembers nothing: its mark counts from now on
	permitSending  fenceDecision = "Permit"     // it may be sent from, from now on
	forgetMark     fenceDecision = "Forget"     // a person has decided to go on without what is missing: the cluster's mark comes down to the ledger's
	quarantineHere fenceDecision = "Quarantine" // nothing is sent until a person decides
)

// planFence decides about a ledger. It never permits one that knows fewer intents than the cluster remembers.
//
// A new timeline of the same ledger is a failover or a recovery, and goes on by itself when the ledger has reached the mark:
// what a failover can lose is as short as the standby's lag. A restored dump can be as old as it likes, and a mark that was
// not kept up (the cluster's API server was away) proves nothing about it, so that a person decides even where the marks agree.
func planFence(f fenceFacts) fenceDecision {
	switch {
	case f.quarantined && !f.released:
		return quarantineHere
	case f.quarantined && f.behind():
		return forgetMark
	case f.quarantined:
		return permitSending
	case f.behind():
		return quarantineHere
	case f.permit == nil:
		// A new database. One that was sent from has lost its permit, and nobody knows how.
		if f.ledger == 0 {
			return permitSending
		}
		return quarantineHere
	case *f.permit == f.here && f.known == nil:
		return adoptMark
	case *f.permit == f.here:
		return keepPermit
	case f.known != nil && f.permit.SameLedger(f.here) && f.here.Timeline > f.permit.Timeline:
		return permitSending
	}
	return quarantineHere
}

// fenceReason is why a ledger is quarantined.
func fenceReason(f fenceFacts) string {
	if f.behind() {
		return v1alpha1.LedgerBehindReason
	}
	return v1alpha1.OtherLedgerReason
}

// fenceDifferences says in words and numbers what is not as it was.
func fenceDifferences(f fenceFacts) string {
	var words []string
	switch {
	case f.permit == nil && f.ledger > 0:
		words = append(words, "The database holds no permit, though its ledger was sent from.")
	case f.permit == nil:
		words = append(words, "The database is empty.")
	case f.permit.SystemIdentifier != f.here.SystemIdentifier:
		words = append(words, fmt.Sprintf("The database is on another PostgreSQL cluster: system identifier %d, and %d is permitted.",
			f.here.SystemIdentifier, f.permit.SystemIdentifier))
	case f.permit.DatabaseOID != f.here.DatabaseOID:
		words = append(words, fmt.Sprintf("It is another database of the same cluster: OID %d, and %d is permitted.", f.here.DatabaseOID, f.permit.DatabaseOID))
	case f.permit.LedgerOID != f.here.LedgerOID:
		words = append(words, fmt.Sprintf("The ledger's table was made anew in the same database: OID %d, and %d is permitted.",
			f.here.LedgerOID, f.permit.LedgerOID))
	case f.permit.Timeline != f.here.Timeline:
		words = append(words, fmt.Sprintf("The server has failed over or was recovered to an earlier moment: timeline %d, and %d is permitted.",
			f.here.Timeline, f.permit.Timeline))
	}
	switch {
	case f.known == nil:
		words = append(words, fmt.Sprintf("The ledger holds %d intents, and the cluster remembers no number to compare that with.", f.ledger))
	case f.behind():
		words = append(words, fmt.Sprintf("The ledger holds %d intents, and the cluster remembers %d.", f.ledger, *f.known))
	default:
		words = append(words, fmt.Sprintf("The ledger holds %d intents, as many as the cluster remembers (%d) or more.", f.ledger, *f.known))
	}
	return strings.Join(words, " ")
}

// failoverSafety is what the condition FailoverSafe says.
type failoverSafety struct {
	status          metav1.ConditionStatus
	reason, message string
}

// planFailover tells whether a failover can lose what the ledger knows.
func planFailover(r store.Replication) failoverSafety {
	switch {
	case r.Standbys == 0:
		return failoverSafety{
			metav1.ConditionTrue, v1alpha1.NoStandbyReason,
			"No standby follows the database's server, so that there is none to fail over to that lags behind.",
		}
	case !r.Awaited:
		return failoverSafety{
			metav1.ConditionFalse, v1alpha1.AsynchronousStandbysReason,
			"Standbys follow asynchronously: a failover may lose the last messages of the ledger, and they may be sent again. Set synchronous_standby_names.",
		}
	case r.Hidden:
		return failoverSafety{
			metav1.ConditionUnknown, v1alpha1.StandbysHiddenReason,
			"Commits wait for synchronous standbys, and whether all of them are synchronous cannot be seen: grant pg_monitor to the database's owner.",
		}
	case r.Asynchronous > 0:
		return failoverSafety{
			metav1.ConditionFalse, v1alpha1.AsynchronousStandbysReason,
			"Some standbys are synchronous and some are not: a failover to one that is not may lose the last messages of the ledger, " +
				"and they may be sent again.",
		}
	}
	return failoverSafety{metav1.ConditionTrue, v1alpha1.SynchronousStandbysReason, "Commits wait for every standby that can be failed over to."}
}
