package messagechannel

import (
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/webhook"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	defaultAnswer = 30 * time.Second
	// maxAnswer bounds how long an endpoint may take to answer: a worker that is gone is waited for longer than that, before
	// what it has left counts as ambiguous.
	maxAnswer = time.Minute
	// signingKey is the key of a webhook's Secret.
	signingKey = "signing-key"
)

// planWebhook refuses here, and not at sending, what cannot be posted to.
func planWebhook(declared *v1alpha1.WebhookSettings) (store.WebhookSettings, error) {
	if err := webhook.ParseURL(declared.URL); err != nil {
		return store.WebhookSettings{}, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.webhook.url: %s.", err)
	}
	answer := defaultAnswer
	if declared.Timeout != "" {
		var err error
		if answer, err = campaign.ParseDuration(string(declared.Timeout)); err != nil {
			return store.WebhookSettings{}, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.webhook.timeout: %s.", err)
		}
	}
	if answer < time.Second || answer > maxAnswer {
		return store.WebhookSettings{}, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.webhook.timeout is not between 1s and 60s: correct it.")
	}
	return store.WebhookSettings{URL: declared.URL, Connections: declared.ConnectionsOrDefault(), Timeout: int(answer.Seconds())}, nil
}
