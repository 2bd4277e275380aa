package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/render"
)

// browser is an agent that people have.
const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// engaged makes a send whose mails went to recipients 1 to 4 an hour ago, with links 1 and 2, and another send with link 3.
func (f *fixture) engaged() {
	f.t.Helper()
	f.exec(`insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, frozen_at, state, track_clicks)
		select k, k, 'newsletter', 'mail', '{}', 4, '[]', now(), now(), now(), 'Completed', true from unnest(array['spring', 'other']) k`)
	f.exec(`insert into ledger (send_id, seq, contact_id, variant, state, intent_at, settled_at)
		select 1, i, i, i % 2, 'sent', now() - interval '1 hour', now() - interval '1 hour' from generate_series(1, 4) i`)
	f.exec(`insert into link (send_id, url) values (1, 'https://velo.example/sale?a=1&b=2'), (1, 'https://velo.example/{{ contact.plan }}'), (2, 'https://other.example/')`)
}

func (f *fixture) trackToken(t render.Track) string {
	f.t.Helper()
	key, err := f.db.LinkKey(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	return render.SignTrack(key, t)
}

func (f *fixture) click(send, seq, link int64) string {
	return "/c/" + f.trackToken(render.Track{Kind: render.TrackClick, Send: send, Seq: seq, Link: link})
}

func (f *fixture) open(send, seq int64) string {
	return "/o/" + f.trackToken(render.Track{Kind: render.TrackOpen, Send: send, Seq: seq}) + ".gif"
}

const engagedQuery = "select send_id, seq, what, link_id, reason from engagement order by send_id, seq, what"

func TestTrackedLinksLeadWhereTheirMailSays(t *testing.T) {
	f := newFixture(t)
	f.engaged()
	personal := f.trackToken(render.Track{Kind: render.TrackClick, Send: 1, Seq: 1, Link: 2, Target: "https://velo.example/club?x=%20"})
	for name, c := range map[string]struct {
		reason, path, to string
		status           int
	}{
		"a link":                   {"", f.click(1, 1, 1), "https://velo.example/sale?a=1&b=2", http.StatusFound},
		"a link of one's own":      {"its token says where it leads", "/c/" + personal, "https://velo.example/club?x=%20", http.StatusFound},
		"another send's link":      {"a token leads to links of its own message only", f.click(1, 1, 3), "", http.StatusNotFound},
		"a link that is not there": {"the database lost it", f.click(1, 1, 99), "", http.StatusNotFound},
		"the template of a link":   {"no browser could follow it", f.click(1, 1, 2), "", http.StatusNotFound},
		"a damaged token":          {"cut by a mail program", f.click(1, 1, 1)[:20], "", http.StatusNotFound},
		"an address as a token":    {"an open redirect", "/c/https:%2F%2Fevil.example", "", http.StatusNotFound},
		"a target as a parameter":  {"nothing but the token counts", f.click(1, 1, 1) + "?url=https://evil.example", "https://velo.example/sale?a=1&b=2", http.StatusFound},
		"the pixel as a link":      {"a token is of one kind", "/c/" + strings.TrimSuffix(strings.TrimPrefix(f.open(1, 1), "/o/"), ".gif"), "", http.StatusNotFound},
		"a link as the pixel":      {"a token is of one kind", "/o/" + strings.TrimPrefix(f.click(1, 1, 1), "/c/") + ".gif", "", http.StatusNotFound},
		"the link nobody sees":     {"it leads nowhere", f.click(1, 1, 0), "", http.StatusOK},
		"an unsubscription":        {"these tokens have addresses of their own", "/c/" + f.linkToken(1, 1), "", http.StatusNotFound},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := f.visit(method, c.path, "", "User-Agent", browser)
			if got.status != c.status || got.header.Get("Location") != c.to {
				t.Errorf("%s %s (%s): status %d to %q, want %d to %q", method, name, c.reason, got.status, got.header.Get("Location"), c.status, c.to)
			}
			if cache := got.header.Get("Cache-Control"); !strings.Contains(cache, "no-store") {
				t.Errorf("%s %s: Cache-Control is %q", method, name, cache)
			}
		}
	}
	if got := f.visit(http.MethodPost, f.click(1, 1, 1), ""); got.status != http.StatusMethodNotAllowed || got.header.Get("Location") != "" {
		t.Errorf("a post: status %d to %q", got.status, got.header.Get("Location"))
	}
}

func TestPixel(t *testing.T) {
	f := newFixture(t)
	f.engaged()
	got := f.visit(http.MethodGet, f.open(1, 1), "", "User-Agent", browser)
	if got.status != http.StatusOK || len(got.body) != 43 || !strings.HasPrefix(got.body, "GIF89a") || http.DetectContentType([]byte(got.body)) != "image/gif" {
		t.Errorf("status %d, %q", got.status, got.body)
	}
	want := map[string]string{"Content-Type": "image/gif", "Content-Length": "43", "Cache-Control": "no-store, max-age=0", "Set-Cookie": ""}
	for header, value := range want {
		if got.header.Get(header) != value {
			t.Errorf("%s is %q, want %q", header, got.header.Get(header), value)
		}
	}
	if head := f.visit(http.MethodHead, f.open(1, 1), "", "User-Agent", browser); head.status != http.StatusOK || head.header.Get("Content-Length") != "43" {
		t.Errorf("HEAD: status %d, %v", head.status, head.header)
	}
}

// TestEngagementIsStored ends the server, which stores what it holds.
func TestEngagementIsStored(t *testing.T) {
	f := newFixture(t)
	f.engaged()
	f.exec("insert into contact default values")
	f.exec("insert into consent (contact_id, purpose, granted, source) values (1, 'tracking', false, 'test')")
	for _, path := range []string{f.click(1, 1, 1), f.click(1, 2, 1), f.click(1, 2, 1), f.open(1, 2), f.click(1, 99, 1)} {
		f.visit(http.MethodGet, path, "", "User-Agent", browser)
	}
	f.visit(http.MethodHead, f.click(1, 3, 1), "", "User-Agent", browser)
	f.visit(http.MethodGet, f.open(1, 3), "", "User-Agent", "Mozilla/5.0")
	f.visit(http.MethodGet, f.click(1, 4, 1), "", "User-Agent", browser, "Sec-Purpose", "prefetch;prerender")
	f.stop()
	want := []string{
		"1|2|clicked|1|<nil>", "1|2|clicked|1|<nil>", "1|2|opened|<nil>|<nil>",
		"1|3|machine-opened|<nil>|privacy-proxy", "1|4|machine-clicked|1|prefetch",
	}
	if diff := cmp.Diff(want, f.rows(engagedQuery)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want = []string{"0|clicked|1|2", "0|machine-clicked|1|1", "0|opened|1|1", "1|machine-opened|1|1"}
	if diff := cmp.Diff(want, f.rows("select variant, what, people, total from engagement_tally where send_id = 1 order by 1, 2")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Campaign|spring"}, f.rows("select kind, name from status_change where kind = 'Campaign'")); diff != "" {
		t.Errorf("status: -want +got:\n%s", diff)
	}
}

// TestTrackedLinksOutliveTheDatabase: who follows a link that was followed before is sent on while the database is away, and counted
// when it is back.
func TestTrackedLinksOutliveTheDatabase(t *testing.T) {
	f := newFixture(t)
	f.engaged()
	known, unknown := f.click(1, 1, 1), f.click(2, 1, 3)
	if got := f.visit(http.MethodGet, known, "", "User-Agent", browser); got.status != http.StatusFound {
		t.Fatalf("status %d", got.status)
	}
	database := f.db.Pool.Config().ConnConfig.Database
	f.asAdmin("alter database " + database + " allow_connections false")
	f.cutConnections()
	for range 3 {
		if got := f.visit(http.MethodGet, f.click(1, 2, 1), "", "User-Agent", browser); got.status != http.StatusFound {
			t.Errorf("a link that is known: status %d", got.status)
		}
	}
	if got := f.visit(http.MethodGet, unknown, "", "User-Agent", browser); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("a link that is not known: status %d, %v", got.status, got.header)
	}
	f.asAdmin("alter database " + database + " allow_connections true")
	f.stop()
	want := []string{"1|1|clicked|1|<nil>", "1|2|clicked|1|<nil>", "1|2|clicked|1|<nil>", "1|2|clicked|1|<nil>"}
	if diff := cmp.Diff(want, f.rows(engagedQuery)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
