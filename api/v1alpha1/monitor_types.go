package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TopicRole is what a topic is to the brand.
// +kubebuilder:validation:Enum=Brand;Product;Competitor
type TopicRole string

// The roles.
const (
	BrandTopic      TopicRole = "Brand"
	ProductTopic    TopicRole = "Product"
	CompetitorTopic TopicRole = "Competitor"
)

// MonitorTopic is what somebody wants to hear about. A post is about it when at least one term of any is found, one of with if there
// are any, and none of none. What is found inside of an except does not count.
type MonitorTopic struct {
	// Name of the topic within its monitor, such as velo.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower-case letters, digits and hyphens, such as velo"
	Name string `json:"name"`
	// Role is what it is to the brand: Brand, Product or Competitor. The share of voice compares those of the brand with those of
	// competitors, and only what is not a competitor's can be a crisis.
	Role TopicRole `json:"role"`
	// Any are the terms of which one is enough.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=250
	// +listType=atomic
	Any []TopicTerm `json:"any"`
	// With are terms of which one has to be there too: what a name that means many things is talked of with.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=250
	// +listType=atomic
	With []TopicTerm `json:"with,omitempty"`
	// None are terms that must not be there.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=250
	// +listType=atomic
	None []TopicTerm `json:"none,omitempty"`
	// Except are words and phrases in which the terms of any do not count: "velo de novia" for the brand Velo.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=250
	// +listType=atomic
	Except []TopicTerm `json:"except,omitempty"`
}

// CrisisSettings say from when on negative mentions are an incident. What is usual is learned: these keep small numbers quiet.
type CrisisSettings struct {
	// MinNegatives is how many negative mentions a burst has at least. Default: 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MinNegatives int32 `json:"minNegatives,omitempty"`
	// MinAuthors is how many people write them at least. Default: 3.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MinAuthors int32 `json:"minAuthors,omitempty"`
	// CoolDown is for how long nothing has to be unusual before an incident closes, 30m to 3d. Default: 6h.
	// +optional
	CoolDown Duration `json:"coolDown,omitempty"`
	// TimeZone is whose hours and weekends are the usual ones, such as Europe/Madrid. Default: the tenant's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
}

// AccountName is an account of the brand on a network.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=200
// +kubebuilder:validation:XValidation:rule="self.matches('^[^\\\\s<>\"]+$')",message="must be the name of an account without spaces, such as @velo@social.example"
type AccountName string

// MonitorSpec says what is looked for in what sources stored, and from when on it is a crisis.
type MonitorSpec struct {
	// Description tells people in words what is watched.
	// +optional
	// +kubebuilder:validation:MaxLength=500
	Description string `json:"description,omitempty"`
	// Topics are found in each post as it comes in, and after an edit in those that are stored.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +listType=map
	// +listMapKey=name
	Topics []MonitorTopic `json:"topics"`
	// Sources are the SocialSources whose posts count. Default: all of the namespace.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +listType=map
	// +listMapKey=name
	Sources []LocalReference `json:"sources,omitempty"`
	// Accounts are the brand's own, written as in topics: @velo@social.example, a DID, the address of a mailbox. What they write
	// answers people, by which response times are told, and asks nothing itself. Default: none.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +listType=set
	Accounts []AccountName `json:"accounts,omitempty"`
	// Crisis says from when on negative mentions are an incident. Default: as its fields say.
	// +optional
	Crisis *CrisisSettings `json:"crisis,omitempty"`
	// Suspend stops looking for the topics, and raises no alarm. What was counted stays. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// BaselineState tells whether it is known what is usual.
type BaselineState string

// The states of a baseline.
const (
	BaselineLearning BaselineState = "Learning" // less than a week is known
	BaselineReady    BaselineState = "Ready"
)

// MonitorStatus tells how much is said, and how.
type MonitorStatus struct {
	Status `json:",inline"`
	// Topics is how many are looked for.
	// +optional
	Topics *int32 `json:"topics,omitempty"`
	// Preparing is how many topics are still being looked for in what is stored.
	// +optional
	Preparing *int32 `json:"preparing,omitempty"`
	// Baseline tells whether it is known of every topic that can raise the alarm what is usual: Ready, or Learning.
	// +optional
	Baseline BaselineState `json:"baseline,omitempty"`
	// Mentions24h is how many posts of the last 24 hours are about the brand and its products.
	// +optional
	Mentions24h *int64 `json:"mentions24h,omitempty"`
	// NegativePercent is how many of a hundred of them are negative.
	// +optional
	NegativePercent *int32 `json:"negativePercent,omitempty"`
	// OpenIncidents is how many bursts of negative mentions are going on.
	// +optional
	OpenIncidents *int32 `json:"openIncidents,omitempty"`
}

// Monitor looks for topics in what sources stored, counts how they are talked of, and raises the alarm when negative mentions burst.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=monitors,shortName=mon,categories=crm
// +kubebuilder:printcolumn:name="Topics",type=integer,JSONPath=`.status.topics`
// +kubebuilder:printcolumn:name="Baseline",type=string,JSONPath=`.status.baseline`
// +kubebuilder:printcolumn:name="Mentions 24h",type=integer,JSONPath=`.status.mentions24h`
// +kubebuilder:printcolumn:name="Negative %",type=integer,JSONPath=`.status.negativePercent`
// +kubebuilder:printcolumn:name="Incidents",type=integer,JSONPath=`.status.openIncidents`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Description",type=string,JSONPath=`.spec.description`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Monitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MonitorSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status MonitorStatus `json:"status,omitempty"`
}

// MonitorList is a list of monitors.
// +kubebuilder:object:root=true
type MonitorList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Monitor `json:"items"`
}

// CommonStatus implements Object.
func (m *Monitor) CommonStatus() *Status { return &m.Status.Status }

// IsSuspended implements Object.
func (m *Monitor) IsSuspended() bool { return m.Spec.Suspend }
