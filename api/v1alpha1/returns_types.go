package v1alpha1

// ReturnSettings tell how bounces, complaints and answers come back. Without them a relay's refusals are all that is known of a
// message.
// +kubebuilder:validation:XValidation:rule="has(self.imap) != has(self.hook)",message="say by one of imap and hook how what comes back is taken in"
// +kubebuilder:validation:XValidation:rule="!has(self.imap) || has(self.address)",message="a mailbox needs returns.address, to which servers send their reports"
type ReturnSettings struct {
	// Address is where servers send their reports, such as bounces@velo.example: the envelope's sender of each message is this
	// address with a token that names the message (bounces+token@velo.example), so the mail server must take sub-addresses
	// (RFC 5233) for it. At most 16 characters stand before the @. SPF is judged by its domain. Default: the address of From, as
	// it is.
	// +optional
	// +kubebuilder:validation:MaxLength=250
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._-]{1,16}@[^@\\\\s<>]+$')",message="must be an address with at most 16 letters, digits, dots, hyphens and underscores before the @, such as bounces@velo.example: a token is added to it"
	Address string `json:"address,omitempty"`
	// IMAP is the mailbox into which they come.
	// +optional
	IMAP *ReturnMailbox `json:"imap,omitempty"`
	// Hook takes them from the provider of the relay, who posts them to <publicURL>/hooks/<channel>.
	// +optional
	Hook *ReturnHook `json:"hook,omitempty"`
}

// ReturnMailbox is a mailbox that workers read and leave as it is. Only what refers to a message of ours is kept of it.
type ReturnMailbox struct {
	// Host name or address of the IMAP server.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host"`
	// Port of the server: usually 993 with Implicit, 143 with StartTLS.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// TLS protects the connection: Implicit (RFC 8314), StartTLS, or None, which must be said. The certificate is always verified.
	TLS TLSMode `json:"tls"`
	// Mailbox to read. Default: INBOX.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Mailbox string `json:"mailbox,omitempty"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: channel, with the keys "username" and "password".
	SecretRef LocalReference `json:"secretRef"`
}

// MailboxOrDefault is the mailbox that is read.
func (m *ReturnMailbox) MailboxOrDefault() string {
	if m.Mailbox == "" {
		return "INBOX"
	}
	return m.Mailbox
}

// HookType is the shape in which a provider reports.
// +kubebuilder:validation:Enum=Generic;SES;Mailgun
type HookType string

// The shapes.
const (
	GenericHook HookType = "Generic" // our own, for any provider: docs/platform.md describes it
	SESHook     HookType = "SES"     // Amazon SES over SNS
	MailgunHook HookType = "Mailgun"
)

// ReturnHook is how a provider reports.
// +kubebuilder:validation:XValidation:rule="(self.type == 'SES') == has(self.topicARN)",message="a hook of type SES needs topicARN, the SNS topic that it believes, and no other type has one"
// +kubebuilder:validation:XValidation:rule="(self.type == 'SES') != has(self.secretRef)",message="a hook of type Generic or Mailgun needs secretRef, a Secret with the key hook-key, and SES has none: SNS signs with Amazon's certificate"
type ReturnHook struct {
	// Type is the provider's shape: Generic, SES or Mailgun.
	Type HookType `json:"type"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: channel, with the key "hook-key", by which the provider signs.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
	// TopicARN is the SNS topic whose messages are believed, such as arn:aws:sns:eu-west-1:123456789012:velo-bounces.
	// +optional
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+$')",message="must be the ARN of an SNS topic, such as arn:aws:sns:eu-west-1:123456789012:velo-bounces"
	TopicARN string `json:"topicARN,omitempty"`
}

// CampaignReturns count what came back of a campaign's messages, each message once. What never came back is missing.
type CampaignReturns struct {
	// Bounced is of how many messages a server told later that the address is gone. Nobody writes to it any more.
	// +optional
	Bounced *int64 `json:"bounced,omitempty"`
	// SoftBounced is of how many messages a server told later that it could not deliver them, without blame for the address: a full
	// mailbox, a filter, a server in trouble.
	// +optional
	SoftBounced *int64 `json:"softBounced,omitempty"`
	// Complained is how many messages were called spam by who got them.
	// +optional
	Complained *int64 `json:"complained,omitempty"`
	// Replied is how many messages a person answered.
	// +optional
	Replied *int64 `json:"replied,omitempty"`
}
