package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ChannelRate bounds how fast messages leave over a channel. All workers share the bounds.
type ChannelRate struct {
	// PerSecond is how many messages leave over the channel in a second. After a rest the messages of one second may leave at
	// once; those of campaigns with priority Transactional may exceed the bound by as many, which mass mails then wait for.
	// Default: no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	PerSecond int32 `json:"perSecond,omitempty"`
	// PerDomainPerSecond is the same for the messages to one receiver: a domain, or the domains whose mail exchangers are the
	// same provider's, where workers can look those up. Default: no bound. With or without one, a receiver that defers mail
	// (421, 45x) is written to more slowly, and not at all for a while, until it takes mail again.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	PerDomainPerSecond int32 `json:"perDomainPerSecond,omitempty"`
	// PerDay is how many messages leave over the channel in a day of the tenant's time zone. Those of campaigns with priority
	// Transactional may exceed it by a tenth. What is left waits for the next day. The day on which the field is set counts from
	// that moment. Default: no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	PerDay int64 `json:"perDay,omitempty"`
	// WarmUp bounds the first days of a sender whom receivers do not know yet. The lower of it and of perDay counts.
	// Default: no warm-up.
	// +optional
	WarmUp *WarmUp `json:"warmUp,omitempty"`
}

// WarmUp bounds the first days of a new sender.
// +kubebuilder:validation:XValidation:rule="self.steps.exists(s, s.day == 1)",message="a warm-up begins with day 1: add a step with day: 1 that says how many messages may leave on it"
type WarmUp struct {
	// StartsOn is day 1, in the tenant's time zone, such as 2027-03-01. Before it the bound of day 1 holds.
	// +kubebuilder:validation:MaxLength=10
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}$')",message="must be a day, such as 2027-03-01"
	StartsOn string `json:"startsOn"`
	// Steps are the days from which on another bound holds. The bound of the last step holds until warmUp is removed.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=60
	// +listType=map
	// +listMapKey=day
	Steps []WarmUpStep `json:"steps"`
}

// WarmUpStep is the bound of the days from one on.
type WarmUpStep struct {
	// Day is the first day of the step; 1 is startsOn.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=366
	Day int32 `json:"day"`
	// PerDay is how many messages leave on each day of the step.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	PerDay int64 `json:"perDay"`
}

// ThrottledReceiver is a receiver of mail that is written to more slowly than the channel allows.
type ThrottledReceiver struct {
	// Receiver is the domain, or that of the provider's mail exchangers.
	Receiver string `json:"receiver"`
	// Until is when its last pause ends or ended.
	Until metav1.Time `json:"until"`
}
