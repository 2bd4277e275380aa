package work

import (
	"fmt"
	"net/mail"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// job is a send as it is written to its recipients: what is stored, compiled.
type job struct {
	store.SendJob
	readAt    time.Time
	trouble   error       // what keeps every message from being written: of the channel or the tenant, and no recipient's
	templates []*template // one for each variant
	sender    string      // the envelope's sender
	domain    string      // of the sender, in ASCII
	oneClick  bool
	zone      *time.Location
	tenant    map[string]any // what templates see of the tenant
	now       func() time.Time
}

// template is a compiled template with the digest of what it was compiled from.
type template struct {
	*render.Template
	digest string
}

// newJob compiles a send. What known, an older reading of the same send, has compiled already is not compiled again.
func newJob(stored store.SendJob, known *job, now func() time.Time) (*job, error) {
	j := &job{SendJob: stored, readAt: now(), now: now, tenant: map[string]any{"display_name": stored.Tenant.DisplayName}}
	j.oneClick = strings.HasPrefix(stored.Tenant.PublicURL, "https://") && stored.Channel.Email.DKIM == "Relay"
	var err error
	if j.zone, err = time.LoadLocation(stored.Tenant.TimeZone); err != nil {
		j.zone = time.UTC
	}
	for i, t := range stored.Templates {
		if known != nil && i < len(known.templates) && known.Templates[i].Name == t.Name && known.templates[i].digest == t.Digest {
			j.templates = append(j.templates, known.templates[i])
			continue
		}
		compiled, err := compileTemplate(t)
		if err != nil {
			return nil, err
		}
		j.templates = append(j.templates, compiled)
	}
	if err := j.address(); err != nil {
		j.trouble = fmt.Errorf("no message can be written: %w", err)
	}
	return j, nil
}

func compileTemplate(t store.Template) (*template, error) {
	contents := make([]render.Content, len(t.Content))
	for i, c := range t.Content {
		contents[i] = render.Content{Locale: c.Locale, Subject: c.Subject, HTML: c.HTML, Text: c.Text}
	}
	compiled, err := render.Compile(t.DefaultLocale, contents)
	if err != nil {
		return nil, fmt.Errorf("compile template %q: %w", t.Name, err)
	}
	return &template{Template: compiled, digest: t.Digest}, nil
}

// address prepares what every message bears on its outside, and tries it on a message to nobody.
func (j *job) address() error {
	from, err := mail.ParseAddress(j.Channel.Email.From)
	if err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	at := strings.LastIndexByte(from.Address, '@')
	if j.domain, err = idna.Lookup.ToASCII(from.Address[at+1:]); err != nil {
		return fmt.Errorf("domain of the sender: %w", err)
	}
	j.sender = from.Address[:at+1] + j.domain
	_, err = j.compose("nobody@example.com", 1, j.unsubscribeURL(1), render.Rendered{})
	return err
}

// write writes the message to one recipient. An error, a panic included, concerns this recipient alone: no contact's
// data may stop a send.
func (j *job) write(r store.Recipient) (m deliver.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write the message: %v", p)
		}
	}()
	if r.Variant < 0 || r.Variant >= len(j.templates) {
		return m, fmt.Errorf("the send has no variant %d", r.Variant)
	}
	unsubscribe := j.unsubscribeURL(r.ContactID)
	rendered, err := j.templates[r.Variant].Render(r.Locale, render.Vars{
		"contact": j.contact(r), "tenant": j.tenant, "unsubscribe_url": unsubscribe,
	})
	if err != nil {
		return m, err
	}
	data, err := j.compose(r.Address, r.Seq, unsubscribe, rendered)
	if err != nil {
		return m, err
	}
	return deliver.Message{From: j.sender, To: r.Address, Data: data}, nil
}

func (j *job) unsubscribeURL(contactID int64) string {
	return j.Tenant.PublicURL + "/u/" + render.SignUnsubscribe(j.LinkKey, j.ID, contactID)
}

func (j *job) compose(to string, seq int64, unsubscribe string, content render.Rendered) ([]byte, error) {
	return render.Compose(render.Envelope{
		From: j.Channel.Email.From, ReplyTo: j.Channel.Email.ReplyTo, To: to,
		MessageID: render.MessageID(j.LinkKey, j.ID, seq, "", j.domain), Date: j.now().In(j.zone),
		UnsubscribeURL: unsubscribe, OneClick: j.oneClick,
	}, content)
}

// contact is what templates see of a contact: its attributes and the fields that every contact has.
func (j *job) contact(r store.Recipient) map[string]any {
	fields := make(map[string]any, len(j.Attributes)+3)
	for i, a := range j.Attributes {
		if r.Attributes[i] != nil {
			fields[a.Name] = r.Attributes[i]
		}
	}
	fields["tags"] = r.Tags
	for name, value := range map[string]string{"locale": r.Locale, "time_zone": r.TimeZone} {
		if value != "" {
			fields[name] = value
		}
	}
	return fields
}
