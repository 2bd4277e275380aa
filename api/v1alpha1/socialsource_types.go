package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SourceType is a kind of network from which posts come.
// +kubebuilder:validation:Enum=Feed;Mastodon;Bluesky;Mailbox;Webhook
type SourceType string

// The types of sources.
const (
	FeedSource     SourceType = "Feed"     // RSS, Atom or JSON Feed
	MastodonSource SourceType = "Mastodon" // Mastodon's API, which other servers have too
	BlueskySource  SourceType = "Bluesky"
	MailboxSource  SourceType = "Mailbox" // IMAP
	WebhookSource  SourceType = "Webhook" // posted by another system, signed
)

// SourceState is what a source is doing.
type SourceState string

// The states of sources.
const (
	SourceListening SourceState = "Listening" // it is read
	SourceWaiting   SourceState = "Waiting"   // it was asked for patience, or has not been read yet
	SourceFailing   SourceState = "Failing"   // it cannot be read: the condition Healthy says why
	SourceSuspended SourceState = "Suspended" // somebody said so
)

// SocialSourceSpec declares what is fetched from where and stored. What counts of it is said by Monitors.
// +kubebuilder:validation:XValidation:rule="(self.type == 'Feed') == has(self.feed)",message="type: Feed and spec.feed go together: say which feed is read, or remove spec.feed"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Mastodon') == has(self.mastodon)",message="type: Mastodon and spec.mastodon go together: say what is read of which instance, or remove spec.mastodon"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Bluesky') == has(self.bluesky)",message="type: Bluesky and spec.bluesky go together: say what is looked for, or remove spec.bluesky"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Mailbox') == has(self.mailbox)",message="type: Mailbox and spec.mailbox go together: say which mailbox is read, or remove spec.mailbox"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Webhook') == has(self.webhook)",message="type: Webhook and spec.webhook go together: say with which key posts are signed, or remove spec.webhook"
// +kubebuilder:validation:XValidation:rule="self.type != 'Webhook' || !has(self.interval)",message="a source of type Webhook is written to, not asked: remove interval"
// +kubebuilder:validation:XValidation:rule="self.type != 'Feed' || !has(self.replyChannelRef)",message="nobody can be answered over a feed: remove replyChannelRef"
// +kubebuilder:validation:XValidation:rule="self.type == oldSelf.type",message="spec.type is never changed: write another SocialSource"
type SocialSourceSpec struct {
	// Type of the source; the member of the same name holds its settings.
	Type SourceType `json:"type"`
	// Feed holds the settings of type Feed.
	// +optional
	Feed *FeedSettings `json:"feed,omitempty"`
	// Mastodon holds the settings of type Mastodon.
	// +optional
	Mastodon *MastodonSettings `json:"mastodon,omitempty"`
	// Bluesky holds the settings of type Bluesky.
	// +optional
	Bluesky *BlueskySettings `json:"bluesky,omitempty"`
	// Mailbox holds the settings of type Mailbox.
	// +optional
	Mailbox *MailboxSettings `json:"mailbox,omitempty"`
	// Webhook holds the settings of type Webhook.
	// +optional
	Webhook *WebhookSourceSettings `json:"webhook,omitempty"`
	// ReplyChannelRef names the MessageChannel over which is answered what the source brings: one of type Mastodon for a Mastodon, Bluesky
	// for a Bluesky, Email for a Mailbox, Webhook for a Webhook. Default: what it brings cannot be answered.
	// +optional
	ReplyChannelRef *LocalReference `json:"replyChannelRef,omitempty"`
	// Languages whose posts are stored, such as [es, en]. A post of which the language is not known is always stored. Default: all.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +listType=set
	Languages []LanguageCode `json:"languages,omitempty"`
	// Interval is how often the network is asked, 30s to 1d, where it does not tell by itself. A network that wants to be asked less
	// often is asked less often. Default: 10m for a Feed, 1m for the others.
	// +optional
	Interval Duration `json:"interval,omitempty"`
	// Keep is how long what came in is kept, 1d to 3660d; what is older is forgotten, with those who wrote it. Default: 400d.
	// +optional
	Keep Duration `json:"keep,omitempty"`
	// Suspend stops listening. What is stored stays, and listening goes on where it stopped as far as the network still has it.
	// Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// SourceGap is a time of which nothing can be known any more.
type SourceGap struct {
	// From is when it began; absent where that is not known.
	// +optional
	From *metav1.Time `json:"from,omitempty"`
	// To is when it ended.
	To metav1.Time `json:"to"`
	// Reason says why, in words.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// SocialSourceStatus tells what came in.
type SocialSourceStatus struct {
	Status `json:",inline"`
	// State is what the source is doing: Listening, Waiting, Failing or Suspended.
	// +optional
	State SourceState `json:"state,omitempty"`
	// Brought is how many posts the source ever brought that were stored: those too that are forgotten by now, and those that another source
	// had brought before.
	// +optional
	Brought *int64 `json:"brought,omitempty"`
	// LastBrought is when the last of them came in.
	// +optional
	LastBrought *metav1.Time `json:"lastBrought,omitempty"`
	// Rejected is how many posts could not be read, and are missing.
	// +optional
	Rejected *int64 `json:"rejected,omitempty"`
	// Gaps is how many times something may have been missed.
	// +optional
	Gaps *int64 `json:"gaps,omitempty"`
	// LastGap is the last of them.
	// +optional
	LastGap *SourceGap `json:"lastGap,omitempty"`
	// Address is where the network posts to: for a source of type Webhook, and for a feed that announces what is new.
	// +optional
	Address string `json:"address,omitempty"`
}

// SocialSource is a place from which conversations come in: a feed, a network, a mailbox, or another system.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=socialsources,shortName=src,categories=crm
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Brought",type=integer,JSONPath=`.status.brought`
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.status.lastBrought`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Healthy",type=string,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Gaps",type=integer,JSONPath=`.status.gaps`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.type`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 200",message="a source's name stands in keys of a Secret: give it at most 200 characters"
type SocialSource struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec SocialSourceSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status SocialSourceStatus `json:"status,omitempty"`
}

// SocialSourceList is a list of sources.
// +kubebuilder:object:root=true
type SocialSourceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SocialSource `json:"items"`
}

// CommonStatus implements Object.
func (s *SocialSource) CommonStatus() *Status { return &s.Status.Status }

// IsSuspended implements Object.
func (s *SocialSource) IsSuspended() bool { return s.Spec.Suspend }
