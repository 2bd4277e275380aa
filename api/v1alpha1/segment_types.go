package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SegmentSpec says who belongs.
type SegmentSpec struct {
	// Description tells people in words whom the segment holds.
	// +optional
	// +kubebuilder:validation:MaxLength=500
	Description string `json:"description,omitempty"`
	// Match is a CEL expression over a contact that says whether the contact belongs, such as
	// contact.plan == "club" && events("purchase").within("90d").count() == 0. It must not single out a person.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Match string `json:"match"`
	// Suspend freezes the membership as it is. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// SegmentStatus tells how many belong.
type SegmentStatus struct {
	Status `json:",inline"`
	// Members is how many contacts belong.
	// +optional
	Members *int64 `json:"members,omitempty"`
	// Definition is the digest of the expression that the membership was built with.
	// +optional
	Definition string `json:"definition,omitempty"`
	// LastBuilt is when the membership last changed or was built anew.
	// +optional
	LastBuilt *metav1.Time `json:"lastBuilt,omitempty"`
}

// Segment is a group of contacts, described by an expression and kept current.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=segments,shortName=seg,categories=crm
// +kubebuilder:printcolumn:name="Members",type=integer,JSONPath=`.status.members`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Built",type=date,JSONPath=`.status.lastBuilt`
// +kubebuilder:printcolumn:name="Description",type=string,JSONPath=`.spec.description`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Segment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec SegmentSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status SegmentStatus `json:"status,omitempty"`
}

// SegmentList is a list of segments.
// +kubebuilder:object:root=true
type SegmentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Segment `json:"items"`
}

// CommonStatus implements Object.
func (s *Segment) CommonStatus() *Status { return &s.Status.Status }

// IsSuspended implements Object.
func (s *Segment) IsSuspended() bool { return s.Spec.Suspend }
