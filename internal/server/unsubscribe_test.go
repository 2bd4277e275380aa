package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"golang.org/x/net/html"

	"github.com/tertulia-crm/tertulia/internal/render"
)

// mail makes a contact and a send, and returns the path of the link in the contact's mail.
func (f *fixture) mail(locale string) string {
	f.t.Helper()
	f.importCSV("external_id,locale,consent:newsletter,consent:offers\nC1," + locale + ",true,true\n")
	f.exec(`insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline)
		values ('spring', 'spring', 'newsletter', 'mail', '{}', 1, '[]', now(), now())`)
	return "/u/" + f.linkToken(1, 1)
}

func (f *fixture) linkToken(send, contact int64) string {
	f.t.Helper()
	key, err := f.db.LinkKey(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	return render.SignUnsubscribe(key, send, contact)
}

// visit sends a request as a browser or a mail client does: without a token, without following a redirect.
func (f *fixture) visit(method, path, body string, header ...string) answer {
	f.t.Helper()
	return f.requestAs("", method, f.base+path, body, header...)
}

const consentQuery = "select purpose, granted, by_contact, source from consent order by purpose"

var (
	subscribed   = []string{"newsletter|true|false|shop", "offers|true|false|shop"}
	unsubscribed = []string{"newsletter|false|true|unsubscribe", "offers|true|false|shop"}
)

func TestUnsubscribe(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		body   string
		header []string
	}{
		"by the button": {reason: "a browser posts an empty form", header: []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"by one click": {
			reason: "a mail client posts what RFC 8058 says",
			body:   "List-Unsubscribe=One-Click", header: []string{"Content-Type", "application/x-www-form-urlencoded"},
		},
		"by one click, multipart": {
			reason: "RFC 8058 allows the other form too",
			body:   "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n",
			header: []string{"Content-Type", "multipart/form-data; boundary=x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			link := f.mail("es")
			got := f.visit(http.MethodPost, link, c.body, c.header...)
			if got.status != http.StatusOK || got.header.Get("Set-Cookie") != "" || got.header.Get("Location") != "" {
				t.Errorf("%s: status %d, header %v", c.reason, got.status, got.header)
			}
			if !strings.Contains(got.body, "Hecho: ya no recibirás estos correos") {
				t.Errorf("the page says %s", got.body)
			}
			if diff := cmp.Diff(unsubscribed, f.rows(consentQuery)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			before := f.versions()
			if again := f.visit(http.MethodPost, link, c.body, c.header...); again.status != http.StatusOK {
				t.Errorf("again: status %d", again.status)
			}
			if diff := cmp.Diff(before, f.versions()); diff != "" {
				t.Errorf("the second time wrote rows: -before +after:\n%s", diff)
			}
			if page := f.visit(http.MethodGet, link, ""); page.status != http.StatusOK || strings.Contains(page.body, "<button") {
				t.Errorf("the page asks again: %s", page.body)
			}
		})
	}
}

// TestUnsubscribeRefusesTheAddress has a person say no to a mail: it went to an address, which another contact may have.
func TestUnsubscribeRefusesTheAddress(t *testing.T) {
	f := newFixture(t)
	link := f.mail("es")
	f.exec(`insert into ledger (send_id, seq, contact_id, address_hash, state)
		select 1, 1, 1, keyed_hash(key, 'ana@example.com'), 'sent' from secret_key where purpose = 'address'`)
	for range 2 {
		if got := f.visit(http.MethodPost, link, ""); got.status != http.StatusOK {
			t.Fatalf("status %d", got.status)
		}
	}
	refused := f.rows(`select r.purpose, r.source, r.address_hash = keyed_hash(k.key, 'ana@example.com')
		from refusal r, secret_key k where k.purpose = 'address'`)
	if diff := cmp.Diff([]string{"newsletter|unsubscribe|true"}, refused); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLookingUnsubscribesNobody(t *testing.T) {
	f := newFixture(t)
	link := f.mail("es")
	before := f.versions()
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete} {
		got := f.visit(method, link, "")
		want := http.StatusOK
		if method != http.MethodGet && method != http.MethodHead {
			want = http.StatusMethodNotAllowed
		}
		if got.status != want {
			t.Errorf("%s: status %d, want %d", method, got.status, want)
		}
	}
	if diff := cmp.Diff(before, f.versions()); diff != "" {
		t.Errorf("rows changed: -before +after:\n%s", diff)
	}
	if diff := cmp.Diff(subscribed, f.rows(consentQuery)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestUnsubscribePage(t *testing.T) {
	f := newFixture(t)
	link := f.mail("es")
	got := f.visit(http.MethodGet, link, "")
	document, err := html.Parse(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	elements := map[string][]*html.Node{}
	for n := range document.Descendants() {
		if n.Type == html.ElementNode {
			elements[n.Data] = append(elements[n.Data], n)
			for _, a := range n.Attr {
				if a.Key == "src" || a.Key == "href" || a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("<%s> has %s=%q: the page must stand alone", n.Data, a.Key, a.Val)
				}
			}
		}
	}
	for element, n := range map[string]int{"title": 1, "h1": 1, "main": 1, "form": 1, "button": 1, "script": 0, "img": 0, "link": 0, "input": 0} {
		if len(elements[element]) != n {
			t.Errorf("%d <%s>, want %d", len(elements[element]), element, n)
		}
	}
	for _, want := range []string{`<html lang="es">`, "Velo &amp; Co", `name="viewport"`, "Darme de baja"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %s: %s", want, got.body)
		}
	}
	for header, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex", "Content-Language": "es",
	} {
		if got.header.Get(header) != want {
			t.Errorf("%s: %q, want %q", header, got.header.Get(header), want)
		}
	}
	policy := got.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
	if strings.Contains(got.body, "newsletter") || strings.Contains(got.body, "C1") {
		t.Errorf("the page tells about the contact: %s", got.body)
	}
}

func TestUnsubscribePageSpeaks(t *testing.T) {
	for name, c := range map[string]struct {
		locale, accept string
		want           string
	}{
		"the contact's language":   {"es-MX", "en", `lang="es"`},
		"the contact's, English":   {"en-GB", "es", `lang="en"`},
		"the browser's":            {"", "en;q=0.8, de", `lang="en"`},
		"the browser's, not ours":  {"de", "es-AR", `lang="es"`},
		"the tenant's":             {"", "", `lang="es"`},
		"the tenant's for nothing": {"fr", "xx, %%", `lang="es"`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			got := f.visit(http.MethodGet, f.mail(c.locale), "", "Accept-Language", c.accept)
			if got.status != http.StatusOK || !strings.Contains(got.body, c.want) {
				t.Errorf("status %d, want %s: %s", got.status, c.want, got.body)
			}
		})
	}
}

func TestUnsubscribeRefusesOtherTokens(t *testing.T) {
	f := newFixture(t)
	link := f.mail("es")
	for name, path := range map[string]string{
		"damaged":          link[:10] + string(link[10]^1) + link[11:],
		"cut":              link[:len(link)-4],
		"of another key":   "/u/" + render.SignUnsubscribe(make([]byte, 32), 1, 1),
		"an unknown send":  "/u/" + f.linkToken(2, 1),
		"an unknown name":  "/u/" + f.linkToken(1, 2),
		"not base64":       "/u/%00%ff",
		"something longer": "/u/" + strings.Repeat("A", 5000),
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			got := f.visit(method, path, "")
			if got.status != http.StatusNotFound || !strings.Contains(got.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s, %s: status %d, %s", name, method, got.status, got.body)
			}
		}
	}
	if got := f.visit(http.MethodPost, link, strings.Repeat("x", 20<<10)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: status %d", got.status)
	}
	if diff := cmp.Diff(subscribed, f.rows(consentQuery)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if log := f.log.String(); strings.Contains(log, strings.TrimPrefix(link, "/u/")[:20]) {
		t.Errorf("a link was logged: %s", log)
	}
}

// TestUnsubscribeNeverLies takes the database away: what is not on disk is not confirmed, and works when it is back.
func TestUnsubscribeNeverLies(t *testing.T) {
	for name, warm := range map[string]bool{"before the first request": false, "after a request": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			link := f.mail("en")
			if warm {
				f.visit(http.MethodGet, link, "")
			}
			database := f.db.Pool.Config().ConnConfig.Database
			f.asAdmin("alter database " + database + " allow_connections false")
			f.cutConnections()
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				got := f.visit(method, link, "")
				if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
					t.Errorf("%s while the database is away: status %d, header %v: %s", method, got.status, got.header, got.body)
				}
			}
			f.asAdmin("alter database " + database + " allow_connections true")
			if diff := cmp.Diff(subscribed, f.rows(consentQuery)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			gomega.NewWithT(t).Eventually(func() int { return f.visit(http.MethodPost, link, "").status }, patience).Should(gomega.Equal(http.StatusOK))
			if diff := cmp.Diff(unsubscribed, f.rows(consentQuery)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestAnImportDoesNotSubscribeAgain has a person decide while an import that says otherwise holds their row.
func TestAnImportDoesNotSubscribeAgain(t *testing.T) {
	f := newFixture(t)
	link := f.mail("es")
	if got := f.visit(http.MethodPost, link, ""); got.status != http.StatusOK {
		t.Fatal(got.status)
	}
	f.importCSV("external_id,consent:newsletter,consent:offers\nC1,true,true\n")
	if diff := cmp.Diff(unsubscribed, f.rows(consentQuery)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
