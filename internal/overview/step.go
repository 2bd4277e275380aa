package overview

import (
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// steps tell what to do next about a reason, beside what the condition's message says. <ns> and <name> stand for the
// object's. A reason that is not here has a message that says all there is to say.
var steps = map[string]string{
	v1alpha1.InvalidSpecReason:  "Correct the manifest and apply it.",
	v1alpha1.DatabaseDownReason: "Look whether PostgreSQL runs and whether the operator may connect to it. What waits goes on when it is back.",
	v1alpha1.DatabaseReadOnlyReason: "See why: show default_transaction_read_only; select pg_is_in_recovery(). " +
		"After a failover the address must lead to the new primary.",
	v1alpha1.DatabaseDiskFullReason:     "Give the database's server room. What waits goes on when it has some.",
	v1alpha1.DatabaseRefusedReason:      "Correct the Secret that spec.database.secretRef names, or the role's password in PostgreSQL.",
	v1alpha1.InvalidDatabaseURLReason:   "Correct the Secret that spec.database.secretRef names.",
	v1alpha1.MigrationFailedReason:      "Read the operator's log for the tenant's namespace: it names the migration and what PostgreSQL said.",
	v1alpha1.DatabaseNewerReason:        "Install the version again that migrated the database; what it was is in the image of the tenant's workers.",
	v1alpha1.UnknownToOperatorReason:    "Upgrade the operator to the version of the CustomResourceDefinitions.",
	v1alpha1.ReconcileFailedReason:      "Read the operator's log for this object: kubectl logs -n <operator> deploy/<deployment> | grep <name>",
	v1alpha1.IDTakenReason:              "Give one of the two tenants another id: kubectl get crmtenants -A",
	v1alpha1.PublicURLTakenReason:       "Give one of the two tenants another host: kubectl get crmtenants -A -o wide",
	v1alpha1.SecretNotOursReason:        "Delete or rename the Secret.",
	v1alpha1.OtherLedgerReason:          "See what is missing: tertulia quarantine show -n <ns>; then release it or bring the other database back.",
	v1alpha1.LedgerBehindReason:         "See what is missing: tertulia quarantine show -n <ns>; then release it or bring the lost rows back.",
	v1alpha1.MayNotIdentifyReason:       "Grant the database's owner what the message names.",
	v1alpha1.AsynchronousStandbysReason: "Make at least one standby synchronous (synchronous_standby_names), so that a failover loses nothing.",
	v1alpha1.OwnerRunsReason:            `Add the key "runtime-uri" to the database's Secret, with a login that owns nothing.`,
	v1alpha1.ImageCannotBePulledReason:  "Look at the image's name and the pull secrets of the ServiceAccount default: kubectl describe pods -n <ns>",
	v1alpha1.PodsCrashReason:            "Read what they said before they died: kubectl logs -n <ns> -l app.kubernetes.io/name=tertulia --previous",
	v1alpha1.PodsNotReadyReason:         "Read what they say: kubectl logs -n <ns> -l app.kubernetes.io/name=tertulia",
	v1alpha1.OutOfMemoryReason:          "Raise resources.limits.memory of spec.worker or spec.server.",
	v1alpha1.QuotaExceededReason:        "Raise the namespace's ResourceQuota, or lower what spec.worker and spec.server request.",
	v1alpha1.PodsRefusedReason:          "See what refuses the pods: kubectl get events -n <ns>",
	v1alpha1.NoNodeFitsReason:           "Add a node, or lower what spec.worker and spec.server request.",
	v1alpha1.ContainerCannotStartReason: "See why: kubectl describe pods -n <ns> -l app.kubernetes.io/name=tertulia",
	v1alpha1.ChannelTroubleReason: "Look at the channel's server: its address, its certificate, the credentials in the channel's Secret. " +
		"What waits is sent later.",
	v1alpha1.AttentionNeededReason: "Decide: kubectl describe campaign -n <ns> <name>",
	v1alpha1.ReturnsTroubleReason: "Look at the mailbox: its address, its certificate, the credentials in the Secret of spec.email.returns. " +
		"What came back waits there.",
	v1alpha1.ReceiversDeferReason: "Look at reputation, authentication and complaints at these receivers. What waits is sent later.",
	v1alpha1.PolicyViolatedReason: "Change the campaign, or the SendPolicy that the message names.",
	v1alpha1.PurposeUnknownReason: "Correct the purpose, or add it to a ConsentPolicy: kubectl get consentpolicies -n <ns>",
	v1alpha1.SourceUnauthorizedReason: "Correct the credentials in the source's Secret, or have the network make new ones. " +
		"Listening goes on by itself within a quarter of an hour.",
	v1alpha1.SourceForbiddenReason:   "See whether the account may read that, and whether the operator allows the network (--listen-allow-network).",
	v1alpha1.SourceNotFoundReason:    "Correct the address in the manifest, or see where it has moved to.",
	v1alpha1.SourceUnreachableReason: "Look whether the server runs and workers may connect to it. Listening goes on when it is back.",
	v1alpha1.SourceMalformedReason:   "See what the address answers: it may be another thing than the manifest says.",
	v1alpha1.SourceMisdeclaredReason: "Correct the manifest and apply it.",
	v1alpha1.IncidentOpenReason:      "See what it is about, and answer: kubectl describe monitor -n <ns> <name>",
	v1alpha1.LossyChangeReason:       "Take the change back, or make a new attribute.",
}

// nextStep is what to do about a reason of an object.
func nextStep(kind, reason, namespace, name string) string {
	step, ok := steps[reason]
	if !ok {
		step = "kubectl describe " + strings.ToLower(kind) + " -n <ns> <name>"
	}
	return strings.NewReplacer("<ns>", namespace, "<name>", name).Replace(step)
}
