package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Property is one typed value that an event carries.
type Property struct {
	// Name of the property in expressions and in the event's JSON.
	Name FieldName `json:"name"`
	// Type of the values. Decimals and integers are JSON numbers (a decimal may also be a string), dates and timestamps strings.
	Type ValueType `json:"type"`
	// Description tells authors of segments what the property means.
	// +optional
	// +kubebuilder:validation:MaxLength=500
	Description string `json:"description,omitempty"`
}

// EventTypeSpec declares what an event carries. The object's name is the event's name.
type EventTypeSpec struct {
	// Description tells authors of segments when the event happens.
	// +optional
	// +kubebuilder:validation:MaxLength=500
	Description string `json:"description,omitempty"`
	// Properties that the event carries; others are refused when it comes in.
	// +optional
	// +kubebuilder:validation:MaxItems=100
	// +listType=map
	// +listMapKey=name
	Properties []Property `json:"properties,omitempty"`
	// Suspend refuses new events of this name. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// EventTypeStatus tells whether events of this name are taken.
type EventTypeStatus struct {
	Status `json:",inline"`
}

// EventType declares an event that people cause, such as a purchase, and its properties.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=eventtypes,shortName=et,categories=crm
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Description",type=string,JSONPath=`.spec.description`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][a-z0-9_]{0,62}$') || self.metadata.name.matches('^[a-z][a-z0-9.-]{0,62}$')",message="an event's name has at most 63 characters and begins with a letter, such as purchase"
type EventType struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec EventTypeSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status EventTypeStatus `json:"status,omitempty"`
}

// EventTypeList is a list of event types.
// +kubebuilder:object:root=true
type EventTypeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EventType `json:"items"`
}

// CommonStatus implements Object.
func (e *EventType) CommonStatus() *Status { return &e.Status.Status }

// IsSuspended implements Object.
func (e *EventType) IsSuspended() bool { return e.Spec.Suspend }
