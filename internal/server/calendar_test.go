package server_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// tokenFor makes a token with scopes.
func (f *fixture) tokenFor(name string, scopes ...string) string {
	f.t.Helper()
	token := store.NewToken()
	if _, err := f.db.CreateToken(f.t.Context(), store.Token{Name: name, Scopes: scopes}, store.HashToken(token)); err != nil {
		f.t.Fatal(err)
	}
	return token
}

func TestTheCalendarAsAListAndAsAFeed(t *testing.T) {
	f := newFixture(t)
	f.declareSend("spring", time.Hour)
	f.exec("update send set suspended = true, channel = 'velo', publication = '{\"locales\": [\"es\"]}' where campaign = 'spring'")
	var list struct {
		Entries []struct{ Campaign, State, Kind, Channel string }
		More    bool
	}
	f.request(http.MethodGet, "/v1/calendar", "").json(t, &list)
	if len(list.Entries) != 1 || list.More || list.Entries[0].Campaign != "spring" || list.Entries[0].State != "Draft" || list.Entries[0].Kind != "publication" {
		t.Errorf("the list: %+v", list)
	}
	if got := f.request(http.MethodGet, "/v1/calendar?from=2027-03-21T00:00:00Z&to=2027-03-20T00:00:00Z", ""); got.status != http.StatusUnprocessableEntity {
		t.Errorf("backwards: %d %s", got.status, got.body)
	}
	feed := f.request(http.MethodGet, "/v1/calendar.ics", "")
	if feed.status != http.StatusOK || feed.header.Get("Content-Type") != "text/calendar; charset=utf-8" ||
		!strings.Contains(feed.body, "SUMMARY:[Draft] spring: velo\r\n") || !strings.Contains(feed.body, "UID:spring-key@") {
		t.Errorf("the feed: %d %v\n%s", feed.status, feed.header, feed.body)
	}
}

func TestWhoMayReadTheFeed(t *testing.T) {
	f := newFixture(t)
	reader, writer := f.tokenFor("calendar", "calendar:read"), f.tokenFor("both", "calendar:read", "contacts:write")
	other := f.tokenFor("shop", "contacts:write")
	basic := func(token string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("calendar:"+token))}
	}
	tests := map[string]struct {
		query  string
		token  string
		header []string
		status int
		body   string
	}{
		"a header":                             {"", reader, nil, 200, "BEGIN:VCALENDAR"},
		"a header that may do more":            {"", writer, nil, 200, "BEGIN:VCALENDAR"},
		"in the address":                       {"?token=" + reader, "", nil, 200, "BEGIN:VCALENDAR"},
		"a password":                           {"", "", basic(reader), 200, "BEGIN:VCALENDAR"},
		"nobody":                               {"", "", nil, 401, "Authorization"},
		"a token of nothing":                   {"?token=ttl_nothing", "", nil, 401, "unknown"},
		"too long":                             {"?token=" + strings.Repeat("x", 300), "", nil, 401, "unknown"},
		"the lack of a scope":                  {"", other, nil, 403, "calendar:read"},
		"in the address, and it may do more":   {"?token=" + writer, "", nil, 403, "no other"},
		"in the address, the admin's":          {"?token=" + f.token, "", nil, 403, "no other"},
		"a password of a token that does more": {"", "", basic(writer), 403, "no other"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := f.requestAs(tc.token, http.MethodGet, f.base+"/v1/calendar.ics"+tc.query, "", tc.header...)
			if got.status != tc.status || !strings.Contains(got.body, tc.body) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	// The address is good for the feed and for nothing else.
	if got := f.requestAs("", http.MethodGet, f.base+"/v1/calendar?token="+reader, ""); got.status != http.StatusUnauthorized {
		t.Errorf("the list by an address: %d", got.status)
	}
	if got := f.requestAs(reader, http.MethodGet, f.base+"/v1/campaigns/spring/explain", ""); got.status != http.StatusForbidden {
		t.Errorf("the reader of a calendar may do more: %d", got.status)
	}
}

func TestTheReportOfAPublication(t *testing.T) {
	f := newFixture(t)
	if got := f.request(http.MethodGet, "/v1/campaigns/spring/publication", ""); got.status != http.StatusNotFound || !strings.Contains(got.body, "kubectl get campaign spring") {
		t.Errorf("before anything is published: %d %s", got.status, got.body)
	}
	f.declareSend("spring", time.Hour)
	f.exec(`update send set publication = '{}', audience = 1, frozen_at = now(), state = 'Completed' where campaign = 'spring'`)
	f.exec(`insert into ledger (send_id, seq, step, state, settled_at) select id, 1, 'es', 'sent', now() from send`)
	f.exec(`insert into publication_part (send_id, seq, part, channel, network, native_id, url, at)
		select id, 1, 1, 'velo', 'mastodon:velo.example', '11', 'https://velo.example/11', now() from send`)
	var report struct {
		Posts []struct {
			Locale, State string
			Parts         []struct{ ID, URL string }
			Answers       struct{ Total int }
			Likes         *int
		}
	}
	f.request(http.MethodGet, "/v1/campaigns/spring/publication", "").json(t, &report)
	if len(report.Posts) != 1 || report.Posts[0].State != "sent" || len(report.Posts[0].Parts) != 1 || report.Posts[0].Parts[0].URL != "https://velo.example/11" ||
		report.Posts[0].Likes != nil {
		t.Errorf("%+v", report)
	}
}
