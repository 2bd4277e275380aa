package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// contactSample is a contact as the API tells of them to who tries a rule.
type contactSample struct {
	Locale      string                     `json:"locale"`
	TimeZone    string                     `json:"time_zone"`
	CreatedAt   time.Time                  `json:"created_at"`
	Tags        []string                   `json:"tags"`
	Attributes  map[string]json.RawMessage `json:"attributes"`
	Segments    []string                   `json:"segments"`
	Consents    []string                   `json:"consents"`
	Identifiers []string                   `json:"identifiers"`
	Events      []struct {
		Event  string                     `json:"event"`
		At     time.Time                  `json:"at"`
		Fields map[string]json.RawMessage `json:"fields"`
	} `json:"events"`
	Messages []map[string]any `json:"messages"`
}

// as puts a contact of the tenant into a sample.
func (o *ruleTest) as(cmd *cobra.Command, files *ruleFiles, sample []byte) ([]byte, error) {
	document := map[string]json.RawMessage{}
	if len(sample) > 0 {
		if err := json.Unmarshal(sample, &document); err != nil {
			return nil, fmt.Errorf("read %s: %w", o.event, err)
		}
	}
	if document["contact"] != nil {
		return nil, fmt.Errorf("read %s: it has a contact, and --as names another: remove one of them", o.event)
	}
	client, err := o.access.client(cmd.Context())
	if err != nil {
		return nil, err
	}
	var c contactSample
	if err := client.call(cmd.Context(), http.MethodGet, "/v1/contacts/"+url.PathEscape(o.contact)+"/sample", nil, &c); err != nil {
		return nil, fmt.Errorf("read the contact: %w", err)
	}
	contact, err := json.Marshal(c.told(files))
	if err != nil {
		return nil, err
	}
	document["contact"] = contact
	return json.Marshal(document)
}

// told is the contact as a sample has one, as far as the types beside the rule go: it cannot ask more.
func (c contactSample) told(files *ruleFiles) map[string]any {
	attributes := map[string]json.RawMessage{}
	for name, value := range c.Attributes {
		if _, known := files.schema.Attribute(name); known {
			attributes[name] = value
		}
	}
	events := []map[string]any{}
	for _, e := range c.Events {
		declared, known := files.schema.Event(e.Event)
		if !known {
			continue
		}
		fields := map[string]json.RawMessage{}
		for name, value := range e.Fields {
			if _, known := declared.Property(name); known {
				fields[name] = value
			}
		}
		events = append(events, map[string]any{"event": e.Event, "at": e.At, "fields": fields})
	}
	return map[string]any{
		"attributes": attributes, "locale": c.Locale, "timeZone": c.TimeZone, "createdAt": c.CreatedAt, "tags": c.Tags, "segments": c.Segments,
		"consents": c.Consents, "identifiers": c.Identifiers, "events": events, "messages": c.Messages,
	}
}
