package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConfigMapKeyReference names a key of a ConfigMap in the same namespace.
type ConfigMapKeyReference struct {
	// Name of the ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key in its data.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// ContentSource says where a text is kept.
type ContentSource struct {
	// ConfigMapKeyRef names the ConfigMap and its key; kustomize's configMapGenerator makes one from a file.
	ConfigMapKeyRef ConfigMapKeyReference `json:"configMapKeyRef"`
}

// LocalizedContent is a message in one language. All texts are Liquid templates over contact, tenant and unsubscribe_url; a post on a
// social network has no contact, and reads tenant alone.
// +kubebuilder:validation:XValidation:rule="!(has(self.html) && has(self.htmlFrom))",message="say the HTML once: html for a short text, or htmlFrom for a file"
// +kubebuilder:validation:XValidation:rule="has(self.html) || has(self.htmlFrom) || has(self.text) || has(self.textFrom)",message="there is nothing to say: give html or htmlFrom for a mail, text or textFrom for a post or an answer on a social network"
// +kubebuilder:validation:XValidation:rule="has(self.subject) || !has(self.html) && !has(self.htmlFrom)",message="a mail needs a subject: give one, or remove the HTML of what is a post or an answer on a social network"
// +kubebuilder:validation:XValidation:rule="!(has(self.text) && has(self.textFrom))",message="say the plain text once: text or textFrom; without either it is made from the HTML"
type LocalizedContent struct {
	// Locale that this content is written in, such as es.
	Locale Locale `json:"locale"`
	// Subject line. What is a post or an answer on a social network, and no mail, has none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Subject string `json:"subject,omitempty"`
	// HTML body. What a contact's data adds is escaped unless the template says raw.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	HTML string `json:"html,omitempty"`
	// HTMLFrom takes the HTML body from a ConfigMap.
	// +optional
	HTMLFrom *ContentSource `json:"htmlFrom,omitempty"`
	// Text body, for readers that show no HTML, and what a social network gets. In what is published, a line that holds --- and
	// nothing else begins the next post of a thread. Default: made from the HTML.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	Text string `json:"text,omitempty"`
	// TextFrom takes the text body from a ConfigMap.
	// +optional
	TextFrom *ContentSource `json:"textFrom,omitempty"`
}

// MessageTemplateSpec declares a message in the tenant's languages.
// +kubebuilder:validation:XValidation:rule="self.content.exists(c, c.locale == self.defaultLocale)",message="spec.content has nothing in spec.defaultLocale: add that locale's content or change defaultLocale"
type MessageTemplateSpec struct {
	// DefaultLocale is used for contacts whose language has no content.
	DefaultLocale Locale `json:"defaultLocale"`
	// Content by locale. A contact with es-MX gets es-MX, else es, else the default.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=30
	// +listType=map
	// +listMapKey=locale
	Content []LocalizedContent `json:"content"`
	// Suspend stops sends that use this template. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// TemplateWarning is something that keeps no message from being sent, and that a reader would stumble over.
type TemplateWarning struct {
	// Reason in a word: LocaleMissing, UnsubscribeMissing, LinkMalformed, LinkInsecure, ImageWithoutText, TextFromHTML, TooLarge or
	// SampleFails.
	Reason string `json:"reason"`
	// Locale of the content, or the one that is missing.
	Locale Locale `json:"locale"`
	// Part of the content: subject, html or text. Empty for the content as a whole.
	// +optional
	Part string `json:"part,omitempty"`
	// Line in the part, from 1. Absent where the part as a whole is meant.
	// +optional
	Line int32 `json:"line,omitempty"`
	// Column in the line, from 1, in characters.
	// +optional
	Column int32 `json:"column,omitempty"`
	// Message says what is amiss and how to mend it.
	Message string `json:"message"`
}

// MessageTemplateStatus tells what was compiled.
type MessageTemplateStatus struct {
	Status `json:",inline"`
	// Digest of the content in force: the first 12 hexadecimal digits of its SHA-256.
	// +optional
	Digest string `json:"digest,omitempty"`
	// Locales that content in force exists for.
	// +optional
	// +kubebuilder:validation:MaxItems=30
	// +listType=atomic
	Locales []Locale `json:"locales,omitempty"`
	// Variables that the template uses.
	// +optional
	// +listType=set
	Variables []string `json:"variables,omitempty"`
	// Warnings are the first thirty of what a check of the content found.
	// +optional
	// +kubebuilder:validation:MaxItems=30
	// +listType=atomic
	Warnings []TemplateWarning `json:"warnings,omitempty"`
}

// MessageTemplate is the content of a message, by locale, in Liquid.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=messagetemplates,shortName=mt,categories=crm
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Checked",type=string,JSONPath=`.status.conditions[?(@.type=="Checked")].status`
// +kubebuilder:printcolumn:name="Locales",type=string,JSONPath=`.status.locales`
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.status.digest`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MessageTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MessageTemplateSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status MessageTemplateStatus `json:"status,omitempty"`
}

// MessageTemplateList is a list of templates.
// +kubebuilder:object:root=true
type MessageTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MessageTemplate `json:"items"`
}

// CommonStatus implements Object.
func (t *MessageTemplate) CommonStatus() *Status { return &t.Status.Status }

// IsSuspended implements Object.
func (t *MessageTemplate) IsSuspended() bool { return t.Spec.Suspend }
