package work

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// posted is the body that a webhook's endpoint gets for a recipient. Members are added, and neither renamed nor removed.
type posted struct {
	// Type tells this body from others that an endpoint may get one day.
	Type string `json:"type"`
	// ID is the message's, as Webhook-Id says it.
	ID             string        `json:"id"`
	Campaign       string        `json:"campaign"`
	SendKey        string        `json:"send_key"`
	Variant        string        `json:"variant"`
	Contact        postedContact `json:"contact"`
	Locale         string        `json:"locale"` // of the content
	Subject        string        `json:"subject"`
	HTML           string        `json:"html,omitempty"`
	Text           string        `json:"text"`
	UnsubscribeURL string        `json:"unsubscribe_url"`
}

type postedContact struct {
	ID    string `json:"id"` // the public one
	Email string `json:"email"`
}

// postedType is the type of what campaigns post.
const postedType = "campaign.message"

// preparePosts prepares what is the same for every recipient of a webhook's messages.
func (j *job) preparePosts() error {
	u, err := url.Parse(j.Tenant.PublicURL)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("the tenant's public URL has no host")
	}
	j.domain = u.Hostname()
	return nil
}

// writePost writes the message to one recipient as a JSON document. Links are as their author wrote them, and nothing is
// tracked: who follows them is the endpoint's to tell.
func (j *job) writePost(r store.Recipient) (deliver.Message, error) {
	id := j.signer.MessageID(j.ID, r.Seq, "", j.domain)
	id = id[1 : len(id)-1]
	unsubscribe := j.Tenant.PublicURL + "/u/" + render.SignUnsubscribe(j.LinkKey, j.ID, r.ContactID)
	vars := render.Vars{
		"contact": j.fields(r), "tenant": map[string]any{"display_name": j.Tenant.DisplayName}, render.UnsubscribeURL: unsubscribe,
	}
	if confirm := j.confirmURL(r.ContactID); confirm != "" {
		vars[render.ConfirmURL] = confirm
	}
	content, err := j.variants[r.Variant].template.Render(r.Locale, vars)
	if err != nil {
		return deliver.Message{}, err
	}
	body, err := json.Marshal(posted{
		Type: postedType, ID: id, Campaign: j.Campaign, SendKey: j.SendKey, Variant: j.Variants[r.Variant].Name,
		Contact: postedContact{ID: r.PublicID, Email: r.Address}, Locale: content.Locale,
		Subject: content.Subject, HTML: content.HTML, Text: content.Text, UnsubscribeURL: unsubscribe,
	})
	if err != nil {
		return deliver.Message{}, fmt.Errorf("write the document: %w", err)
	}
	return deliver.Message{ID: id, To: r.Address, Data: body}, nil
}

// fields is what templates see of a contact: its attributes and the fields that every contact has.
func (j *job) fields(r store.Recipient) map[string]any {
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
