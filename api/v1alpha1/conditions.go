package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Condition types. Ready, Reconciling and Stalled mean what kstatus reads in them; Healthy tells how work that
// goes on is going.
const (
	// ReadyCondition is True while the object is accepted and in force, also while it is suspended, paused, held
	// or completed.
	ReadyCondition = "Ready"
	// ReconcilingCondition is True while the operator still works towards what the spec says.
	ReconcilingCondition = "Reconciling"
	// StalledCondition is True when only an edit of this object can mend it.
	StalledCondition = "Stalled"
	// HealthyCondition tells how delivery goes.
	HealthyCondition = "Healthy"
	// ThrottledCondition is True on a MessageChannel while receivers ask for patience, or the bound of the day is reached. It is
	// absent otherwise.
	ThrottledCondition = "Throttled"
	// CrisisCondition is True on a Monitor while negative mentions burst. It is absent otherwise.
	CrisisCondition = "Crisis"
	// CheckedCondition is False on a MessageTemplate that can be sent with, but of which a reader would stumble over something.
	CheckedCondition = "Checked"
	// RuntimeRoleCondition is False on a CRMTenant whose workers and servers have to use the database owner's login.
	RuntimeRoleCondition = "RuntimeRole"
	// QuarantinedCondition is True on a CRMTenant whose database holds another ledger than the one that was sent from, such as
	// a restored backup: nothing is sent until a person decides.
	QuarantinedCondition = "Quarantined"
	// FailoverSafeCondition is True on a CRMTenant whose database loses nothing when its server fails over, False where
	// standbys lag behind, and Unknown where the database's owner may not see how they follow.
	FailoverSafeCondition = "FailoverSafe"
	// SentimentEngineCondition is True on a CRMTenant whose posts are judged by the server that it names, False where something is amiss
	// with its Secret. It is absent where none is named.
	SentimentEngineCondition = "SentimentEngine"
	// WorkloadsReadyCondition is True on a CRMTenant whose workers and servers all run as it says they should. It is
	// absent where the operator does not run them.
	WorkloadsReadyCondition = "WorkloadsReady"
)

// Reasons of conditions that several kinds share. A reference that does not resolve yet has the reason
// "<Kind>NotFound", made by NotFoundReason.
const (
	InForceReason        = "InForce"
	SuspendedReason      = "Suspended"
	ProgressingReason    = "Progressing"
	TenantNotReadyReason = "TenantNotReady"
	DatabaseDownReason   = "DatabaseUnavailable"
	// DatabaseReadOnlyReason: the database takes no writes.
	DatabaseReadOnlyReason = "DatabaseReadOnly"
	DatabaseDiskFullReason = "DatabaseDiskFull"
	InvalidSpecReason      = "InvalidSpec"
	SecretNotLabelled      = "SecretNotLabelled"
	SecretKeyMissing       = "SecretKeyMissing"
	SecretKeyTooLong       = "SecretKeyTooLong"
	SecretKeyInvalid       = "SecretKeyInvalid"
	NothingFoundReason     = "NothingFound"
	ContentWarningsReason  = "ContentWarnings"
	DependencyNotReady     = "DependencyNotReady"
	DeliveringReason       = "Delivering"
	ChannelTroubleReason   = "ChannelTrouble"
	AttentionNeededReason  = "AttentionNeeded"
	ReturnsTroubleReason   = "ReturnsTrouble"
	// ReceiversDeferReason: large receivers of mail are written to more slowly because they deferred some.
	ReceiversDeferReason = "ReceiversDefer"
	// DailyCapReachedReason: as many messages have left over the channel today as may.
	DailyCapReachedReason = "DailyCapReached"
	// QuarantinedReason: nothing is sent from the tenant's ledger until a person decides.
	QuarantinedReason     = "Quarantined"
	ReconcileFailedReason = "ReconcileFailed"
	// UnknownToOperatorReason: the spec says something that is of a later version than the operator.
	UnknownToOperatorReason = "UnknownToOperator"
)

// Reasons of a CRMTenant's conditions.
const (
	ForeignDatabaseReason = "ForeignDatabase"
	// IDTakenReason: another namespace's CRMTenant has the same spec.id.
	IDTakenReason = "IDTaken"
	// PublicURLTakenReason: another namespace's CRMTenant is reached at the same host.
	PublicURLTakenReason  = "PublicURLTaken"
	MigratingReason       = "Migrating"
	MigrationFailedReason = "MigrationFailed"
	// DatabaseNewerReason: a newer version has migrated the database than the operator's.
	DatabaseNewerReason = "DatabaseNewer"
	// DatabaseRefusedReason: the server is there and says no.
	DatabaseRefusedReason    = "DatabaseRefused"
	InvalidDatabaseURLReason = "InvalidDatabaseURL"
	// SecretNotOursReason: a Secret that the operator wants to make exists and is somebody else's.
	SecretNotOursReason = "SecretNotOurs"
	SeparateReason      = "Separate"
	OwnerRunsReason     = "OwnerRuns"
	// ServerAskedReason: a server judges how posts speak.
	ServerAskedReason = "ServerAsked"
	// PermittedReason: the ledger is the one that the cluster knows.
	PermittedReason = "Permitted"
	// OtherLedgerReason: the database holds another copy of the ledger than the one that was sent from.
	OtherLedgerReason = "OtherLedger"
	// LedgerBehindReason: the ledger knows fewer messages than the cluster remembers.
	LedgerBehindReason = "LedgerBehind"
	// The reasons of events about the ledger.
	QuarantineReleasedReason = "QuarantineReleased"
	FailedOverReason         = "FailedOver"
	// NoStandbyReason: there is nothing to fail over to.
	NoStandbyReason            = "NoStandby"
	SynchronousStandbysReason  = "SynchronousStandbys"
	AsynchronousStandbysReason = "AsynchronousStandbys"
	// StandbysHiddenReason: the owner may not see which standbys are synchronous.
	StandbysHiddenReason = "StandbysHidden"
	// MayNotIdentifyReason: the owner may not ask PostgreSQL which server it is.
	MayNotIdentifyReason = "MayNotIdentify"
)

// Reasons of a CRMTenant's condition WorkloadsReady.
const (
	RunningReason = "Running"
	// RollingOutReason: the cluster replaces processes, or starts the first ones.
	RollingOutReason = "RollingOut"
	// PodsNotReadyReason: processes run and cannot do their work.
	PodsNotReadyReason         = "PodsNotReady"
	ImageCannotBePulledReason  = "ImageCannotBePulled"
	PodsCrashReason            = "PodsCrash"
	OutOfMemoryReason          = "OutOfMemory"
	QuotaExceededReason        = "QuotaExceeded"
	PodsRefusedReason          = "PodsRefused"
	NoNodeFitsReason           = "NoNodeFits"
	ContainerCannotStartReason = "ContainerCannotStart"
	CredentialsNotYetInUse     = "CredentialsNotYetInUse"
	WorkloadNotOursReason      = "WorkloadNotOurs"
	WorkloadsNotAppliedReason  = "WorkloadsNotApplied"
	// NoProcessesWantedReason: the author asks for no workers, or for no servers.
	NoProcessesWantedReason = "NoProcessesWanted"
)

// Reasons of a RecordType's conditions.
const (
	LossyChangeReason = "LossyChange"
)

// Reasons of a MessageTemplate's and a Segment's conditions.
const (
	TemplateInvalidReason     = "TemplateInvalid"
	ConfigMapKeyMissingReason = "ConfigMapKeyMissing"
	ExpressionInvalidReason   = "ExpressionInvalid"
	// SegmentCycleReason: a segment asks for the membership of another one that asks for its own.
	SegmentCycleReason = "SegmentCycle"
	// BuildingReason: the definition is accepted, and the membership is not built by it yet.
	BuildingReason = "Building"
)

// Reasons of a SocialSource's condition Healthy.
const (
	ListeningReason = "Listening"
	// NotReadYetReason: no worker has read it since it was declared.
	NotReadYetReason = "NotReadYet"
	// SourceMovedReason: what it reads has moved for ever, and is read there. The message says what to write into the spec.
	SourceMovedReason = "Moved"
	// SourceThrottledReason: its network was asked too often, and is left alone for a while.
	SourceThrottledReason    = "Throttled"
	SourceUnauthorizedReason = "Unauthorized"
	SourceForbiddenReason    = "Forbidden"
	SourceNotFoundReason     = "NotFound"
	SourceUnreachableReason  = "Unreachable"
	// SourceMalformedReason: what its network answers cannot be read.
	SourceMalformedReason = "Malformed"
	// SourceMisdeclaredReason: its settings cannot work.
	SourceMisdeclaredReason = "Misdeclared"
)

// Reasons of a Monitor's conditions.
const (
	// TopicInvalidReason: a topic's terms, or a source's keywords, cannot be looked for.
	TopicInvalidReason = "TopicInvalid"
	// TooManyTermsReason: all monitors of the tenant together have more terms than a post can be read for.
	TooManyTermsReason = "TooManyTerms"
	// IncidentOpenReason: negative mentions burst.
	IncidentOpenReason = "IncidentOpen"
	// The reasons of events about incidents.
	IncidentOpenedReason  = "IncidentOpened"
	IncidentsClosedReason = "IncidentsClosed"
)

// Reasons of an AutomationRule's conditions.
const (
	// RuleInvalidReason: something about the rule cannot be carried out.
	RuleInvalidReason = "RuleInvalid"
	// EntriesStuckReason: some entries cannot go on by themselves.
	EntriesStuckReason = "EntriesStuck"
	// RuleTroubleReason: the rule does not do all that it should.
	RuleTroubleReason = "RuleTrouble"
)

// Reasons of a ServiceQueue's conditions.
const (
	// QueueTroubleReason: the queue does not do all that it should.
	QueueTroubleReason = "QueueTrouble"
)

// Reasons of a ConsentPolicy's conditions.
const (
	// PurposeTakenReason: another ConsentPolicy has the purpose.
	PurposeTakenReason = "PurposeTaken"
	// TextChangedReason: a text differs from what people were asked under its version.
	TextChangedReason = "TextChanged"
)

// Reasons of a Campaign's conditions.
const (
	// PolicyViolatedReason: a SendPolicy does not allow the campaign.
	PolicyViolatedReason = "PolicyViolated"
	// PurposeUnknownReason: no ConsentPolicy has the campaign's purpose.
	PurposeUnknownReason = "PurposeUnknown"
	SendKeyTakenReason   = "SendKeyTaken"
	// PostInvalidReason: what is to be published cannot be, as it is written.
	PostInvalidReason = "PostInvalid"
	// PostsRefusedReason: the network did not take a post.
	PostsRefusedReason = "PostsRefused"
	// StoppedReason: the tenant, the channel or a template is suspended or gone.
	StoppedReason = "Stopped"
	// The reasons of events about a campaign's life, beside the phases.
	SendingStartedReason = "SendingStarted"
)

// NotFoundReason is the reason of a Ready=False condition whose cause is a reference to a missing object of this kind.
func NotFoundReason(kind string) string { return kind + "NotFound" }

// UseLabel marks a Secret that objects of this group may refer to; its value says for what.
const (
	UseLabel   = "crm.tertulia.dev/use"
	UseChannel = "channel" // MessageChannels
	UseSource  = "source"  // SocialSources
	// UseSentiment is for the CRMTenant's sentiment.
	UseSentiment = "sentiment"
)

// OperatorName is how the operator calls itself: as the manager of fields that it applies, and in the label ManagedByLabel of
// what it makes.
const (
	OperatorName   = "tertulia-operator"
	ManagedByLabel = "app.kubernetes.io/managed-by"
)

// Finalizer is ours: the operator sets it where deleting an object must suspend work.
const Finalizer = "crm.tertulia.dev/suspend-on-delete"

// TenantName is the name that the one CRMTenant of a namespace has.
const TenantName = "default"

// Status is what every kind reports.
type Status struct {
	// ObservedGeneration is the generation of the spec that the conditions speak of.
	// +optional
	// +kubebuilder:default=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions tell whether the object is in force, and if not, why and how to mend it.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Object is any kind of this package.
// +kubebuilder:object:generate=false
type Object interface {
	metav1.Object
	runtime.Object
	// CommonStatus is the part of the status that every kind has.
	CommonStatus() *Status
	// IsSuspended tells whether the author asked for suspension.
	IsSuspended() bool
}

// LocalReference names an object in the same namespace.
type LocalReference struct {
	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}
