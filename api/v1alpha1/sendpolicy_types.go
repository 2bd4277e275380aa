package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PurposeName is what messages are for, such as newsletter.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=40
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_-]*$')",message="must be lower-case letters, digits, hyphens and underscores, such as newsletter"
type PurposeName string

// FrequencyCap bounds how many messages a person gets within a time.
type FrequencyCap struct {
	// Name of the cap within its policy.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower-case letters, digits and hyphens, such as weekly"
	Name string `json:"name"`
	// Purposes whose messages are counted together, and which stop when the cap is reached. Default: all that the policy is for.
	// +optional
	// +kubebuilder:validation:MaxItems=50
	// +listType=set
	Purposes []PurposeName `json:"purposes,omitempty"`
	// Max is the most messages that a person gets within the window. Who has had as many is left out, with the reason FrequencyCap.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max int32 `json:"max"`
	// Window is how far back messages are counted, such as 7d. At most 366d.
	Window Duration `json:"window"`
}

// CampaignRule is a condition that every campaign of the policy must satisfy.
type CampaignRule struct {
	// Name of the rule within its policy.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower-case letters, digits and hyphens, such as not-on-sundays"
	Name string `json:"name"`
	// Expression in the language of segments over campaign, true for a campaign that may be sent. campaign has name, sendKey, purpose,
	// channel, priority (Bulk or Transactional), the lists segments, exclude and templates, maxRecipients, cron ("" for one that is sent
	// once), rolling, and of one that is sent once startsAt, date, weekday (such as Sunday) and time (such as 09:30) in its own zone.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2000
	Expression string `json:"expression"`
	// Message tells the author of a campaign that breaks the rule what to do.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	Message string `json:"message"`
}

// SendPolicySpec bounds what campaigns of the namespace may do.
type SendPolicySpec struct {
	// Purposes that the policy is for. Default: every purpose.
	// +optional
	// +kubebuilder:validation:MaxItems=50
	// +listType=set
	Purposes []PurposeName `json:"purposes,omitempty"`
	// ExemptPurposes are those that the policy is not for, such as receipts and other messages that people wait for. Default: none.
	// +optional
	// +kubebuilder:validation:MaxItems=50
	// +listType=set
	ExemptPurposes []PurposeName `json:"exemptPurposes,omitempty"`
	// FrequencyCaps bound how many messages a person gets. All of them hold.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +listType=map
	// +listMapKey=name
	FrequencyCaps []FrequencyCap `json:"frequencyCaps,omitempty"`
	// QuietHours are those in which nobody is written to, by the recipient's own clock, or the tenant's where no zone is known of
	// them. What is due in them waits.
	// +optional
	// +kubebuilder:validation:MaxItems=14
	// +listType=atomic
	QuietHours []HoursWindow `json:"quietHours,omitempty"`
	// MaxAudience is the largest audience that a campaign may have, and the largest spec.audience.maxRecipients that it may
	// declare. Default: no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	MaxAudience int64 `json:"maxAudience,omitempty"`
	// Rules that every campaign must satisfy. One that does not is Stalled and sends nothing.
	// +optional
	// +kubebuilder:validation:MaxItems=20
	// +listType=map
	// +listMapKey=name
	Rules []CampaignRule `json:"rules,omitempty"`
	// Suspend takes the policy out of force. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// CampaignViolation is a campaign that breaks a policy.
type CampaignViolation struct {
	// Campaign is its name.
	Campaign string `json:"campaign"`
	// Message tells what to do, as the campaign's own status does.
	Message string `json:"message"`
}

// SendPolicyStatus tells which campaigns break the policy.
type SendPolicyStatus struct {
	Status `json:",inline"`
	// Violations is how many campaigns break the policy; they send nothing.
	// +optional
	Violations *int32 `json:"violations,omitempty"`
	// CampaignsInViolation are the first twenty of them, by name.
	// +optional
	// +kubebuilder:validation:MaxItems=20
	// +listType=map
	// +listMapKey=campaign
	CampaignsInViolation []CampaignViolation `json:"campaignsInViolation,omitempty"`
}

// SendPolicy bounds how often, when and to how many people campaigns are sent, and what campaigns may declare.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=sendpolicies,shortName=spol,categories=crm
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Violations",type=integer,JSONPath=`.status.violations`
// +kubebuilder:printcolumn:name="Purposes",type=string,JSONPath=`.spec.purposes`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SendPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec SendPolicySpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status SendPolicyStatus `json:"status,omitempty"`
}

// SendPolicyList is a list of policies about sends.
// +kubebuilder:object:root=true
type SendPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SendPolicy `json:"items"`
}

// CommonStatus implements Object.
func (p *SendPolicy) CommonStatus() *Status { return &p.Status.Status }

// IsSuspended implements Object.
func (p *SendPolicy) IsSuspended() bool { return p.Spec.Suspend }
