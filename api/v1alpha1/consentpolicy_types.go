package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LegalBasis is the legal basis on which messages of a purpose are sent (GDPR, article 6).
// +kubebuilder:validation:Enum=Consent;Contract;LegitimateInterest;LegalObligation
type LegalBasis string

// The bases.
const (
	BasisConsent            LegalBasis = "Consent"
	BasisContract           LegalBasis = "Contract"
	BasisLegitimateInterest LegalBasis = "LegitimateInterest"
	BasisLegalObligation    LegalBasis = "LegalObligation"
)

// LocalizedLabel names a purpose to the people who are written to.
type LocalizedLabel struct {
	// Locale that this is written in, such as es.
	Locale Locale `json:"locale"`
	// Label is the purpose's name on the preference page, such as Newsletter.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=80
	Label string `json:"label"`
	// Description says beneath it what comes and how often.
	// +optional
	// +kubebuilder:validation:MaxLength=300
	Description string `json:"description,omitempty"`
}

// LocalizedText is a text in one language.
type LocalizedText struct {
	// Locale that this is written in, such as es.
	Locale Locale `json:"locale"`
	// Content is the text, word for word.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4000
	Content string `json:"content"`
}

// ConsentText is what people are asked when they give their consent.
type ConsentText struct {
	// Version names the text in the proof of each consent, such as 2027-01. A text that has been in force under a version is
	// never changed: another wording needs another version.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$')",message="must be letters, digits, dots, hyphens and underscores, such as 2027-01"
	Version string `json:"version"`
	// Content by locale, as the site's form shows it.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=30
	// +listType=map
	// +listMapKey=locale
	Content []LocalizedText `json:"content"`
}

// ConsentPurpose is something for which people are written to.
// +kubebuilder:validation:XValidation:rule="!has(self.doubleOptIn) || !self.doubleOptIn || self.basis == 'Consent'",message="doubleOptIn asks for a consent: set basis: Consent, or remove it"
type ConsentPurpose struct {
	// Name of the purpose, as campaigns and imports write it.
	Name PurposeName `json:"name"`
	// Basis is the legal basis of its messages. Consent: only who has granted the purpose is written to. Contract and
	// LegitimateInterest: everybody but who has refused it. LegalObligation: everybody, and nobody can refuse it.
	Basis LegalBasis `json:"basis"`
	// Labels are what the purpose is called on the preference page. Default: its name.
	// +optional
	// +kubebuilder:validation:MaxItems=30
	// +listType=map
	// +listMapKey=locale
	Labels []LocalizedLabel `json:"labels,omitempty"`
	// Text is what people agree to. Its version stands in the proof of each consent.
	// +optional
	Text *ConsentText `json:"text,omitempty"`
	// DoubleOptIn has a consent that was given over a form count only when the holder of the address has confirmed it by the
	// mail of spec.confirmation. Default: false.
	// +optional
	DoubleOptIn bool `json:"doubleOptIn,omitempty"`
}

// Confirmation is the mail that asks whether a consent is meant.
type Confirmation struct {
	// TemplateRef names the MessageTemplate of the mail. It must show {{ confirm_url }}.
	TemplateRef LocalReference `json:"templateRef"`
	// ChannelRef names the MessageChannel that it goes over.
	ChannelRef LocalReference `json:"channelRef"`
	// ValidFor is how long the link in the mail can be followed, such as 7d. Default: 7d. At most 90d.
	// +optional
	ValidFor Duration `json:"validFor,omitempty"`
}

// ConsentRetention says what is kept for how long.
type ConsentRetention struct {
	// UnconfirmedRequests is how long a request that nobody confirmed is kept, with the contact that was made for it, such as
	// 30d. Default: 30d.
	// +optional
	UnconfirmedRequests Duration `json:"unconfirmedRequests,omitempty"`
	// EndedProofs is how long the proof of a consent is kept once it has been withdrawn or replaced, such as 1095d. The proof of
	// a consent that is in force is kept as long as the consent. Default: for ever.
	// +optional
	EndedProofs Duration `json:"endedProofs,omitempty"`
}

// ConsentPolicySpec declares for what people are written to, and on which legal basis.
// +kubebuilder:validation:XValidation:rule="has(self.confirmation) || !self.purposes.exists(p, has(p.doubleOptIn) && p.doubleOptIn)",message="a purpose with doubleOptIn needs spec.confirmation: name the template and the channel of the mail that asks"
type ConsentPolicySpec struct {
	// Purposes that campaigns of the namespace may have. While any ConsentPolicy is in force, a campaign with another purpose is
	// Stalled.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +listType=map
	// +listMapKey=name
	Purposes []ConsentPurpose `json:"purposes"`
	// Confirmation is the mail by which consents are confirmed. Default: none is sent.
	// +optional
	Confirmation *Confirmation `json:"confirmation,omitempty"`
	// Retention says what is kept for how long.
	// +optional
	Retention *ConsentRetention `json:"retention,omitempty"`
	// Suspend takes the policy out of force: its purposes are as if no policy knew them. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// ConsentPolicyStatus tells what is in force.
type ConsentPolicyStatus struct {
	Status `json:",inline"`
	// Purposes that are in force, in order.
	// +optional
	// +kubebuilder:validation:MaxItems=50
	// +listType=set
	Purposes []PurposeName `json:"purposes,omitempty"`
}

// ConsentPolicy declares for what people are written to, on which legal basis, and how they agree to it.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=consentpolicies,shortName=cpol,categories=crm
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Purposes",type=string,JSONPath=`.status.purposes`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ConsentPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ConsentPolicySpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status ConsentPolicyStatus `json:"status,omitempty"`
}

// ConsentPolicyList is a list of policies about consent.
// +kubebuilder:object:root=true
type ConsentPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ConsentPolicy `json:"items"`
}

// CommonStatus implements Object.
func (p *ConsentPolicy) CommonStatus() *Status { return &p.Status.Status }

// IsSuspended implements Object.
func (p *ConsentPolicy) IsSuspended() bool { return p.Spec.Suspend }
