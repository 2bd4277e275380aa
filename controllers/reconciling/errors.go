// Package reconciling is what every controller does around its own work: it takes a snapshot, turns the way in which
// the work ended into conditions that kstatus can read, writes the status once at the end, and only when it differs.
package reconciling

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Work that does not succeed ends with one of four kinds of error:
//
//	*Stalled      only an edit of this object mends it; nobody tries again
//	*Waiting      something else must come first; a watch brings the object back
//	*Interrupted  nothing was learned about this object (its database is away): what was known stays
//	any other     tried again with back-off

// Stalled says that only an edit of the object mends it.
type Stalled struct {
	Reason  string // of the conditions
	Message string // for the author: what is wrong and how to mend it
	// After is when to look again at what a person may have mended without an edit; 0 is never.
	After time.Duration
}

// Error implements error.
func (e *Stalled) Error() string { return e.Reason + ": " + e.Message }

// Stall makes a *Stalled.
func Stall(reason, format string, arguments ...any) error {
	return &Stalled{Reason: reason, Message: fmt.Sprintf(format, arguments...)}
}

// Waiting says that something else must come first. It heals by itself.
type Waiting struct {
	Reason  string
	Message string
	// Progressing is true where what is waited for is work on this very object, such as a segment's first membership.
	Progressing bool
	// After is when to look again where no watch tells; 0 is never.
	After time.Duration
}

// Error implements error.
func (e *Waiting) Error() string { return e.Reason + ": " + e.Message }

// Wait makes a *Waiting.
func Wait(reason, format string, arguments ...any) error {
	return &Waiting{Reason: reason, Message: fmt.Sprintf(format, arguments...)}
}

// UnknownToOperator waits for an operator that knows the value of a field: the kinds are of a later version than this one, and
// what it does not understand it must not put in force.
func UnknownToOperator(field, value string) error {
	return Wait(v1alpha1.UnknownToOperatorReason,
		"%s %q is of a later version than the operator, which does not know it: upgrade the operator.", field, value)
}

// IsVerdict tells whether an error is an answer about the object itself, and no accident on the way to one.
func IsVerdict(err error) bool {
	var stalled *Stalled
	var waiting *Waiting
	return errors.As(err, &stalled) || errors.As(err, &waiting)
}

// Interrupted says that nothing could be learned about the object. An object that was in force stays so: its rows are.
type Interrupted struct {
	Reason  string
	Message string
	// Err is what went wrong, where trying again may help; nil where a wake-up is sure to come.
	Err error
	// Silent leaves the status of a new object alone too: the wake-up is a moment away.
	Silent bool
}

// Error implements error.
func (e *Interrupted) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Reason + ": " + e.Message
}

// Unwrap gives what went wrong.
func (e *Interrupted) Unwrap() error { return e.Err }

// Failed says that work failed, will be tried again, and what its author is to be told meanwhile.
type Failed struct {
	Reason  string
	Message string
	Err     error
}

// Error implements error.
func (e *Failed) Error() string {
	return strings.TrimSuffix(e.Message, ".") + ": " + store.Brief(e.Err).Error()
}

// Unwrap gives what went wrong.
func (e *Failed) Unwrap() error { return e.Err }

// DatabaseTrouble is what an author is told of an error that store.IsUnavailable: why the tenant's database does not do what
// any statement asks.
func DatabaseTrouble(err error) (reason, message string) {
	switch store.Trouble(err) {
	case store.ReadOnly:
		return v1alpha1.DatabaseReadOnlyReason, "The tenant's database takes no writes: it is a standby, or was set to read only. The operator keeps trying."
	case store.DiskFull:
		return v1alpha1.DatabaseDiskFullReason, "The disk of the tenant's database is full. The operator keeps trying."
	case store.TooManyConnections:
		return v1alpha1.DatabaseDownReason, "The server of the tenant's database has no connection left. The operator keeps trying."
	}
	return v1alpha1.DatabaseDownReason, "The tenant's database cannot be reached. The operator keeps trying."
}

// classify turns errors whose meaning is known wherever they come from into one of the kinds above.
func classify(err error) error {
	switch {
	case err == nil || isKind(err):
		return err
	case errors.Is(err, context.Canceled), apierrors.IsConflict(err):
		// The operator stops, or somebody else wrote the object first and its event is on the way.
		return &Interrupted{Reason: v1alpha1.ProgressingReason, Message: "The operator tries again.", Err: err, Silent: true}
	case store.IsUnavailable(err):
		reason, message := DatabaseTrouble(err)
		return &Interrupted{Reason: reason, Message: message, Err: store.Brief(err)}
	}
	// The error itself may repeat what a row holds: it goes to the log, not to the object.
	return &Failed{Reason: v1alpha1.ReconcileFailedReason, Message: "Something went wrong. The operator tries again, and its log tells more.", Err: err}
}

func isKind(err error) bool {
	var stalled *Stalled
	var waiting *Waiting
	var interrupted *Interrupted
	var failed *Failed
	return errors.As(err, &stalled) || errors.As(err, &waiting) || errors.As(err, &interrupted) || errors.As(err, &failed)
}
