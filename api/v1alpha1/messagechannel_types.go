package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ChannelType is a way to reach people.
// +kubebuilder:validation:Enum=Email;Webhook;Mastodon;Bluesky
type ChannelType string

// The types of channels.
const (
	EmailChannel    ChannelType = "Email"    // delivers over SMTP
	WebhookChannel  ChannelType = "Webhook"  // posts to an endpoint
	MastodonChannel ChannelType = "Mastodon" // posts and answers on Mastodon, and on other servers that have its API
	BlueskyChannel  ChannelType = "Bluesky"  // posts and answers on Bluesky
)

// TLSMode says how a connection to an SMTP server is protected.
// +kubebuilder:validation:Enum=StartTLS;Implicit;None
type TLSMode string

// The ways to protect a connection.
const (
	StartTLS    TLSMode = "StartTLS" // RFC 3207; refused where the server does not offer it
	ImplicitTLS TLSMode = "Implicit" // RFC 8314, usually port 465
	NoTLS       TLSMode = "None"     // plain, for a relay on the same machine only
)

// DKIMMode says who signs the mail.
// +kubebuilder:validation:Enum=Relay;Self;None
type DKIMMode string

// The ways to sign.
const (
	RelayDKIM DKIMMode = "Relay"
	SelfDKIM  DKIMMode = "Self"
	NoDKIM    DKIMMode = "None"
)

// DKIMSignature is how mail is signed that the relay does not sign.
type DKIMSignature struct {
	// Selector names the key within the domain: its public half stands in the TXT record at <selector>._domainkey.<domain>.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Selector string `json:"selector"`
	// Domain signs: that of From, or another of the same organisation, above or below it. Default: that of From.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Domain string `json:"domain,omitempty"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: channel, with the key "dkim-private-key": a private key in PEM,
	// RSA of 2048 to 4096 bits or Ed25519, without a passphrase.
	SecretRef LocalReference `json:"secretRef"`
}

// SMTPServer is where mail is handed over.
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || self.tls != 'None' || self.host in ['127.0.0.1', '::1', 'localhost']",message="credentials do not travel in the clear: set tls to StartTLS or Implicit, or remove secretRef"
type SMTPServer struct {
	// Host name or address of the relay.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host"`
	// Port of the relay: usually 587 with StartTLS, 465 with Implicit.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// TLS protects the connection: StartTLS (RFC 3207), Implicit (RFC 8314), or None, which must be said. The certificate is always verified.
	TLS TLSMode `json:"tls"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: channel, with the keys "username" and "password" for AUTH.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}

// EmailSettings tell how mail is sent.
// +kubebuilder:validation:XValidation:rule="(has(self.dkim) && self.dkim == 'Self') == has(self.dkimSignature)",message="dkim: Self and dkimSignature go together: say by which selector and key to sign, or remove dkimSignature"
type EmailSettings struct {
	// From is the author of the mail as people see it, such as Velo <hola@velo.example>.
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=320
	// +kubebuilder:validation:XValidation:rule="self.contains('@') && !self.contains('\\n') && !self.contains('\\r')",message="must be an address, such as Velo <hola@velo.example>"
	From string `json:"from"`
	// ReplyTo is where answers go. Default: From.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	// +kubebuilder:validation:XValidation:rule="self.contains('@') && !self.contains('\\n') && !self.contains('\\r')",message="must be an address, such as hola@velo.example"
	ReplyTo string `json:"replyTo,omitempty"`
	// SMTP is the relay.
	SMTP SMTPServer `json:"smtp"`
	// Connections is how many connections to the relay each worker holds at most. Default: 4.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Connections int32 `json:"connections,omitempty"`
	// DKIM says who signs: Relay (the relay signs every header that one-click unsubscription needs: List-Unsubscribe
	// and List-Unsubscribe-Post), Self (the workers sign, as dkimSignature says) or None (nobody; mail clients then get no
	// one-click header). Default: None.
	// +optional
	DKIM DKIMMode `json:"dkim,omitempty"`
	// DKIMSignature is how the workers sign with dkim: Self. Signing costs about a millisecond of a processor for each message
	// with an RSA key, and an eighth of that with Ed25519, which not every receiver verifies yet.
	// +optional
	DKIMSignature *DKIMSignature `json:"dkimSignature,omitempty"`
	// Returns tell how bounces, complaints and answers come back. Default: they do not.
	// +optional
	Returns *ReturnSettings `json:"returns,omitempty"`
}

// MessageChannelSpec declares a way to reach people.
// +kubebuilder:validation:XValidation:rule="self.type != 'Email' || has(self.email)",message="a channel of type Email needs spec.email: say who sends and over which relay"
// +kubebuilder:validation:XValidation:rule="self.type != 'Webhook' || has(self.webhook)",message="a channel of type Webhook needs spec.webhook: say where messages are posted"
// +kubebuilder:validation:XValidation:rule="self.type == 'Webhook' || !has(self.webhook)",message="spec.webhook is of channels of type Webhook: remove it, or set type: Webhook"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Mastodon') == has(self.mastodon)",message="type: Mastodon and spec.mastodon go together: say which account posts, or remove spec.mastodon"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Bluesky') == has(self.bluesky)",message="type: Bluesky and spec.bluesky go together: say which account posts, or remove spec.bluesky"
// +kubebuilder:validation:XValidation:rule="!(self.type in ['Mastodon', 'Bluesky']) || !has(self.email)",message="spec.email is of channels of type Email: remove it, or set type: Email"
// +kubebuilder:validation:XValidation:rule="self.type == 'Email' || !has(self.rate) || !has(self.rate.perDomainPerSecond)",message="rate.perDomainPerSecond is about receivers of mail: remove it, or set type: Email"
// +kubebuilder:validation:XValidation:rule="self.type == oldSelf.type",message="spec.type is never changed: write another MessageChannel"
type MessageChannelSpec struct {
	// Type of the channel; the member of the same name holds its settings.
	Type ChannelType `json:"type"`
	// Email holds the settings of type Email.
	// +optional
	Email *EmailSettings `json:"email,omitempty"`
	// Webhook holds the settings of type Webhook.
	// +optional
	Webhook *WebhookSettings `json:"webhook,omitempty"`
	// Mastodon holds the settings of type Mastodon.
	// +optional
	Mastodon *MastodonChannelSettings `json:"mastodon,omitempty"`
	// Bluesky holds the settings of type Bluesky.
	// +optional
	Bluesky *BlueskyChannelSettings `json:"bluesky,omitempty"`
	// Rate bounds how fast messages leave. Default: no bound.
	// +optional
	Rate *ChannelRate `json:"rate,omitempty"`
	// Suspend pauses every send over this channel. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// MessageChannelStatus tells whether the channel can be used.
type MessageChannelStatus struct {
	Status `json:",inline"`
	// Account is whose posts leave over a channel of type Mastodon or Bluesky, as the network said when a worker logged in, such as
	// @velo@mastodon.example. Absent until one did.
	// +optional
	Account string `json:"account,omitempty"`
	// Throttled lists receivers that have deferred mail and are written to more slowly, at most ten, by name. Only receivers of
	// so many people are listed that their name tells of nobody.
	// +optional
	// +listType=map
	// +listMapKey=receiver
	Throttled []ThrottledReceiver `json:"throttled,omitempty"`
	// CappedUntil is when the next day begins, while the bound of this one is reached.
	// +optional
	CappedUntil *metav1.Time `json:"cappedUntil,omitempty"`
}

// MessageChannel is a way to reach people: a sender and the server that takes its messages.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=messagechannels,shortName=mc,categories=crm
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="From",type=string,JSONPath=`.spec.email.from`
// +kubebuilder:printcolumn:name="Account",type=string,JSONPath=`.status.account`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Healthy",type=string,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.type`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 200",message="a channel's name stands in keys of a Secret: give it at most 200 characters"
type MessageChannel struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MessageChannelSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status MessageChannelStatus `json:"status,omitempty"`
}

// MessageChannelList is a list of channels.
// +kubebuilder:object:root=true
type MessageChannelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MessageChannel `json:"items"`
}

// CommonStatus implements Object.
func (c *MessageChannel) CommonStatus() *Status { return &c.Status.Status }

// IsSuspended implements Object.
func (c *MessageChannel) IsSuspended() bool { return c.Spec.Suspend }

// ConnectionsOrDefault is how many connections a worker may hold.
func (e *EmailSettings) ConnectionsOrDefault() int {
	if e.Connections == 0 {
		return 4
	}
	return int(e.Connections)
}
