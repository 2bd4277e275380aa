package v1alpha1

// WebhookSettings tell where messages are posted: each is the JSON body of a POST of its own, signed as Standard Webhooks says
// (https://www.standardwebhooks.com).
type WebhookSettings struct {
	// URL of the endpoint, such as https://hooks.velo.example/messages. http is for networks that the operator allows
	// (--webhook-networks), and so is every address that is not public. Redirects are not followed.
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2000
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^@#\\\\s]+$')",message="must be an http(s) URL without a user and a fragment, such as https://hooks.velo.example/messages"
	URL string `json:"url"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: channel, with the key "signing-key": at least 24 bytes, or whsec_
	// and base64. While the key is being replaced it holds two, one on a line: messages are signed by both.
	SecretRef LocalReference `json:"secretRef"`
	// Connections is how many connections to the endpoint each worker holds at most. Default: 4.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Connections int32 `json:"connections,omitempty"`
	// Timeout is how long the endpoint may take to answer, 1s to 60s. What becomes of a message that is not answered is not
	// known: it is ambiguous, and not posted again. Default: 30s.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`
}

// ConnectionsOrDefault is how many connections a worker may hold.
func (w *WebhookSettings) ConnectionsOrDefault() int {
	if w.Connections == 0 {
		return 4
	}
	return int(w.Connections)
}
