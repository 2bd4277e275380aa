package v1alpha1

// SentimentProtocol is how a server of a model is spoken to.
// +kubebuilder:validation:Enum=Predict;Chat
type SentimentProtocol string

// The protocols.
const (
	PredictSentiment SentimentProtocol = "Predict" // POST /predict of text-embeddings-inference
	ChatSentiment    SentimentProtocol = "Chat"    // POST /v1/chat/completions with a JSON schema
)

// TenantSentiment names a server that judges how posts speak. Where it fails, or is slow, the words and rules judge that come with
// Tertulia. The texts of posts go to it: name one that may have them.
// +kubebuilder:validation:XValidation:rule="(self.protocol == 'Chat') == has(self.model)",message="protocol: Chat and model go together: say which model answers, or remove model"
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || self.url.startsWith('https://')",message="a token does not travel in the clear: write url with https, or remove secretRef"
type TenantSentiment struct {
	// Protocol: Predict for text-embeddings-inference with a model that classifies, Chat for a server that speaks as OpenAI's does.
	Protocol SentimentProtocol `json:"protocol"`
	// URL of the server, where the protocol's path begins, such as https://inference.example. Addresses that are not public are for
	// networks that the operator allows (--listen-allow-network).
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^@#?\\\\s]+$')",message="must be an http(s) URL without a user, a query and a fragment, such as https://inference.example"
	URL string `json:"url"`
	// Model answers, for Chat.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Model string `json:"model,omitempty"`
	// SecretRef names a Secret, labelled crm.tertulia.dev/use: sentiment, with the key "token", which is sent as a bearer's.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}
