package messagechannel

import (
	"net/mail"
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/deliver/dkim"
)

// dkimKey is the key of the Secret with which mail is signed.
const dkimKey = "dkim-private-key"

// planDKIM tells who signs, and for which domain. From is known to be an address.
func planDKIM(email *v1alpha1.EmailSettings) (mode v1alpha1.DKIMMode, domain string, err error) {
	switch email.DKIM {
	case v1alpha1.RelayDKIM, v1alpha1.NoDKIM:
		return email.DKIM, "", nil
	case "":
		return v1alpha1.NoDKIM, "", nil
	case v1alpha1.SelfDKIM:
	default:
		return "", "", reconciling.UnknownToOperator("spec.email.dkim", string(email.DKIM))
	}
	if email.DKIMSignature == nil {
		return "", "", reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.email.dkim is Self: say in spec.email.dkimSignature by which selector and key to sign.")
	}
	from, err := mail.ParseAddress(email.From)
	if err != nil {
		return "", "", invalidAddress("spec.email.from")
	}
	author := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	domain = email.DKIMSignature.Domain
	if domain == "" {
		domain = author
	}
	if !dkim.Aligned(domain, author) {
		return "", "", reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.email.dkimSignature.domain %q does not speak for the author's domain %q: "+
				"receivers want a domain of the same organisation. Leave it out to sign for the author's.",
			domain, author)
	}
	return v1alpha1.SelfDKIM, domain, nil
}

// checkDKIMKey tells what is amiss with the key that is to sign. Another Secret mends it, so that it is waited for.
func checkDKIMKey(secret string, value []byte) error {
	if _, err := dkim.ParseKey(string(value)); err != nil {
		return reconciling.Wait(v1alpha1.SecretKeyInvalid, "Key %q of Secret %q cannot sign mail: %s.", dkimKey, secret, err.Error())
	}
	return nil
}
