package campaign

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// counts: a status is written at most every five seconds because counts moved. While a campaign is sending they always do.
var counts = reconciling.Counts{Every: 5 * time.Second, Strip: withoutCounts}

// withoutCounts removes the counts.
func withoutCounts(o v1alpha1.Object) {
	s := &o.(*v1alpha1.Campaign).Status
	s.Sent, s.Failed, s.Ambiguous, s.Skipped, s.Pending, s.SkippedByReason, s.Progress = nil, nil, nil, nil, nil, nil, ""
	s.CampaignEngagement = v1alpha1.CampaignEngagement{}
}

// reportQuarantine leaves the numbers as they are: what the database holds may be a restored backup, and they are what is
// left of what it has forgotten.
func reportQuarantine(pass *reconciling.Pass, object *v1alpha1.Campaign, declared declaration) {
	object.Status.Where, object.Status.What = declared.where, planWhat(object.Spec)
	pass.InForce(planMessage(object.Status, declared.ignored))
	pass.Healthy(false, v1alpha1.QuarantinedReason,
		"The tenant is quarantined, and nothing is sent: its CRMTenant says why. The numbers are those from before.")
}

// report writes how a campaign's send goes. It does so also when its newest declaration was refused.
func report(pass *reconciling.Pass, object *v1alpha1.Campaign, declared declaration, send *store.SendStatus) {
	before := object.Status.Phase
	object.Status = v1alpha1.CampaignStatus{Status: object.Status.Status, Where: declared.where, What: planWhat(object.Spec)}
	if !declared.startsAt.IsZero() {
		object.Status.ScheduledFor = seconds(&declared.startsAt)
	}
	if send == nil {
		pass.WithoutCondition(v1alpha1.HealthyCondition)
		return
	}
	object.Status.Phase = planPhase(*send)
	planSchedule(&object.Status, *send)
	object.Status.Winner = planWinner(send.Decision)
	object.Status.FinishedAt = seconds(send.FinishedAt)
	object.Status.Command = planCommand(*send)
	object.Status.Posts = planPosts(*send)
	if send.FrozenAt != nil {
		count(&object.Status, *send)
	}
	health := planHealth(*send)
	pass.Healthy(health.good, health.reason, health.message)
	pass.InForce(planMessage(object.Status, declared.ignored))
	if before != object.Status.Phase {
		tellPhase(pass, object, health)
	}
}

func count(status *v1alpha1.CampaignStatus, send store.SendStatus) {
	status.Planned, status.Sent, status.Failed = &send.Planned, &send.Sent, &send.Failed
	status.Ambiguous, status.Skipped, status.Pending = &send.Ambiguous, &send.Skipped, &send.Pending
	for _, skipped := range send.SkippedByReason {
		status.SkippedByReason = append(status.SkippedByReason, v1alpha1.SkipCount{Reason: string(skipped.Reason), Count: skipped.Count})
	}
	status.CampaignEngagement = planEngagement(send)
	status.CampaignReturns = planReturns(send.Returned)
	status.Progress = fmt.Sprintf("%d/%d", send.Sent, send.Planned)
}

// seconds is a time as the API keeps it: a finer one would differ from itself when it is read again.
func seconds(t *time.Time) *metav1.Time {
	if t == nil {
		return nil
	}
	whole := metav1.NewTime(t.UTC().Truncate(time.Second))
	return &whole
}

// planPhase is the phase that people see: a send that would go on but for its suspension, or a person's pause, is Paused, and one that a person has to
// decide about is Held.
func planPhase(send store.SendStatus) v1alpha1.CampaignPhase {
	stage := send.Stage()
	switch {
	case send.HeldBack && !stage.Final():
		return v1alpha1.CampaignHeld
	case (send.Suspended || send.Pause != nil) && !stage.Final() && stage != campaign.Held:
		return v1alpha1.CampaignPaused
	}
	return v1alpha1.CampaignPhase(stage)
}

type health struct {
	good            bool
	reason, message string
}

// planHealth tells how delivery goes: the first trouble that holds it up.
func planHealth(send store.SendStatus) health {
	switch {
	case send.HeldBack:
		return health{
			false, v1alpha1.AttentionNeededReason,
			"Held when a quarantine was released: the restored ledger may not know everybody who was written to. " +
				"`tertulia quarantine show` tells the numbers, `tertulia quarantine resume` sends what is pending.",
		}
	case send.State == campaign.Held:
		return health{false, v1alpha1.AttentionNeededReason, orDefault(send.Message, "The send is held until a person decides.")}
	case send.State == campaign.Expired && send.Recurs:
		return health{true, v1alpha1.DeliveringReason, orDefault(send.Message, store.MissedMessage)}
	case send.State == campaign.Expired:
		return health{
			false, v1alpha1.AttentionNeededReason,
			"The starting deadline passed before the send could begin, and nothing was sent: set another schedule to send it after all.",
		}
	case send.Publishes && send.Failed > 0:
		return health{false, v1alpha1.PostsRefusedReason, fmt.Sprintf(
			"The network refused %d of %d posts for good, or could not be reached for too long: GET /v1/campaigns/<name>/publication tells its words.",
			send.Failed, send.Planned)}
	case send.State.Final():
		return health{true, v1alpha1.DeliveringReason, planEnd(send)}
	case send.ChannelTrouble != "":
		return health{false, v1alpha1.ChannelTroubleReason, send.ChannelTrouble}
	case send.Pause != nil:
		return health{true, v1alpha1.DeliveringReason, "A person has paused the send: status.command says who and why."}
	case send.Stopped && !send.Suspended:
		return health{false, v1alpha1.StoppedReason, "Nothing is sent while the tenant, the channel or a template is suspended."}
	}
	if send.PutOff && send.Message == "" {
		return health{true, v1alpha1.DeliveringReason, putOff(send.PutOffCode)}
	}
	return health{true, v1alpha1.DeliveringReason, orDefault(send.Message, "Nothing holds the delivery up.")}
}

// planEnd tells how a send ended, and what of it a person may want to look into.
func planEnd(send store.SendStatus) string {
	message := "Every outcome is known."
	if send.Pending > 0 { // of an aborted send
		return fmt.Sprintf("A person has ended the send: of %d messages that were in flight or waiting the outcome follows.", send.Pending)
	}
	if send.Ambiguous > 0 {
		message = fmt.Sprintf("Every outcome is known but of %d: a worker or a connection died on them, they may have arrived, and they are not sent again.",
			send.Ambiguous)
	}
	if send.Failed > 0 {
		message += fmt.Sprintf(" The relay refused %d for good, or put them off for too long.", send.Failed)
	}
	return message
}

// putOff tells why messages wait that nothing here holds up.
func putOff(code string) string {
	if code != "" {
		code = " (" + code + ")"
	}
	return "The relay asks to be tried again later" + code + ": what waits is tried again after a minute, then with growing pauses."
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// planMessage says what is in force.
func planMessage(status v1alpha1.CampaignStatus, ignored []string) string {
	message := "The send is declared."
	switch status.Phase {
	case v1alpha1.CampaignPaused:
		message = "The send is paused: it goes on where it stopped when spec.suspend is removed."
		if isPaused(status.Command) {
			message = "The send is paused by a person, as status.command says: it goes on where it stopped after `tertulia campaign resume`."
		}
	case v1alpha1.CampaignAborted:
		message = "A person has ended the send, as status.command says. This campaign sends nothing more."
	case v1alpha1.CampaignCompleted:
		message = "The send is completed. This campaign sends nothing more."
	case v1alpha1.CampaignScheduled, v1alpha1.CampaignFreezing, v1alpha1.CampaignSending, v1alpha1.CampaignHeld, v1alpha1.CampaignExpired:
	}
	if len(ignored) > 0 {
		message += " The audience is frozen, so that these fields have no effect any more: spec." + strings.Join(ignored, ", spec.") + "."
	}
	return message
}

// tellPhase publishes the turns of a campaign's life that people wait for.
func tellPhase(pass *reconciling.Pass, object *v1alpha1.Campaign, health health) {
	switch phase := object.Status.Phase; phase {
	case v1alpha1.CampaignSending:
		begun := "The audience is frozen and sending has begun."
		if object.Spec.Publication != nil {
			begun = "The posts are written and leave."
		}
		pass.Happened(corev1.EventTypeNormal, v1alpha1.SendingStartedReason, begun)
	case v1alpha1.CampaignHeld, v1alpha1.CampaignExpired:
		pass.Happened(corev1.EventTypeWarning, string(phase), health.message)
	case v1alpha1.CampaignAborted:
		pass.Happened(corev1.EventTypeNormal, string(phase), "A person has ended the campaign.")
	case v1alpha1.CampaignCompleted:
		pass.Happened(corev1.EventTypeNormal, string(phase), health.message)
	case v1alpha1.CampaignScheduled, v1alpha1.CampaignFreezing, v1alpha1.CampaignPaused:
	}
}
