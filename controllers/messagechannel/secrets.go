package messagechannel

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/handover"
	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// The keys of the Secret with which a channel logs in.
const (
	usernameKey = "username"
	passwordKey = "password"
)

// maxCredential bounds a key: all channels of a tenant share one Secret, and a Secret holds a mebibyte. The longest are
// RSA keys of 4096 bits, in PEM 3.3 kB, and tokens of OAuth, some 2 kB.
const maxCredential = 4 << 10

// reference is a place in a channel's spec that names a Secret, and which of its keys the workers need.
type reference struct {
	field  string // the path in the spec
	secret string // its name
	keys   []credential
}

// credential is a key of a Secret and what it is to the channel.
type credential struct {
	key string
	is  credentials.Key
	of  string // whose it is, for the author of a Secret that holds something else
	// check tells what is amiss with its value, in words that repeat nothing of it; nil takes any.
	check func(secret string, value []byte) error
}

// references are all Secrets that a channel names.
func references(spec v1alpha1.MessageChannelSpec) []reference {
	var named []reference
	if email := spec.Email; email != nil && email.SMTP.SecretRef != nil {
		named = append(named, reference{field: "spec.email.smtp.secretRef", secret: email.SMTP.SecretRef.Name, keys: []credential{
			{key: usernameKey, is: credentials.Username, of: "a relay"}, {key: passwordKey, is: credentials.Password, of: "a relay"},
		}})
	}
	if email := spec.Email; email != nil && email.DKIMSignature != nil {
		named = append(named, reference{field: "spec.email.dkimSignature.secretRef", secret: email.DKIMSignature.SecretRef.Name, keys: []credential{
			{key: dkimKey, is: credentials.DKIMPrivateKey, of: "a domain", check: checkDKIMKey},
		}})
	}
	if spec.Email != nil {
		named = append(named, returnReferences(spec.Email.Returns)...)
	}
	if webhook := spec.Webhook; webhook != nil {
		named = append(named, reference{field: "spec.webhook.secretRef", secret: webhook.SecretRef.Name, keys: []credential{
			{key: signingKey, is: credentials.SigningKey, of: "an endpoint"},
		}})
	}
	return append(named, socialReferences(&spec)...)
}

// secretNames are the Secrets that a channel names, each once.
func secretNames(o client.Object) []string {
	var names []string
	for _, r := range references(o.(*v1alpha1.MessageChannel).Spec) {
		names = append(names, r.secret)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// planCredentials is what a channel has of what it names, and nil where that is nothing; the error says what is amiss with the
// first Secret of which something is.
func planCredentials(named []reference, secrets map[string]*corev1.Secret) (*credentials.Channel, error) {
	var (
		has     credentials.Channel
		refused error
	)
	for _, r := range named {
		err := checkSecret(r, secrets[r.secret])
		if refused == nil {
			refused = err
		}
		if err != nil {
			continue
		}
		for _, c := range r.keys {
			has.Set(c.is, string(secrets[r.secret].Data[c.key]))
		}
	}
	if has == (credentials.Channel{}) {
		return nil, refused
	}
	return &has, refused
}

// checkSecret tells what is amiss with a Secret.
func checkSecret(r reference, secret *corev1.Secret) error {
	named := handover.Reference{Field: r.field, Name: r.secret, Use: v1alpha1.UseChannel, Whom: "channels"}
	if err := named.Check(secret); err != nil {
		return err
	}
	for _, c := range r.keys {
		value, err := named.Value(secret, c.key, maxCredential, c.key+" of "+c.of)
		if err == nil && c.check != nil {
			err = c.check(r.secret, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
