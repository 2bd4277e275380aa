// Package calendar tells what is sent and published when: as entries, and as a feed that calendar programs read (iCalendar, RFC 5545).
package calendar

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	ical "github.com/arran4/golang-ical"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// State is how an entry stands.
type State string

// The states that a send does not have; the others are those of package campaign.
const (
	// Draft: it is suspended, or not accepted as it is, and has not begun. It does not begin either.
	Draft State = "Draft"
	// Paused: it has begun, and somebody has stopped it.
	Paused State = "Paused"
)

// Post is a post that is on its network.
type Post struct {
	Locale string
	URL    string
}

// Entry is something that is sent or published at a time.
type Entry struct {
	Campaign   string
	SendKey    string
	Occurrence string // of a campaign that recurs: its local date and time; "" else
	At         time.Time
	// Local is the clock's reading at which each recipient is written to where they live; "" where it is one moment for all.
	Local       string
	Publication bool // posts on a social network, in place of messages to people
	Channel     string
	ChannelType string
	Templates   []string
	Locales     []string // of a publication; none: the default one of the template
	State       State
	campaign.Counts
	Posts []Post
}

// Facts are what decides how an entry stands.
type Facts struct {
	State     campaign.State
	Suspended bool // by its object, or because it is not accepted
	Stopped   bool // by a person
	Held      bool // a person has to decide
}

// Judge tells how an entry stands.
func Judge(f Facts) State {
	switch {
	case f.State.Final():
		return State(f.State)
	case f.Held || f.State == campaign.Held:
		return State(campaign.Held)
	case f.Suspended && !f.State.Frozen():
		return Draft
	case f.Suspended || f.Stopped:
		return Paused
	}
	return State(f.State)
}

// length is how long an entry stands in a calendar, which knows no moments.
const length = 15 * time.Minute

// refresh is how often programs are to read the feed.
const refresh = "PT15M"

// Feed writes entries as an iCalendar of a tenant, as of a moment.
func Feed(tenantID, displayName string, entries []Entry, now time.Time) string {
	c := ical.NewCalendar()
	c.SetProductId("-//Tertulia//Campaigns//EN")
	c.SetMethod(ical.MethodPublish)
	c.SetName(clean(displayName))
	c.SetXWRCalName(clean(displayName))
	c.SetRefreshInterval(refresh)
	c.SetXPublishedTTL(refresh)
	for i := range entries {
		addEntry(c, tenantID, &entries[i], now)
	}
	return c.Serialize(ical.WithNewLineWindows)
}

func addEntry(c *ical.Calendar, tenantID string, e *Entry, now time.Time) {
	event := c.AddEvent(uid(tenantID, e))
	event.SetDtStampTime(now.UTC())
	if local, err := campaign.ParseLocal(e.Local); e.Local != "" && err == nil {
		// A time without a zone is read where the reader is, as each recipient's is.
		event.SetProperty(ical.ComponentPropertyDtStart, local.Format(floating))
		event.SetProperty(ical.ComponentPropertyDtEnd, local.Add(length).Format(floating))
	} else {
		event.SetStartAt(e.At.UTC())
		event.SetEndAt(e.At.Add(length).UTC())
	}
	event.SetSummary(clean(summary(e)))
	event.SetDescription(clean(describe(e)))
	event.SetStatus(status(e.State))
	event.SetTimeTransparency(ical.TransparencyTransparent)
	category := "Messages"
	if e.Publication {
		category = "Publication"
	}
	event.AddCategory(category)
	if len(e.Posts) > 0 && e.Posts[0].URL != "" {
		event.SetURL(e.Posts[0].URL)
	}
}

const floating = "20060102T150405"

// uid names an entry for ever: programs know by it what has moved.
func uid(tenantID string, e *Entry) string {
	key := e.SendKey
	if e.Occurrence != "" {
		key += "/" + e.Occurrence
	}
	return key + "@" + tenantID + ".tertulia"
}

// clean takes out what cannot be escaped.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// summary is an entry in one line.
func summary(e *Entry) string {
	line := fmt.Sprintf("%s: %s", e.Campaign, e.Channel)
	if e.ChannelType != "" {
		line += " (" + e.ChannelType + ")"
	}
	switch e.State {
	case State(campaign.Scheduled), State(campaign.Freezing), State(campaign.Sending):
		return line
	}
	return fmt.Sprintf("[%s] %s", e.State, line)
}

func describe(e *Entry) string {
	lines := []string{"Campaign: " + e.Campaign, "State: " + string(e.State), "Templates: " + strings.Join(e.Templates, ", ")}
	if len(e.Locales) > 0 {
		lines = append(lines, "Locales: "+strings.Join(e.Locales, ", "))
	}
	if e.Planned > 0 {
		lines = append(lines, fmt.Sprintf("Sent: %d of %d, failed %d, ambiguous %d, left out %d", e.Sent, e.Planned, e.Failed, e.Ambiguous, e.Skipped))
	}
	for _, p := range e.Posts {
		lines = append(lines, p.Locale+": "+p.URL)
	}
	return strings.Join(lines, "\n")
}

// status is a state in the words of calendars: what may still change is tentative.
func status(s State) ical.ObjectStatus {
	switch s {
	case Draft, Paused, State(campaign.Held):
		return ical.ObjectStatusTentative
	case State(campaign.Aborted), State(campaign.Expired):
		return ical.ObjectStatusCancelled
	}
	return ical.ObjectStatusConfirmed
}
