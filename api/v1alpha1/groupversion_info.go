// Package v1alpha1 holds the kinds of crm.tertulia.dev/v1alpha1, the configuration of a Social CRM.
//
// A namespace is a tenant: it holds one CRMTenant, named "default", and every other object in it belongs to
// that tenant. References name objects in the same namespace. Versions are additive.
//
// +kubebuilder:object:generate=true
// +groupName=crm.tertulia.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "crm.tertulia.dev", Version: "v1alpha1"}

// SchemeBuilder registers the kinds of this package.
var SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme adds the kinds of this package to a scheme.
var AddToScheme = SchemeBuilder.AddToScheme

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&CRMTenant{}, &CRMTenantList{},
		&RecordType{}, &RecordTypeList{},
		&EventType{}, &EventTypeList{},
		&MessageChannel{}, &MessageChannelList{},
		&MessageTemplate{}, &MessageTemplateList{},
		&Segment{}, &SegmentList{},
		&Campaign{}, &CampaignList{},
		&SendPolicy{}, &SendPolicyList{},
		&ConsentPolicy{}, &ConsentPolicyList{},
		&SocialSource{}, &SocialSourceList{},
		&Monitor{}, &MonitorList{},
		&AutomationRule{}, &AutomationRuleList{},
		&ServiceQueue{}, &ServiceQueueList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
