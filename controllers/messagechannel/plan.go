package messagechannel

import (
	"net/mail"

	corev1 "k8s.io/api/core/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The keys of a channel's Secret.
const (
	usernameKey = "username"
	passwordKey = "password"
)

// maxCredential bounds a key: all channels of a tenant share one Secret, and a Secret holds a mebibyte. Tokens of OAuth,
// the longest passwords that relays take, have some 2 kB.
const maxCredential = 4 << 10

// planChannel is the row of a channel. Addresses that no mail server would take are refused here and not at sending.
func planChannel(object *v1alpha1.MessageChannel) (store.Channel, error) {
	if object.Spec.Type != v1alpha1.EmailChannel || object.Spec.Email == nil {
		return store.Channel{}, reconciling.UnknownToOperator("spec.type", string(object.Spec.Type))
	}
	email := object.Spec.Email
	if _, err := mail.ParseAddress(email.From); err != nil {
		return store.Channel{}, invalidAddress("spec.email.from")
	}
	if email.ReplyTo != "" {
		if _, err := mail.ParseAddress(email.ReplyTo); err != nil {
			return store.Channel{}, invalidAddress("spec.email.replyTo")
		}
	}
	switch email.SMTP.TLS {
	case v1alpha1.StartTLS, v1alpha1.ImplicitTLS, v1alpha1.NoTLS:
	default:
		return store.Channel{}, reconciling.UnknownToOperator("spec.email.smtp.tls", string(email.SMTP.TLS))
	}
	dkim := email.DKIM
	switch dkim {
	case v1alpha1.RelayDKIM, v1alpha1.NoDKIM:
	case "":
		dkim = v1alpha1.NoDKIM
	default:
		return store.Channel{}, reconciling.UnknownToOperator("spec.email.dkim", string(dkim))
	}
	return store.Channel{
		Name: object.Name, Type: string(object.Spec.Type), Suspended: object.Spec.Suspend,
		Email: store.EmailSettings{
			From: email.From, ReplyTo: email.ReplyTo,
			Host: email.SMTP.Host, Port: int(email.SMTP.Port), TLS: string(email.SMTP.TLS),
			Authenticated: email.SMTP.SecretRef != nil, Connections: email.ConnectionsOrDefault(), DKIM: string(dkim),
		},
	}, nil
}

func invalidAddress(field string) error {
	return reconciling.Stall(v1alpha1.InvalidSpecReason,
		"%s is no address of RFC 5322: write it as Velo <hola@velo.example>, with the name in quotes where it has a comma or a dot.", field)
}

// planLogin is what a channel authenticates with, and nil for one that does not. A Secret that its owner has not
// labelled for channels is not read out to a relay.
func planLogin(spec v1alpha1.MessageChannelSpec, secret *corev1.Secret) (*credentials.Channel, error) {
	reference := spec.Email.SMTP.SecretRef
	if reference == nil {
		return nil, nil
	}
	if secret == nil {
		return nil, reconciling.Wait(v1alpha1.NotFoundReason("Secret"),
			"Secret %q, which spec.email.smtp.secretRef names, is not there: create it, or correct the name.", reference.Name)
	}
	if secret.Labels[v1alpha1.UseLabel] != v1alpha1.UseChannel {
		return nil, reconciling.Wait(v1alpha1.SecretNotLabelled, "Secret %q is not meant for channels: label it %s: %s.",
			reference.Name, v1alpha1.UseLabel, v1alpha1.UseChannel)
	}
	for _, key := range []string{usernameKey, passwordKey} {
		switch size := len(secret.Data[key]); {
		case size == 0:
			return nil, reconciling.Wait(v1alpha1.SecretKeyMissing, "Secret %q lacks the key %q: add it.", reference.Name, key)
		case size > maxCredential:
			return nil, reconciling.Wait(v1alpha1.SecretKeyTooLong, "Key %q of Secret %q is longer than %d bytes: it is no %s of a relay.",
				key, reference.Name, maxCredential, key)
		}
	}
	return &credentials.Channel{Username: string(secret.Data[usernameKey]), Password: string(secret.Data[passwordKey])}, nil
}
