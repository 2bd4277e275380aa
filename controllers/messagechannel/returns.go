package messagechannel

import (
	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/inbound"
	"github.com/tertulia-crm/tertulia/internal/signature"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// hookKey is the key of a hook's Secret.
const hookKey = "hook-key"

// planReturns refuses here what no message could bear as its envelope's sender.
func planReturns(declared *v1alpha1.ReturnSettings) (store.ReturnSettings, error) {
	if declared == nil {
		return store.ReturnSettings{}, nil
	}
	settings := store.ReturnSettings{Address: declared.Address}
	if declared.Address != "" {
		if err := inbound.CheckReturnAddress(declared.Address); err != nil {
			return store.ReturnSettings{}, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.email.returns.address: %s.", err)
		}
	}
	if mailbox := declared.IMAP; mailbox != nil {
		switch mailbox.TLS {
		case v1alpha1.StartTLS, v1alpha1.ImplicitTLS, v1alpha1.NoTLS:
		default:
			return store.ReturnSettings{}, reconciling.UnknownToOperator("spec.email.returns.imap.tls", string(mailbox.TLS))
		}
		settings.IMAP = store.MailboxSettings{Host: mailbox.Host, Port: int(mailbox.Port), TLS: string(mailbox.TLS), Mailbox: mailbox.MailboxOrDefault()}
	}
	if hook := declared.Hook; hook != nil {
		switch hook.Type {
		case v1alpha1.GenericHook, v1alpha1.SESHook, v1alpha1.MailgunHook:
		default:
			return store.ReturnSettings{}, reconciling.UnknownToOperator("spec.email.returns.hook.type", string(hook.Type))
		}
		settings.Hook = store.HookSettings{Type: string(hook.Type), TopicARN: hook.TopicARN}
	}
	return settings, nil
}

// returnReferences are the Secrets that a channel's returns name.
func returnReferences(declared *v1alpha1.ReturnSettings) []reference {
	switch {
	case declared == nil:
	case declared.IMAP != nil:
		return []reference{{field: "spec.email.returns.imap.secretRef", secret: declared.IMAP.SecretRef.Name, keys: []credential{
			{key: usernameKey, is: credentials.InboxUsername, of: "a mailbox"}, {key: passwordKey, is: credentials.InboxPassword, of: "a mailbox"},
		}}}
	case declared.Hook != nil && declared.Hook.SecretRef != nil:
		key := credential{key: hookKey, is: credentials.HookKey, of: "a provider"}
		if declared.Hook.Type == v1alpha1.GenericHook {
			key.check = checkHookKey
		}
		return []reference{{field: "spec.email.returns.hook.secretRef", secret: declared.Hook.SecretRef.Name, keys: []credential{key}}}
	}
	return nil
}

// checkHookKey tells what is amiss with the key of a hook of our own shape; Mailgun makes its keys itself.
func checkHookKey(secret string, value []byte) error {
	if _, err := signature.ParseKeys(string(value)); err != nil {
		return reconciling.Wait(v1alpha1.SecretKeyInvalid, "Key %q of Secret %q cannot sign reports: %s.", hookKey, secret, err)
	}
	return nil
}
