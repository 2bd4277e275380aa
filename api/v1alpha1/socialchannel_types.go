package v1alpha1

// DefaultBlueskyService is the server of most accounts of Bluesky.
const DefaultBlueskyService = "https://bsky.social"

// MastodonChannelSettings name the account that posts and answers on a server that has Mastodon's API.
type MastodonChannelSettings struct {
	// Instance is the account's server, such as https://mastodon.example. Addresses that are not public are for networks that the operator
	// allows (--listen-allow-network).
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https://[^@#?/\\\\s]+|http://(localhost|127[.][0-9.]+|\\\\[::1\\\\])(:[0-9]+)?)/?$')",message="must be the https URL of a server without a path, such as https://mastodon.example (http is for this machine alone)"
	Instance string `json:"instance"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: channel, with the key "access-token": a token of the account with the scopes
	// read:accounts, read:statuses, write:statuses and write:media.
	SecretRef LocalReference `json:"secretRef"`
}

// BlueskyChannelSettings name the account that posts and answers on Bluesky, or on another network of the AT Protocol.
type BlueskyChannelSettings struct {
	// Service is the account's server. Default: https://bsky.social. Addresses that are not public are for networks that the operator allows
	// (--listen-allow-network).
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https://[^@#?/\\\\s]+|http://(localhost|127[.][0-9.]+|\\\\[::1\\\\])(:[0-9]+)?)/?$')",message="must be the https URL of a server without a path, such as https://bsky.social (http is for this machine alone)"
	Service string `json:"service,omitempty"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: channel, with the keys "identifier", the account's handle or DID, and
	// "app-password".
	SecretRef LocalReference `json:"secretRef"`
}

// ServiceOrDefault is the account's server.
func (b *BlueskyChannelSettings) ServiceOrDefault() string {
	if b.Service == "" {
		return DefaultBlueskyService
	}
	return b.Service
}
