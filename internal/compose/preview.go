package compose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Preview is a message that is shown or tried, and is none of a send: it is not in the ledger, nothing in it is tracked, and
// its link for unsubscribing unsubscribes nobody.
type Preview struct {
	Variant string // whose message it is
	Locale  string // of the content that was used
	Subject string
	HTML    string
	Text    string
	// Sender is the envelope's.
	Sender string
	// Message is the whole, as it would go out but for a signature.
	Message []byte
}

// PreviewRequest says what a preview shows.
type PreviewRequest struct {
	Variant   string // its name; "" for the first
	Locale    string // "" for the recipient's
	Recipient render.Recipient
	Test      bool // the subject is marked as a test's
	// Number makes the Message-ID another one than those of other tests.
	Number int64
	Now    time.Time
}

// testMark stands before the subject of a test.
const testMark = "[Test] "

// ErrVariant says that a campaign has no variant of a name.
type ErrVariant struct{ Name string }

// Error implements error.
func (e *ErrVariant) Error() string { return fmt.Sprintf("the campaign has no variant %q", e.Name) }

// NewPreview writes a message of a campaign of type Email.
func NewPreview(job store.SendJob, r PreviewRequest) (Preview, error) {
	at := 0
	if r.Variant != "" {
		at = slices.IndexFunc(job.Variants, func(v store.SendVariant) bool { return v.Name == r.Variant })
	}
	if at < 0 || at >= len(job.Variants) || at >= len(job.Templates) {
		return Preview{}, &ErrVariant{r.Variant}
	}
	template := job.Templates[at]
	if r.Test {
		template.Content = slices.Clone(template.Content)
		for i := range template.Content {
			template.Content[i].Subject = testMark + template.Content[i].Subject
		}
	}
	compiled, err := Template(template)
	if err != nil {
		return Preview{}, err
	}
	out := Preview{Variant: job.Variants[at].Name}
	var domain string
	if out.Sender, domain, err = Sender(job.Channel.Email.From); err != nil {
		return Preview{}, err
	}
	// No send has the number 0: a link that is signed for it is nobody's.
	job.ID = 0
	recipient := r.Recipient
	recipient.Seq, recipient.Contact, recipient.Date, recipient.Untracked = r.Number, 0, r.Now, true
	if r.Locale != "" {
		recipient.Locale = r.Locale
	}
	outside := Outside(job, domain, render.NewSigner(job.LinkKey))
	messages, err := compiled.CompileMessages(outside)
	if err != nil {
		return Preview{}, err
	}
	if out.Message, err = messages.For(recipient.Locale).Append(nil, recipient); err != nil {
		return Preview{}, err
	}
	unsubscribe := strings.TrimSuffix(outside.PublicURL, "/") + "/u/" + render.SignUnsubscribe(job.LinkKey, 0, 0)
	rendered, err := compiled.Render(recipient.Locale, render.VarsOf(recipient, outside.Fields, outside.Tenant, unsubscribe))
	out.Locale, out.Subject, out.HTML, out.Text = rendered.Locale, rendered.Subject, rendered.HTML, rendered.Text
	return out, err
}
