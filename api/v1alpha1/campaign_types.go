package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Audience says who is written to.
type Audience struct {
	// Segments whose members are written to: anybody in one of them, once.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +listType=map
	// +listMapKey=name
	Segments []LocalReference `json:"segments"`
	// Exclude lists segments whose members are not written to.
	// +optional
	// +kubebuilder:validation:MaxItems=20
	// +listType=map
	// +listMapKey=name
	Exclude []LocalReference `json:"exclude,omitempty"`
	// MaxRecipients is the most people that this campaign may reach. An audience over it is Held until somebody raises
	// the bound or narrows the audience.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	MaxRecipients int64 `json:"maxRecipients"`
}

// Variant is one version of the message.
type Variant struct {
	// Name of the variant.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower-case letters, digits and hyphens, such as a"
	Name string `json:"name"`
	// TemplateRef names the MessageTemplate.
	TemplateRef LocalReference `json:"templateRef"`
	// Weight is the variant's share of the audience relative to the others. Which contact gets which variant is decided
	// by the send and the contact alone, so that it is the same at every try. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Weight int32 `json:"weight,omitempty"`
}

// Schedule says when a campaign is sent.
type Schedule struct {
	// At is the local date and time in the schedule's time zone, such as 2027-03-21T09:00:00. A time that a clock change
	// skips is taken an hour later; one that happens twice, the first time.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?$')",message="must be a local date and time without an offset, such as 2027-03-21T09:00:00; the zone is said by timeZone"
	// +kubebuilder:validation:MaxLength=19
	At string `json:"at"`
	// TimeZone is an IANA zone, such as Europe/Madrid. Default: the tenant's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
	// StartingDeadline is how late the send may begin, such as 6h or 2d; later it is Expired and sends nothing, so that a
	// cluster that was down does not write at the wrong moment. Default: 6h.
	// +optional
	StartingDeadline Duration `json:"startingDeadline,omitempty"`
}

// Duration is a length of time: a whole number and a unit, as in 90d, 6h, 30m or 15s; units can follow one another, as in 1d12h.
// +kubebuilder:validation:MaxLength=30
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$') && self.size() > 0",message="must be a duration of days, hours, minutes or seconds, such as 90d, 6h or 1d12h"
type Duration string

// CampaignSpec says what is sent to whom, when, and to at most how many.
// +kubebuilder:validation:XValidation:rule="self.sendKey == oldSelf.sendKey",message="spec.sendKey is the identity of the send and never changed: to send again, write another Campaign"
type CampaignSpec struct {
	// SendKey is the identity of the send: whoever was written to under this key is not written to again, whatever
	// happens to this object, its namespace or the cluster. To send again, write another Campaign with another key.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$')",message="must be lower-case letters, digits, dots, hyphens and underscores, such as spring-2027"
	SendKey string `json:"sendKey"`
	// Purpose is what contacts must have consented to, such as newsletter.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_-]*$')",message="must be lower-case letters, digits, hyphens and underscores, such as newsletter"
	Purpose string `json:"purpose"`
	// ChannelRef names the MessageChannel.
	ChannelRef LocalReference `json:"channelRef"`
	// Audience says who is written to. It is frozen when the send begins.
	Audience Audience `json:"audience"`
	// Variants are the versions of the message; each recipient gets one.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +listType=map
	// +listMapKey=name
	Variants []Variant `json:"variants"`
	// Schedule says when it is sent.
	Schedule Schedule `json:"schedule"`
	// Suspend pauses the send; removing it goes on where it stopped. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// CampaignPhase is where a campaign is in its life.
type CampaignPhase string

// The phases: Scheduled → Freezing → Sending ⇄ Paused → Completed; Held when a person must decide, Expired when the
// starting deadline passed first.
const (
	CampaignScheduled CampaignPhase = "Scheduled"
	CampaignFreezing  CampaignPhase = "Freezing"
	CampaignSending   CampaignPhase = "Sending"
	CampaignPaused    CampaignPhase = "Paused"
	CampaignHeld      CampaignPhase = "Held"
	CampaignCompleted CampaignPhase = "Completed"
	CampaignExpired   CampaignPhase = "Expired"
)

// SkipCount is how many recipients were left out for one reason.
type SkipCount struct {
	// Reason: NoConsent, Suppressed, NoAddress, DuplicateAddress or Dormant.
	Reason string `json:"reason"`
	// Count of recipients.
	Count int64 `json:"count"`
}

// CampaignStatus counts what happened. planned = sent + failed + ambiguous + skipped + pending, always.
type CampaignStatus struct {
	Status `json:",inline"`
	// Phase of the campaign's life.
	// +optional
	Phase CampaignPhase `json:"phase,omitempty"`
	// ScheduledFor is when the send begins, in UTC.
	// +optional
	ScheduledFor *metav1.Time `json:"scheduledFor,omitempty"`
	// Planned is how many recipients were frozen, those left out included.
	// +optional
	Planned *int64 `json:"planned,omitempty"`
	// Sent is how many messages the relay accepted.
	// +optional
	Sent *int64 `json:"sent,omitempty"`
	// Failed is how many messages the relay refused for good.
	// +optional
	Failed *int64 `json:"failed,omitempty"`
	// Ambiguous is how many messages were handed over without a known outcome; they are not sent again.
	// +optional
	Ambiguous *int64 `json:"ambiguous,omitempty"`
	// Skipped is how many recipients were left out.
	// +optional
	Skipped *int64 `json:"skipped,omitempty"`
	// Pending is how many messages are still to be sent.
	// +optional
	Pending *int64 `json:"pending,omitempty"`
	// SkippedByReason tells why recipients were left out.
	// +optional
	// +listType=map
	// +listMapKey=reason
	SkippedByReason []SkipCount `json:"skippedByReason,omitempty"`
	// Progress is sent/planned, for people.
	// +optional
	Progress string `json:"progress,omitempty"`
	// FinishedAt is when the last outcome was known.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
}

// Campaign writes to an audience once.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=campaigns,shortName=camp,categories=crm
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Sent",type=string,JSONPath=`.status.progress`
// +kubebuilder:printcolumn:name="Skipped",type=integer,JSONPath=`.status.skipped`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.failed`
// +kubebuilder:printcolumn:name="Ambiguous",type=integer,JSONPath=`.status.ambiguous`
// +kubebuilder:printcolumn:name="At",type=string,JSONPath=`.status.scheduledFor`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Healthy",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`
// +kubebuilder:printcolumn:name="Finished",type=date,JSONPath=`.status.finishedAt`
// +kubebuilder:selectablefield:JSONPath=`.spec.sendKey`
// +kubebuilder:selectablefield:JSONPath=`.status.phase`
type Campaign struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec CampaignSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status CampaignStatus `json:"status,omitempty"`
}

// CampaignList is a list of campaigns.
// +kubebuilder:object:root=true
type CampaignList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Campaign `json:"items"`
}

// CommonStatus implements Object.
func (c *Campaign) CommonStatus() *Status { return &c.Status.Status }

// IsSuspended implements Object.
func (c *Campaign) IsSuspended() bool { return c.Spec.Suspend }

// WeightOrDefault is the variant's share of the audience.
func (v *Variant) WeightOrDefault() int {
	if v.Weight == 0 {
		return 1
	}
	return int(v.Weight)
}
