package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ReentryMode says whether somebody may go through a rule again.
// +kubebuilder:validation:Enum=Never;After;Always
type ReentryMode string

// The modes.
const (
	ReentryNever  ReentryMode = "Never"
	ReentryAfter  ReentryMode = "After"
	ReentryAlways ReentryMode = "Always"
)

// Reentry says whether and when somebody may go through a rule again. Nobody is in a rule twice at the same time.
// +kubebuilder:validation:XValidation:rule="(self.mode == 'After') == has(self.after)",message="after says how long after the last entry began another one may: give it with mode: After, and with no other mode"
type Reentry struct {
	// Mode is Never, After a time, or Always once the entry before has ended.
	Mode ReentryMode `json:"mode"`
	// After is how long after the last entry began another one may, such as 180d.
	// +optional
	After Duration `json:"after,omitempty"`
}

// OnEdit says what becomes of entries that are under way when the rule is edited.
// +kubebuilder:validation:Enum=Finish;Move
type OnEdit string

// The choices.
const (
	FinishOnEdit OnEdit = "Finish"
	MoveOnEdit   OnEdit = "Move"
)

// AutomationRuleSpec says what begins an entry, for whom, and which steps it then takes.
type AutomationRuleSpec struct {
	// Description tells people in words what the rule is for.
	// +optional
	// +kubebuilder:validation:MaxLength=500
	Description string `json:"description,omitempty"`
	// Trigger says what begins an entry.
	Trigger RuleTrigger `json:"trigger"`
	// When is a condition in CEL that the event and the contact must meet for an entry to begin, such as
	// event.amount > 50.0 && contact.plan == "club". It must not single out a person. Default: always.
	// +optional
	When RuleExpression `json:"when,omitempty"`
	// Key names a field of what began the entry, such as mention.thread: there is at most one entry under way for each of its values.
	// Default: for each contact.
	// +optional
	// +kubebuilder:validation:MaxLength=80
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)+$')",message="must be a field of what began the entry, such as mention.thread"
	Key string `json:"key,omitempty"`
	// Reentry says whether and when somebody may go through the rule again. Default: never.
	// +optional
	Reentry *Reentry `json:"reentry,omitempty"`
	// Exit is a condition in CEL that ends an entry early. It is asked whenever the entry wakes. Default: none.
	// +optional
	Exit RuleExpression `json:"exit,omitempty"`
	// MaxPerHour is how many entries may begin in any hour. What is above waits its turn. Default: no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	MaxPerHour int64 `json:"maxPerHour,omitempty"`
	// OnEdit says what becomes of entries that are under way when the steps are edited. Finish: they end on the version that they
	// began with. Move: they go on in the new one where their step's name is still there, and else end on theirs. Default: Finish.
	// +optional
	OnEdit OnEdit `json:"onEdit,omitempty"`
	// Steps are taken one after the other, unless a step says which is next.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +listType=map
	// +listMapKey=name
	Steps []RuleStep `json:"steps"`
	// Suspend begins no entries and holds those that are under way; what should have begun meanwhile does not begin later. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// AutomationRuleStatus counts the entries.
type AutomationRuleStatus struct {
	Status `json:",inline"`
	// Begins tells in a few words what begins an entry.
	// +optional
	Begins string `json:"begins,omitempty"`
	// Version of the rule that new entries begin with.
	// +optional
	Version *int64 `json:"version,omitempty"`
	// Active is how many entries are under way, those that wait included.
	// +optional
	Active *int64 `json:"active,omitempty"`
	// Waiting is how many of them wait for a time or an event.
	// +optional
	Waiting *int64 `json:"waiting,omitempty"`
	// Stuck is how many cannot go on by themselves.
	// +optional
	Stuck *int64 `json:"stuck,omitempty"`
	// Fired is how many entries have ever begun.
	// +optional
	Fired *int64 `json:"fired,omitempty"`
}

// AutomationRule does something each time that something happens: for each contact, in named steps, each of which is taken once.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=automationrules,shortName=rule,categories=crm
// +kubebuilder:printcolumn:name="On",type=string,JSONPath=`.status.begins`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.active`
// +kubebuilder:printcolumn:name="Waiting",type=integer,JSONPath=`.status.waiting`
// +kubebuilder:printcolumn:name="Stuck",type=integer,JSONPath=`.status.stuck`
// +kubebuilder:printcolumn:name="Fired",type=integer,JSONPath=`.status.fired`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Healthy",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`
// +kubebuilder:printcolumn:name="Description",type=string,JSONPath=`.spec.description`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AutomationRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec AutomationRuleSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status AutomationRuleStatus `json:"status,omitempty"`
}

// AutomationRuleList is a list of rules.
// +kubebuilder:object:root=true
type AutomationRuleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AutomationRule `json:"items"`
}

// CommonStatus implements Object.
func (r *AutomationRule) CommonStatus() *Status { return &r.Status.Status }

// IsSuspended implements Object.
func (r *AutomationRule) IsSuspended() bool { return r.Spec.Suspend }
