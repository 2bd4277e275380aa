package calendar_test

import (
	"strings"
	"testing"
	"time"

	ical "github.com/arran4/golang-ical"
	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/calendar"
	"github.com/tertulia-crm/tertulia/internal/campaign"
)

var now = time.Date(2027, 3, 1, 8, 30, 0, 0, time.UTC)

func tour() calendar.Entry {
	return calendar.Entry{
		Campaign: "tour", SendKey: "tour-2027", At: time.Date(2027, 3, 21, 8, 0, 0, 0, time.UTC), Publication: true, Channel: "velo", ChannelType: "Mastodon",
		Templates: []string{"tour"}, Locales: []string{"es", "en"}, State: "Scheduled",
	}
}

func TestTheFeed(t *testing.T) {
	want := strings.Join([]string{
		"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Tertulia//Campaigns//EN", "METHOD:PUBLISH", "NAME:Velo\\, Ciclismo", "X-WR-CALNAME:Velo\\, Ciclismo",
		"REFRESH-INTERVAL;VALUE=DURATION:PT15M", "X-PUBLISHED-TTL:PT15M",
		"BEGIN:VEVENT", "UID:tour-2027@velo-production.tertulia", "DTSTAMP:20270301T083000Z", "DTSTART:20270321T080000Z", "DTEND:20270321T081500Z",
		"SUMMARY:tour: velo (Mastodon)", "DESCRIPTION:Campaign: tour\\nState: Scheduled\\nTemplates: tour\\nLocales:", "  es\\, en", "STATUS:CONFIRMED",
		"TRANSP:TRANSPARENT", "CATEGORIES:Publication", "END:VEVENT", "END:VCALENDAR", "",
	}, "\r\n")
	got := calendar.Feed("velo-production", "Velo, Ciclismo", []calendar.Entry{tour()}, now)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatProgramsReadInTheFeed(t *testing.T) {
	tests := map[string]struct {
		change func(*calendar.Entry)
		want   map[ical.ComponentProperty]string
	}{
		"a draft is told as such": {
			func(e *calendar.Entry) { e.State = calendar.Draft },
			map[ical.ComponentProperty]string{"STATUS": "TENTATIVE", "SUMMARY": "[Draft] tour: velo (Mastodon)"},
		},
		"a person has to decide": {
			func(e *calendar.Entry) { e.State = "Held" }, map[ical.ComponentProperty]string{"STATUS": "TENTATIVE", "SUMMARY": "[Held] tour: velo (Mastodon)"},
		},
		"somebody ended it": {
			func(e *calendar.Entry) { e.State = "Aborted" }, map[ical.ComponentProperty]string{"STATUS": "CANCELLED", "SUMMARY": "[Aborted] tour: velo (Mastodon)"},
		},
		"an occurrence is an entry of its own": {
			func(e *calendar.Entry) { e.Occurrence = "2027-03-21T09:00" },
			map[ical.ComponentProperty]string{"UID": "tour-2027/2027-03-21T09:00@velo-production.tertulia"},
		},
		"each recipient's own clock": {
			func(e *calendar.Entry) { e.Publication, e.Local = false, "2027-03-21T09:00:00" },
			map[ical.ComponentProperty]string{"DTSTART": "20270321T090000", "DTEND": "20270321T091500", "CATEGORIES": "Messages"},
		},
		"what was published": {
			func(e *calendar.Entry) {
				e.State, e.Counts = "Completed", campaign.Counts{Planned: 2, Sent: 1, Failed: 1}
				e.Posts = []calendar.Post{{Locale: "es", URL: "https://velo.example/@velo/11"}}
			},
			map[ical.ComponentProperty]string{
				"URL": "https://velo.example/@velo/11", "STATUS": "CONFIRMED", "SUMMARY": "[Completed] tour: velo (Mastodon)",
				"DESCRIPTION": "Campaign: tour\nState: Completed\nTemplates: tour\nLocales: es, en\nSent: 1 of 2, failed 1, ambiguous 0, left out 0\nes: https://velo.example/@velo/11",
			},
		},
		"a text that breaks lines and commas": {
			func(e *calendar.Entry) { e.Templates = []string{"años;de, ruta\r\nBEGIN:VEVENT"} },
			map[ical.ComponentProperty]string{"DESCRIPTION": "Campaign: tour\nState: Scheduled\nTemplates: años;de, ruta\nBEGIN:VEVENT\nLocales: es, en"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e := tour()
			tc.change(&e)
			feed := calendar.Feed("velo-production", "Velo", []calendar.Entry{e}, now)
			for _, line := range strings.Split(feed, "\r\n") {
				if len(line) > 75 || strings.ContainsAny(line, "\r\n") {
					t.Errorf("a line that is not folded: %q", line)
				}
			}
			read, err := ical.ParseCalendar(strings.NewReader(feed))
			if err != nil {
				t.Fatalf("%v in\n%s", err, feed)
			}
			if len(read.Events()) != 1 {
				t.Fatalf("%d events in\n%s", len(read.Events()), feed)
			}
			got := map[ical.ComponentProperty]string{}
			for property := range tc.want {
				if p := read.Events()[0].GetProperty(property); p != nil {
					got[property] = p.Value
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestHowEntriesStand(t *testing.T) {
	tests := map[string]struct {
		facts calendar.Facts
		want  calendar.State
	}{
		"to come":                    {calendar.Facts{State: campaign.Scheduled}, "Scheduled"},
		"a draft":                    {calendar.Facts{State: campaign.Scheduled, Suspended: true}, calendar.Draft},
		"suspended on its way":       {calendar.Facts{State: campaign.Sending, Suspended: true}, calendar.Paused},
		"paused by a person":         {calendar.Facts{State: campaign.Scheduled, Stopped: true}, calendar.Paused},
		"held":                       {calendar.Facts{State: campaign.Held, Suspended: true}, "Held"},
		"held after a restore":       {calendar.Facts{State: campaign.Sending, Held: true}, "Held"},
		"over, whatever holds it up": {calendar.Facts{State: campaign.Completed, Suspended: true, Stopped: true, Held: true}, "Completed"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := calendar.Judge(tc.facts); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
