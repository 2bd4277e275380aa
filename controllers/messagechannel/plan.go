package messagechannel

import (
	"net/mail"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planChannel is the row of a channel.
func planChannel(object *v1alpha1.MessageChannel) (store.Channel, error) {
	row := store.Channel{Name: object.Name, Type: string(object.Spec.Type), Suspended: object.Spec.Suspend}
	var err error
	switch {
	case object.Spec.Type == v1alpha1.EmailChannel && object.Spec.Email != nil:
		row.Email, err = planEmail(object.Spec.Email)
	case object.Spec.Type == v1alpha1.WebhookChannel && object.Spec.Webhook != nil:
		row.Webhook, err = planWebhook(object.Spec.Webhook)
	case object.Spec.Type == v1alpha1.MastodonChannel && object.Spec.Mastodon != nil:
		row.Social = store.SocialSettings{Server: planServer(object.Spec.Mastodon.Instance)}
	case object.Spec.Type == v1alpha1.BlueskyChannel && object.Spec.Bluesky != nil:
		row.Social = store.SocialSettings{Server: planServer(object.Spec.Bluesky.ServiceOrDefault())}
	default:
		err = reconciling.UnknownToOperator("spec.type", string(object.Spec.Type))
	}
	if err == nil {
		row.Rate, err = planRate(object.Spec.Rate)
	}
	if err != nil {
		return store.Channel{}, err
	}
	return row, nil
}

// planEmail refuses here, and not at sending, addresses that no mail server would take.
func planEmail(email *v1alpha1.EmailSettings) (store.EmailSettings, error) {
	if _, err := mail.ParseAddress(email.From); err != nil {
		return store.EmailSettings{}, invalidAddress("spec.email.from")
	}
	if email.ReplyTo != "" {
		if _, err := mail.ParseAddress(email.ReplyTo); err != nil {
			return store.EmailSettings{}, invalidAddress("spec.email.replyTo")
		}
	}
	switch email.SMTP.TLS {
	case v1alpha1.StartTLS, v1alpha1.ImplicitTLS, v1alpha1.NoTLS:
	default:
		return store.EmailSettings{}, reconciling.UnknownToOperator("spec.email.smtp.tls", string(email.SMTP.TLS))
	}
	dkim, domain, err := planDKIM(email)
	if err != nil {
		return store.EmailSettings{}, err
	}
	returns, err := planReturns(email.Returns)
	if err != nil {
		return store.EmailSettings{}, err
	}
	settings := store.EmailSettings{
		From: email.From, ReplyTo: email.ReplyTo,
		Host: email.SMTP.Host, Port: int(email.SMTP.Port), TLS: string(email.SMTP.TLS),
		Authenticated: email.SMTP.SecretRef != nil, Connections: email.ConnectionsOrDefault(), DKIM: string(dkim), Returns: returns,
	}
	if dkim == v1alpha1.SelfDKIM {
		settings.DKIMDomain, settings.DKIMSelector = domain, email.DKIMSignature.Selector
	}
	return settings, nil
}

func invalidAddress(field string) error {
	return reconciling.Stall(v1alpha1.InvalidSpecReason,
		"%s is no address of RFC 5322: write it as Velo <hola@velo.example>, with the name in quotes where it has a comma or a dot.", field)
}
