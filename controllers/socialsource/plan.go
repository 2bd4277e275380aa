package socialsource

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/listening"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	day = 24 * time.Hour
	// feeds change now and then, and there are many that nobody pays for.
	feedInterval = 10 * time.Minute
	usualRhythm  = time.Minute
	// hookRhythm is how often a source is looked at that is written to.
	hookRhythm       = time.Hour
	shortestInterval = 30 * time.Second
	longestInterval  = day
	// usualKeep is long enough to compare a season with the one a year before.
	usualKeep    = 400 * day
	shortestKeep = day
	longestKeep  = 3660 * day
)

// planSource is the row of a source.
func planSource(object *v1alpha1.SocialSource) (store.Source, error) {
	spec := &object.Spec
	row := store.Source{Name: object.Name, Type: string(spec.Type), Interval: usualRhythm, Keep: usualKeep, Suspended: spec.Suspend}
	member := memberOf(spec)
	if member == nil {
		return row, reconciling.UnknownToOperator("spec.type", string(spec.Type))
	}
	switch spec.Type {
	case v1alpha1.FeedSource:
		row.Interval = feedInterval
	case v1alpha1.WebhookSource:
		row.Interval = hookRhythm
	}
	if err := duration("spec.interval", spec.Interval, shortestInterval, longestInterval, &row.Interval); err != nil {
		return row, err
	}
	if err := duration("spec.keep", spec.Keep, shortestKeep, longestKeep, &row.Keep); err != nil {
		return row, err
	}
	if spec.ReplyChannelRef != nil {
		row.ReplyChannel = spec.ReplyChannelRef.Name
	}
	for _, l := range spec.Languages {
		row.Languages = append(row.Languages, string(l))
	}
	if err := checkMember(spec); err != nil {
		return row, err
	}
	var err error
	row.Settings, err = settings(member)
	return row, err
}

// memberOf is the member that has the settings of the source's type; nil where there is none.
func memberOf(spec *v1alpha1.SocialSourceSpec) any {
	switch {
	case spec.Type == v1alpha1.FeedSource && spec.Feed != nil:
		return spec.Feed
	case spec.Type == v1alpha1.MastodonSource && spec.Mastodon != nil:
		return spec.Mastodon
	case spec.Type == v1alpha1.BlueskySource && spec.Bluesky != nil:
		return spec.Bluesky
	case spec.Type == v1alpha1.MailboxSource && spec.Mailbox != nil:
		return spec.Mailbox
	case spec.Type == v1alpha1.WebhookSource && spec.Webhook != nil:
		return spec.Webhook
	}
	return nil
}

// settings are a member as it is stored: as it is declared, without the name of its Secret.
func settings(member any) (json.RawMessage, error) {
	text, err := json.Marshal(member)
	if err != nil {
		return nil, fmt.Errorf("write the source's settings: %w", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("write the source's settings: %w", err)
	}
	delete(fields, "secretRef")
	return json.Marshal(fields)
}

// checkMember refuses here, and not at listening, what cannot be looked for.
func checkMember(spec *v1alpha1.SocialSourceSpec) error {
	switch {
	case spec.Bluesky != nil && len(spec.Bluesky.Keywords) > 0:
		const field = "spec.bluesky.keywords"
		terms, err := listening.Terms(field, spec.Bluesky.Keywords)
		if err != nil {
			return err
		}
		return listening.Check("spec.bluesky", []match.Topic{{Name: "keywords", Any: terms}})
	case spec.Mailbox != nil:
		switch spec.Mailbox.TLS {
		case v1alpha1.StartTLS, v1alpha1.ImplicitTLS, v1alpha1.NoTLS:
		default:
			return reconciling.UnknownToOperator("spec.mailbox.tls", string(spec.Mailbox.TLS))
		}
	}
	return nil
}

// duration reads a duration into a field that holds its default.
func duration(field string, text v1alpha1.Duration, shortest, longest time.Duration, into *time.Duration) error {
	if text == "" {
		return nil
	}
	d, err := campaign.ParseDuration(string(text))
	if err != nil {
		return reconciling.Stall(v1alpha1.InvalidSpecReason, "%s: %s.", field, err)
	}
	if d < shortest || d > longest {
		return reconciling.Stall(v1alpha1.InvalidSpecReason, "%s is not between %s and %s: correct it.", field, short(shortest), short(longest))
	}
	*into = d
	return nil
}

// short is a duration as manifests write it.
func short(d time.Duration) string {
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// planAddress is where a source's network posts to, and "" where it posts nowhere.
func planAddress(object *v1alpha1.SocialSource, publicURL string) string {
	feed := object.Spec.Feed
	if object.Spec.Webhook == nil && (feed == nil || feed.WebSub != nil && !*feed.WebSub) {
		return ""
	}
	return strings.TrimSuffix(publicURL, "/") + "/sources/" + object.Name
}
