package messagechannel

import (
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// The keys of the Secret of an account of a social network, as those of a source are called.
const (
	accessTokenKey = "access-token"
	identifierKey  = "identifier"
	appPasswordKey = "app-password"
)

func isSocial(object *v1alpha1.MessageChannel) bool {
	return object.Spec.Type == v1alpha1.MastodonChannel || object.Spec.Type == v1alpha1.BlueskyChannel
}

// planServer is a server's address in one way of writing it, so that a slash makes no other settings.
func planServer(address string) string { return strings.TrimSuffix(address, "/") }

// socialReferences are the Secrets with which an account of a social network logs in.
func socialReferences(spec *v1alpha1.MessageChannelSpec) []reference {
	switch {
	case spec.Mastodon != nil:
		return []reference{{field: "spec.mastodon.secretRef", secret: spec.Mastodon.SecretRef.Name, keys: []credential{
			{key: accessTokenKey, is: credentials.AccessToken, of: "an account", check: checkVisible(accessTokenKey)},
		}}}
	case spec.Bluesky != nil:
		return []reference{{field: "spec.bluesky.secretRef", secret: spec.Bluesky.SecretRef.Name, keys: []credential{
			{key: identifierKey, is: credentials.Identifier, of: "an account", check: checkVisible(identifierKey)},
			{key: appPasswordKey, is: credentials.AppPassword, of: "an account", check: checkVisible(appPasswordKey)},
		}}}
	}
	return nil
}

// checkVisible tells what is amiss with a value that stands in a header or names an account: a blank or a second line in it was pasted by
// mistake. A line end behind it does not count, here as in the directory that the workers read.
func checkVisible(key string) func(secret string, value []byte) error {
	return func(secret string, value []byte) error {
		text := strings.TrimRight(string(value), "\r\n")
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return reconciling.Wait(v1alpha1.SecretKeyInvalid, "Key %q of Secret %q is empty or holds blanks, lines or characters that it cannot have: "+
				"write it as the network showed it.", key, secret)
		}
		return nil
	}
}
