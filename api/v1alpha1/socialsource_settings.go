package v1alpha1

// FeedSettings name a feed: RSS, Atom or JSON Feed.
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || self.url.startsWith('https://')",message="credentials do not travel in the clear: write url with https, or remove secretRef"
type FeedSettings struct {
	// URL of the feed, such as https://blog.velo.example/feed.xml. Addresses that are not public are for networks that the operator
	// allows (--listen-allow-network).
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=1000
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^@#\\\\s]+$')",message="must be an http(s) URL without a user and a fragment, such as https://blog.velo.example/feed.xml"
	URL string `json:"url"`
	// WebSub has the feed's hub, where it names one, post what is new to the source's address, so that nobody waits for the next
	// interval. Default: true.
	// +optional
	WebSub *bool `json:"webSub,omitempty"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: source, with the keys "username" and "password", for a feed that is
	// not for everybody.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}

// Hashtag is a hashtag, with or without #.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=100
// +kubebuilder:validation:XValidation:rule="self.matches('^#?[\\\\p{L}\\\\p{M}\\\\p{N}_·・]+$')",message="must be one hashtag of letters, digits and underscores, such as velociclismo"
type Hashtag string

// ListID is the id of a list of accounts.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]+$')",message="must be the id of a list, as it stands at the end of its address"
type ListID string

// MastodonSettings say what is read of a server that has Mastodon's API.
// +kubebuilder:validation:XValidation:rule="has(self.hashtags) || has(self.lists) || (has(self.mentions) && self.mentions)",message="say what is read: hashtags, mentions or lists"
// +kubebuilder:validation:XValidation:rule="has(self.secretRef) || !(has(self.lists) || (has(self.mentions) && self.mentions))",message="mentions and lists are an account's: name the Secret of its access-token in secretRef"
type MastodonSettings struct {
	// Instance is the server, such as https://mastodon.example. Addresses that are not public are for networks that the operator
	// allows (--listen-allow-network).
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https://[^@#?/\\\\s]+|http://(localhost|127[.][0-9.]+|\\\\[::1\\\\])(:[0-9]+)?)/?$')",message="must be the https URL of a server without a path, such as https://mastodon.example (http is for this machine alone)"
	Instance string `json:"instance"`
	// Hashtags whose posts are read, with or without #.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=24
	// +listType=set
	Hashtags []Hashtag `json:"hashtags,omitempty"`
	// Mentions reads what mentions the account whose token it is. Default: false.
	// +optional
	Mentions bool `json:"mentions,omitempty"`
	// Lists are ids of the account's lists, whose members' posts are read: accounts of organisations, such as the press.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +listType=set
	Lists []ListID `json:"lists,omitempty"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: source, with the key "access-token".
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}

// BlueskySettings say what is read of Bluesky.
// +kubebuilder:validation:XValidation:rule="has(self.keywords) || (has(self.mentions) && self.mentions)",message="say what is read: keywords or mentions"
// +kubebuilder:validation:XValidation:rule="has(self.secretRef) || !(has(self.mentions) && self.mentions)",message="mentions are an account's: name the Secret of its app password in secretRef"
type BlueskySettings struct {
	// Service is the account's server. Default: https://bsky.social.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https://[^@#?/\\\\s]+|http://(localhost|127[.][0-9.]+|\\\\[::1\\\\])(:[0-9]+)?)/?$')",message="must be the https URL of a server without a path, such as https://bsky.social (http is for this machine alone)"
	Service string `json:"service,omitempty"`
	// Jetstream is the stream of all posts, in which keywords are looked for. Default: wss://jetstream2.us-east.bsky.network/subscribe.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^wss?://[^@#?\\\\s]+$')",message="must be a ws(s) URL without a query, such as wss://jetstream2.us-east.bsky.network/subscribe"
	Jetstream string `json:"jetstream,omitempty"`
	// AppView is where the names of authors are asked for. Default: https://public.api.bsky.app beside a Jetstream of Bluesky's own network;
	// with another one none, and authors have no names.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https://[^@#?/\\\\s]+|http://(localhost|127[.][0-9.]+|\\\\[::1\\\\])(:[0-9]+)?)/?$')",message="must be the https URL of a server without a path, such as https://public.api.bsky.app (http is for this machine alone)"
	AppView string `json:"appView,omitempty"`
	// Keywords are terms of which a post has at least one to be stored. They are written as those of a Monitor's topics, and say
	// what is stored: write what all monitors look for.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=250
	// +listType=atomic
	Keywords []TopicTerm `json:"keywords,omitempty"`
	// Mentions reads what mentions, answers and quotes the account. Default: false.
	// +optional
	Mentions bool `json:"mentions,omitempty"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: source, with the keys "identifier", the account's handle, and
	// "app-password".
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}

// MailboxSettings name a mailbox to which people write. Mails are read and left as they are.
// +kubebuilder:validation:XValidation:rule="self.tls != 'None' || self.host in ['127.0.0.1', '::1', 'localhost']",message="credentials do not travel in the clear: set tls to StartTLS or Implicit"
type MailboxSettings struct {
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
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: source, with the keys "username" and "password".
	SecretRef LocalReference `json:"secretRef"`
}

// WebhookSourceSettings say how another system signs what it posts to the source's address.
type WebhookSourceSettings struct {
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: source, with the key "signing-key": at least 24 bytes, or whsec_ and
	// base64. While the key is being replaced it holds two, one on a line: what either signed is taken.
	SecretRef LocalReference `json:"secretRef"`
}
