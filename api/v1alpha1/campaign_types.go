package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AudienceMode is whether an audience stands once the send has begun.
// +kubebuilder:validation:Enum=Frozen;Rolling
type AudienceMode string

// The modes.
const (
	AudienceFrozen  AudienceMode = "Frozen"
	AudienceRolling AudienceMode = "Rolling"
)

// OnDefinitionChange is what becomes of those who enter a Rolling audience because a segment was edited.
// +kubebuilder:validation:Enum=Ignore;Add
type OnDefinitionChange string

// The choices.
const (
	IgnoreOnDefinitionChange OnDefinitionChange = "Ignore"
	AddOnDefinitionChange    OnDefinitionChange = "Add"
)

// Audience says who is written to.
// +kubebuilder:validation:XValidation:rule="!has(self.onDefinitionChange) || has(self.mode) && self.mode == 'Rolling'",message="onDefinitionChange speaks of a Rolling audience: set mode: Rolling, or remove it"
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
	// Mode says who is written to once the send has begun. Frozen: those who were in the audience then. Rolling: also those
	// who enter it later, until schedule.endsAt; they count towards maxRecipients. Default: Frozen.
	// +optional
	Mode AudienceMode `json:"mode,omitempty"`
	// OnDefinitionChange says what becomes of those who enter a Rolling audience because somebody edited one of its segments,
	// and not because anything about them changed. Ignore: they are not written to. Add: they are. Default: Ignore.
	// +optional
	OnDefinitionChange OnDefinitionChange `json:"onDefinitionChange,omitempty"`
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

// WinnerMetric is what variants are compared by.
// +kubebuilder:validation:Enum=Opened;Clicked
type WinnerMetric string

// Winner says how the best variant is found.
type Winner struct {
	// Metric is what the variants are compared by: Opened, the share of recipients who opened the message, or Clicked, who
	// followed a link in it. What machines did is left out. The campaign's tracking must count it.
	Metric WinnerMetric `json:"metric"`
	// After is how long after the test share was sent the best variant is chosen, such as 4h. The rest of the audience waits
	// until then.
	After Duration `json:"after"`
	// Share of the audience that gets the variants to test them, in percent.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=99
	Share int32 `json:"share"`
}

// Priority is who goes first over a channel.
// +kubebuilder:validation:Enum=Bulk;Transactional
type Priority string

// The priorities.
const (
	PriorityBulk          Priority = "Bulk"
	PriorityTransactional Priority = "Transactional"
)

// Duration is a length of time: a whole number and a unit, as in 90d, 6h, 30m or 15s; units can follow one another, as in 1d12h.
// +kubebuilder:validation:MaxLength=30
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$') && self.size() > 0",message="must be a duration of days, hours, minutes or seconds, such as 90d, 6h or 1d12h"
type Duration string

// CampaignSpec says what is sent to whom, when, and to at most how many; or what is published, and when.
// +kubebuilder:validation:XValidation:rule="self.sendKey == oldSelf.sendKey",message="spec.sendKey is the identity of the send and never changed: put the old key back, and to send again write another Campaign with the new one"
// +kubebuilder:validation:XValidation:rule="has(self.schedule.cron) == has(oldSelf.schedule.cron)",message="a campaign that is sent once cannot become one that recurs, nor the other way: write another Campaign with another sendKey"
// +kubebuilder:validation:XValidation:rule="has(self.audience) != has(self.publication)",message="say either whom to write to, by audience and purpose, or what to publish on a social network, by publication"
// +kubebuilder:validation:XValidation:rule="has(self.publication) == has(oldSelf.publication)",message="a campaign that writes to people cannot become a publication, nor the other way: write another Campaign with another sendKey"
// +kubebuilder:validation:XValidation:rule="has(self.publication) || has(self.purpose)",message="spec.purpose is required where people are written to: it is what they must have consented to, such as newsletter"
// +kubebuilder:validation:XValidation:rule="!has(self.publication) || !has(self.purpose)",message="a publication has no recipients and asks nobody's consent: remove spec.purpose"
// +kubebuilder:validation:XValidation:rule="!has(self.publication) || !has(self.holdOut) && !has(self.winner) && !has(self.tracking)",message="holdOut, winner and tracking are about recipients, which a publication does not have: remove them"
// +kubebuilder:validation:XValidation:rule="!has(self.publication) || self.variants.size() == 1 || has(self.schedule.cron)",message="a publication that is sent once has one variant: keep one, or give schedule.cron, by whose occurrences the variants take turns"
// +kubebuilder:validation:XValidation:rule="!has(self.publication) || self.variants.all(v, !has(v.weight))",message="the variants of a publication take turns and have no weight: remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.publication) || !has(self.schedule.hours) && (!has(self.schedule.timeZone) || self.schedule.timeZone != 'Recipient')",message="a publication leaves at its time: remove schedule.hours, and write a zone such as Europe/Madrid in place of Recipient"
// +kubebuilder:validation:XValidation:rule="!has(self.audience) || !has(self.audience.mode) || self.audience.mode != 'Rolling' || has(self.schedule.at) && has(self.schedule.endsAt)",message="a Rolling audience is written to from schedule.at to schedule.endsAt: give both, or set audience.mode: Frozen"
// +kubebuilder:validation:XValidation:rule="!has(self.winner) || self.variants.size() > 1",message="winner chooses between variants: give at least two, or remove winner"
// +kubebuilder:validation:XValidation:rule="!has(self.winner) || !has(self.audience) || !has(self.audience.mode) || self.audience.mode != 'Rolling'",message="winner needs an audience that stands: set audience.mode: Frozen, or remove winner"
// +kubebuilder:validation:XValidation:rule="!has(self.winner) || !has(self.schedule.timeZone) || self.schedule.timeZone != 'Recipient'",message="winner is chosen at one moment for everybody, when the hour of some recipients has passed: set schedule.timeZone to a zone (schedule.hours.timeZone may be Recipient), or remove winner"
type CampaignSpec struct {
	// SendKey is the identity of the send: whoever was written to under this key is not written to again, whatever
	// happens to this object, its namespace or the cluster. To send again, write another Campaign with another key.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$')",message="must be lower-case letters, digits, dots, hyphens and underscores, such as spring-2027"
	SendKey string `json:"sendKey"`
	// Purpose is what contacts must have consented to, such as newsletter. A publication has none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_-]*$')",message="must be lower-case letters, digits, hyphens and underscores, such as newsletter"
	Purpose string `json:"purpose,omitempty"`
	// ChannelRef names the MessageChannel: of type Email or Webhook to write to an audience, Mastodon or Bluesky for a publication.
	ChannelRef LocalReference `json:"channelRef"`
	// Audience says who is written to. It is frozen when the send begins. Either it or publication is given.
	// +optional
	Audience Audience `json:"audience,omitzero"`
	// Publication says what is published on a social network, in place of an audience.
	// +optional
	Publication *Publication `json:"publication,omitempty"`
	// Variants are the versions of the message; each recipient gets one. Of a publication that recurs, each occurrence publishes one:
	// they take turns in the order of this list.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +listType=map
	// +listMapKey=name
	Variants []Variant `json:"variants"`
	// HoldOut is how many percent of the audience get nothing, so that those who got the message can be compared with them. Who
	// is held out is decided by the send and the contact alone. Default: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=90
	HoldOut int32 `json:"holdOut,omitempty"`
	// Winner tests the variants on a share of the audience and sends the best one to the rest. Default: every recipient gets
	// the variant that its weight gives it.
	// +optional
	Winner *Winner `json:"winner,omitempty"`
	// Schedule says when it is sent.
	Schedule Schedule `json:"schedule"`
	// Priority says who goes first where several campaigns share a channel. Bulk: campaigns take turns. Transactional: a message
	// that somebody waits for, such as a receipt; it overtakes those that are Bulk. Default: Bulk.
	// +optional
	Priority Priority `json:"priority,omitempty"`
	// Tracking says what the mails tell about who reads them. It may be changed at any time, for the mails that are not written yet.
	// Default: they tell nothing.
	// +optional
	Tracking *CampaignTracking `json:"tracking,omitempty"`
	// Suspend pauses the send; removing it goes on where it stopped. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// CampaignPhase is where a campaign is in its life.
type CampaignPhase string

// The phases: Scheduled → Freezing → Sending ⇄ Paused → Completed; Held when a person must decide, Expired when the
// starting deadline passed first, Aborted when a person ended it. A campaign that recurs returns to Scheduled.
const (
	CampaignScheduled CampaignPhase = "Scheduled"
	CampaignFreezing  CampaignPhase = "Freezing"
	CampaignSending   CampaignPhase = "Sending"
	CampaignPaused    CampaignPhase = "Paused"
	CampaignHeld      CampaignPhase = "Held"
	CampaignCompleted CampaignPhase = "Completed"
	CampaignExpired   CampaignPhase = "Expired"
	CampaignAborted   CampaignPhase = "Aborted"
)

// SkipCount is how many recipients were left out for one reason.
type SkipCount struct {
	// Reason, such as NoConsent, Suppressed, NoAddress, DuplicateAddress, DuplicateContact, HoldOut, Late, Ended or Dormant.
	Reason string `json:"reason"`
	// Count of recipients.
	Count int64 `json:"count"`
}

// VariantResult is how a variant did in the test.
type VariantResult struct {
	// Name of the variant.
	Name string `json:"name"`
	// Sent is how many of its messages were accepted.
	Sent int64 `json:"sent"`
	// Answers is in how many of them somebody did what winner.metric counts.
	Answers int64 `json:"answers"`
	// P is how probable a difference to the chosen variant as large as this would be by chance, corrected for the number of
	// comparisons. Missing for the chosen one.
	// +optional
	P string `json:"p,omitempty"`
}

// CampaignWinner is which variant the rest of the audience gets, and why.
type CampaignWinner struct {
	// Variant that was chosen: the one with the highest rate, the first of several that are equal.
	Variant string `json:"variant"`
	// Significant says that it did better than every other by more than chance explains (each p below 0.05). Where it did not,
	// nothing speaks for another variant either.
	Significant bool `json:"significant"`
	// P is how probable differences as large as those found would be if all variants did equally well (chi-squared test).
	P string `json:"p"`
	// Results by variant.
	// +listType=map
	// +listMapKey=name
	Results []VariantResult `json:"results"`
}

// CampaignStatus counts what happened. planned = sent + failed + ambiguous + skipped + pending, always.
type CampaignStatus struct {
	Status `json:",inline"`
	// Phase of the campaign's life.
	// +optional
	Phase CampaignPhase `json:"phase,omitempty"`
	// ScheduledFor is when the send begins, in UTC; of a campaign that recurs, the next occurrence. With timeZone: Recipient, when
	// it is that time in the first zone on Earth.
	// +optional
	ScheduledFor *metav1.Time `json:"scheduledFor,omitempty"`
	// Occurrence is the local date and time of that whose numbers these are, where the campaign recurs: the last one.
	// +optional
	Occurrence string `json:"occurrence,omitempty"`
	// LastPhase is how that occurrence stands.
	// +optional
	LastPhase CampaignPhase `json:"lastPhase,omitempty"`
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
	Progress           string `json:"progress,omitempty"`
	CampaignEngagement `json:",inline"`
	CampaignReturns    `json:",inline"`
	// Winner is the variant that the rest of the audience gets, once it is chosen.
	// +optional
	Winner *CampaignWinner `json:"winner,omitempty"`
	// Where it leaves: the channel and its type.
	// +optional
	Where string `json:"where,omitempty"`
	// What it says: the templates, and the locales of a publication.
	// +optional
	What string `json:"what,omitempty"`
	// Posts of a publication that are on the network; of one that recurs, those of the last occurrence.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +listType=map
	// +listMapKey=locale
	Posts []PublishedPost `json:"posts,omitempty"`
	// Command is what a person decided last beside the manifest; missing where nobody has.
	// +optional
	Command *CampaignCommand `json:"command,omitempty"`
	// FinishedAt is when the last outcome was known.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
}

// Campaign writes to an audience once, or once for each occurrence of its schedule; or it publishes posts on a social network.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=campaigns,shortName=camp,categories=crm
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Sent",type=string,JSONPath=`.status.progress`
// +kubebuilder:printcolumn:name="Skipped",type=integer,JSONPath=`.status.skipped`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.failed`
// +kubebuilder:printcolumn:name="Ambiguous",type=integer,JSONPath=`.status.ambiguous`
// +kubebuilder:printcolumn:name="At",type=string,JSONPath=`.status.scheduledFor`
// +kubebuilder:printcolumn:name="Where",type=string,JSONPath=`.status.where`
// +kubebuilder:printcolumn:name="What",type=string,JSONPath=`.status.what`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Healthy",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`
// +kubebuilder:printcolumn:name="Opened",type=integer,priority=1,JSONPath=`.status.opened`
// +kubebuilder:printcolumn:name="Clicked",type=integer,priority=1,JSONPath=`.status.clicked`
// +kubebuilder:printcolumn:name="Bounced",type=integer,priority=1,JSONPath=`.status.bounced`
// +kubebuilder:printcolumn:name="Complained",type=integer,priority=1,JSONPath=`.status.complained`
// +kubebuilder:printcolumn:name="Replied",type=integer,priority=1,JSONPath=`.status.replied`
// +kubebuilder:printcolumn:name="Occurrence",type=string,priority=1,JSONPath=`.status.occurrence`
// +kubebuilder:printcolumn:name="Winner",type=string,priority=1,JSONPath=`.status.winner.variant`
// +kubebuilder:printcolumn:name="Finished",type=date,priority=1,JSONPath=`.status.finishedAt`
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

// IsRolling tells whether those are written to as well who enter the audience while the campaign is being sent.
func (a *Audience) IsRolling() bool { return a.Mode == AudienceRolling }

// WeightOrDefault is the variant's share of the audience.
func (v *Variant) WeightOrDefault() int {
	if v.Weight == 0 {
		return 1
	}
	return int(v.Weight)
}
