// Package compose makes of what is stored of a send what package render writes mail with: for workers, previews and tests alike.
package compose

import (
	"fmt"
	"net/mail"
	"strings"

	"golang.org/x/net/idna"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Template compiles a stored template.
func Template(t store.Template) (*render.Template, error) {
	contents := make([]render.Content, len(t.Content))
	for i, c := range t.Content {
		contents[i] = render.Content{Locale: c.Locale, Subject: c.Subject, HTML: c.HTML, Text: c.Text}
	}
	compiled, err := render.Compile(t.DefaultLocale, contents)
	if err != nil {
		return nil, fmt.Errorf("compile template %q: %w", t.Name, err)
	}
	return compiled, nil
}

// Sender reads the author of a channel's mail: the envelope's sender, and its domain in ASCII.
func Sender(from string) (address, domain string, err error) {
	author, err := mail.ParseAddress(from)
	if err != nil {
		return "", "", fmt.Errorf("sender: %w", err)
	}
	at := strings.LastIndexByte(author.Address, '@')
	if domain, err = idna.Lookup.ToASCII(author.Address[at+1:]); err != nil {
		return "", "", fmt.Errorf("domain of the sender: %w", err)
	}
	return author.Address[:at+1] + domain, domain, nil
}

// Outside is what all messages of a send bear besides their content. Nothing in it is tracked.
func Outside(job store.SendJob, domain string, signer *render.Signer) render.Outside {
	return render.Outside{
		From: job.Channel.Email.From, ReplyTo: job.Channel.Email.ReplyTo, Domain: domain, PublicURL: job.Tenant.PublicURL,
		OneClick: OneClick(job), Zone: crm.ZoneOrUTC(job.Tenant.TimeZone), Send: job.ID, Signer: signer,
		Tenant: map[string]any{"display_name": job.Tenant.DisplayName}, Fields: Fields(job.Attributes),
	}
}

// OneClick tells whether the mails of a send may offer to unsubscribe by one click.
func OneClick(job store.SendJob) bool {
	return strings.HasPrefix(job.Tenant.PublicURL, "https://") && job.Channel.Email.Signed()
}

// Fields are the names of attributes.
func Fields(attributes []crm.Attribute) []string {
	fields := make([]string, len(attributes))
	for i, a := range attributes {
		fields[i] = a.Name
	}
	return fields
}
