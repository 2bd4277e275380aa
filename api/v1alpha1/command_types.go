package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CommandVerb is what a person decides about a campaign, beside its manifest.
type CommandVerb string

// The verbs, as `tertulia campaign` names them.
const (
	CommandPause           CommandVerb = "pause"
	CommandResume          CommandVerb = "resume"
	CommandAbort           CommandVerb = "abort"
	CommandResendAmbiguous CommandVerb = "resend-ambiguous"
)

// CampaignCommand is what a person decided last about a campaign, by `tertulia campaign`. It is kept in the tenant's database, and
// no manifest undoes it.
type CampaignCommand struct {
	// Verb: pause, resume, abort or resend-ambiguous. A pause is shown while it holds the campaign up.
	Verb CommandVerb `json:"verb"`
	// By is whom the caller named.
	By string `json:"by"`
	// Token is the name of the API token that was used.
	Token string `json:"token"`
	// Reason that was given.
	// +optional
	Reason string `json:"reason,omitempty"`
	// At is when.
	At metav1.Time `json:"at"`
	// Until is when a pause ends by itself.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// Messages is how many are sent again, of resend-ambiguous.
	// +optional
	Messages *int64 `json:"messages,omitempty"`
}
