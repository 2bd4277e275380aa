package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/calendar"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// lines are entries in a line each.
func lines(entries []calendar.Entry) (out []string) {
	for _, e := range entries {
		line := e.At.UTC().Format("02 15:04") + " " + e.Campaign + " " + string(e.State)
		if e.Occurrence != "" {
			line += " " + e.Occurrence
		}
		out = append(out, line)
	}
	return out
}

func TestTheCalendarHasWhatWasIsAndComes(t *testing.T) {
	p := newPublishing(t)
	declare := func(name string, change func(*store.SendConfig)) {
		t.Helper()
		c := p.sending.config()
		c.SendKey, c.Campaign, c.Timing = name+"-2027", name, campaign.Timing{At: "2027-03-21T12:00:00", TimeZone: "UTC"}
		change(&c)
		p.upsert(c)
	}
	at := func(day, hour int) time.Time { return time.Date(2027, 3, day, hour, 0, 0, 0, time.UTC) }
	declare("once", func(c *store.SendConfig) { c.StartsAt = at(22, 9) })
	declare("draft", func(c *store.SendConfig) { c.StartsAt, c.Suspended = at(22, 10), true })
	declare("paused", func(c *store.SendConfig) { c.StartsAt = at(22, 11) })
	if err := p.CommandSend(t.Context(), "paused", command(campaign.Pause)); err != nil {
		t.Fatal(err)
	}
	declare("deleted", func(c *store.SendConfig) { c.StartsAt = at(22, 12) })
	if err := p.DormantSend(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	declare("later", func(c *store.SendConfig) { c.StartsAt = at(29, 9) })
	declare("daily", func(c *store.SendConfig) {
		c.Timing = campaign.Timing{Cron: "0 9 * * *", TimeZone: "Europe/Madrid", EndsAt: "2027-03-24T08:00:00"}
		c.StartsAt, c.Deadline, c.NextOccurrence, c.EndsAt = at(21, 8), at(21, 9), "2027-03-21T09:00", at(24, 7)
	})
	now := at(21, 8)
	if err := p.AdvanceDeclaration(t.Context(), single[int64](p, "select id from send where campaign = 'daily'"), now); err != nil {
		t.Fatal(err)
	}
	entries, more, err := p.Calendar(t.Context(), at(20, 0), at(28, 0), now)
	if err != nil || more {
		t.Fatal(more, err)
	}
	want := []string{
		"21 08:00 daily Scheduled 2027-03-21T09:00", "22 08:00 daily Scheduled 2027-03-22T09:00", "22 09:00 once Scheduled", "22 10:00 draft Draft",
		"22 11:00 paused Paused", "23 08:00 daily Scheduled 2027-03-23T09:00",
	}
	if diff := cmp.Diff(want, lines(entries)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheCalendarTellsWhatWasPublished(t *testing.T) {
	p := newPublishing(t)
	p.begin()
	taken := p.take()
	p.settleAs(p.intend(taken[0]), store.PostingSent, store.PostedPart{ID: "11", URL: "https://velo.example/11"}, store.PostedPart{ID: "12"})
	entries, _, err := p.Calendar(t.Context(), noon.Add(-time.Hour), noon.Add(time.Hour), noon)
	if err != nil {
		t.Fatal(err)
	}
	want := []calendar.Entry{{
		Campaign: "tour", SendKey: "tour-2027", At: noon, Publication: true, Channel: "mastodon", ChannelType: "Mastodon", Templates: []string{"spring"},
		Locales: []string{"es", "en"}, State: "Sending", Counts: campaign.Counts{Planned: 2, Sent: 1, Pending: 1},
		Posts: []calendar.Post{{Locale: "es", URL: "https://velo.example/11"}},
	}}
	for i := range entries {
		entries[i].At = entries[i].At.UTC()
	}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, more, err := p.Calendar(t.Context(), noon.Add(time.Hour), noon.Add(2*time.Hour), noon); err != nil || more {
		t.Error(more, err)
	}
}
