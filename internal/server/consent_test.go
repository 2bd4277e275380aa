package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/tertulia-crm/tertulia/internal/policy"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// consentPolicy puts a policy about consent in force.
func (f *fixture) consentPolicy() {
	f.t.Helper()
	_, err := f.db.SaveConsentPolicy(context.Background(), store.ConsentPolicy{
		Name: "people", Template: "confirm", Channel: "mail", ValidFor: 7 * 24 * time.Hour, KeepRequests: 30 * 24 * time.Hour,
		Purposes: []store.Purpose{
			{Name: "newsletter", Basis: policy.Consent, DoubleOptIn: true, TextVersion: "2", Labels: []store.PurposeLabel{
				{Locale: "en", Label: "Newsletter", Description: "Once a month."}, {Locale: "es", Label: "Boletín <b>", Description: "Una vez al mes."},
			}},
			{Name: "offers", Basis: policy.Consent},
			{Name: "orders", Basis: policy.Contract},
			{Name: "recalls", Basis: policy.LegalObligation},
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// mailed makes a contact, a send and the row of the mail that went to ana@example.com.
func (f *fixture) mailed(locale string) (token string) {
	f.t.Helper()
	link := f.mail(locale)
	f.exec(`insert into ledger (send_id, seq, contact_id, address_hash, state)
		select 1, 1, 1, keyed_hash(key, 'ana@example.com'), 'sent' from secret_key where purpose = 'address'`)
	f.exec(`insert into identifier (type, value) values ('email', 'ana@example.com')`)
	f.exec(`insert into identifier_link (identifier_id, contact_id, verified, source) select id, 1, false, 'shop' from identifier where value = 'ana@example.com'`)
	return strings.TrimPrefix(link, "/u/")
}

// asked makes the request for the newsletter that the mail of send 1 carries.
func (f *fixture) asked() (link string) {
	f.t.Helper()
	f.exec(`insert into consent_request (policy, address_hash, contact_id, purposes, versions, source, expires_at, send_id)
		select 'people', keyed_hash(key, 'ana@example.com'), 1, '{newsletter}', '{2}', 'subscription:shop', now() + interval '7 days', 1
		from secret_key where purpose = 'address'`)
	return f.confirmLink(1, 1, time.Now().Add(time.Hour))
}

func (f *fixture) confirmLink(send, contact int64, expires time.Time) string {
	f.t.Helper()
	key, err := f.db.LinkKey(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	return "/s/" + render.SignConfirm(key, send, contact, expires)
}

// formHeader goes with what a browser posts.
var formHeader = []string{"Content-Type", "application/x-www-form-urlencoded"}

// press sends the form of a page that was read.
func (f *fixture) press(link, page string) answer {
	f.t.Helper()
	form := url.Values{}
	for _, input := range elementsOf(f.t, page, "input") {
		form.Add(input["name"], input["value"])
	}
	return f.visit(http.MethodPost, link, form.Encode(), formHeader...)
}

// elementsOf are the attributes of a page's elements of one name.
func elementsOf(t *testing.T, page, name string) (found []map[string]string) {
	t.Helper()
	document, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range document.Descendants() {
		if n.Type != html.ElementNode || n.Data != name {
			continue
		}
		attributes := map[string]string{}
		for _, a := range n.Attr {
			attributes[a.Key] = a.Val
		}
		found = append(found, attributes)
	}
	return found
}

const proofQuery = "select purpose, granted, by_contact, source, coalesce(method, ''), coalesce(text_version, ''), given_at is not null from consent where purpose = 'newsletter'"

func TestConfirming(t *testing.T) {
	f := newFixture(t)
	f.consentPolicy()
	token := f.mailed("es")
	if got := f.visit(http.MethodPost, "/u/"+token, ""); got.status != http.StatusOK {
		t.Fatal(got.status)
	}
	link := f.asked()

	// Looking confirms nothing.
	before := f.versions()
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodOptions: 405, http.MethodPut: 405} {
		if got := f.visit(method, link, ""); got.status != want {
			t.Errorf("%s: status %d, want %d", method, got.status, want)
		}
	}
	if diff := cmp.Diff(before, f.versions()); diff != "" {
		t.Errorf("looking wrote rows: -before +after:\n%s", diff)
	}
	page := f.visit(http.MethodGet, link, "")
	for _, want := range []string{`lang="es"`, "Boletín &lt;b&gt;", "Sí, confirmo", "<form method=\"post\">"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s: %s", want, page.body)
		}
	}

	got := f.press(link, page.body)
	if got.status != http.StatusOK || !strings.Contains(got.body, "Hecho: está confirmado") {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if diff := cmp.Diff([]string{"newsletter|true|true|subscription:shop|double-opt-in|2|true"}, f.rows(proofQuery)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if left := f.rows("select purpose from refusal"); len(left) > 0 {
		t.Errorf("an earlier refusal stands in the way: %v", left)
	}
	if verified := f.rows("select verified from identifier_link l join identifier i on i.id = l.identifier_id where i.type = 'email'"); verified[0] != "true" {
		t.Error("the address is not verified")
	}
	history := f.rows("select granted, source, coalesce(method, '') from consent_history where purpose = 'newsletter' order by id")
	if diff := cmp.Diff([]string{"true|shop|", "false|unsubscribe|unsubscribe"}, history); diff != "" {
		t.Errorf("the history: -want +got:\n%s", diff)
	}
	before = f.versions()
	if again := f.press(link, page.body); again.status != http.StatusOK || strings.Contains(again.body, "<button") {
		t.Errorf("again: status %d: %s", again.status, again.body)
	}
	if diff := cmp.Diff(before, f.versions()); diff != "" {
		t.Errorf("the second time wrote rows: -before +after:\n%s", diff)
	}
}

func TestConfirmingRefusesOtherTokens(t *testing.T) {
	f := newFixture(t)
	f.consentPolicy()
	token := f.mailed("en")
	link := f.asked()
	for name, c := range map[string]struct {
		path   string
		status int
	}{
		"damaged":            {link[:10] + string(link[10]^1) + link[11:], 404},
		"cut":                {link[:len(link)-4], 404},
		"for unsubscribing":  {"/s/" + token, 404},
		"of another key":     {"/s/" + render.SignConfirm(make([]byte, 32), 1, 1, time.Now().Add(time.Hour)), 404},
		"expired":            {f.confirmLink(1, 1, time.Now().Add(-2*time.Minute)), 410},
		"of another contact": {f.confirmLink(1, 2, time.Now().Add(time.Hour)), 410},
		"of another send":    {f.confirmLink(2, 1, time.Now().Add(time.Hour)), 410},
		"something longer":   {"/s/" + strings.Repeat("A", 5000), 404},
		"a token for confirming does not unsubscribe": {"/u/" + strings.TrimPrefix(link, "/s/"), 404},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			got := f.visit(method, c.path, "")
			if got.status != c.status || !strings.Contains(got.header.Get("Content-Type"), "text/html") || strings.Contains(got.body, "<button") {
				t.Errorf("%s, %s: status %d, want %d: %s", name, method, got.status, c.status, got.body)
			}
		}
	}
	f.exec("update consent_request set expires_at = now() - interval '1 minute'")
	if got := f.visit(http.MethodPost, link, ""); got.status != http.StatusGone {
		t.Errorf("a request that is over: status %d", got.status)
	}
	if got := f.visit(http.MethodPost, link, strings.Repeat("x", 20<<10), formHeader...); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: status %d", got.status)
	}
	if diff := cmp.Diff([]string{"newsletter|true|false|shop|||false"}, f.rows(proofQuery)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if log := f.log.String(); strings.Contains(log, strings.TrimPrefix(link, "/s/")[:20]) || strings.Contains(log, "ana@") {
		t.Errorf("a link or an address was logged: %s", log)
	}
}

// TestAConfirmationGrantsWhatWasShown has something asked for between the page and its button.
func TestAConfirmationGrantsWhatWasShown(t *testing.T) {
	const shownPart, granted = "Lo que viste está confirmado", "newsletter|2"
	for name, c := range map[string]struct {
		reason             string
		purposes, versions []string // of what is asked for meanwhile
		form               string   // instead of the page's
		granted            []string
		open               []string // that are shown then
		notice             string
	}{
		"nothing else": {reason: "it is as always", granted: []string{granted}, notice: "Hecho"},
		"another purpose": {
			reason: "nobody has agreed to it", purposes: []string{"offers"}, versions: []string{""},
			granted: []string{granted}, open: []string{"{offers}"}, notice: shownPart,
		},
		"the same and another": {
			reason: "the rest is to be decided yet", purposes: []string{"newsletter", "offers"}, versions: []string{"2", ""},
			granted: []string{granted}, open: []string{"{newsletter,offers}"}, notice: shownPart,
		},
		"the same in another version": {
			reason: "its text says something else", purposes: []string{"newsletter"}, versions: []string{"3"},
			granted: []string{granted}, open: []string{"{newsletter}"}, notice: shownPart,
		},
		"the same": {
			reason: "there is nothing left to ask", purposes: []string{"newsletter"}, versions: []string{"2"}, granted: []string{granted}, notice: "Hecho",
		},
		"an empty form":           {reason: "it shows nothing", form: "x=", open: []string{"{newsletter}"}, notice: "ha cambiado"},
		"a mark that nobody made": {reason: "it cannot be guessed", form: "shown=1&shown=AAAAAAAAAAAAAAAA", open: []string{"{newsletter}"}, notice: "ha cambiado"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.consentPolicy()
			f.mailed("es")
			link := f.asked()
			page := f.visit(http.MethodGet, link, "")
			if c.purposes != nil {
				f.exec(`insert into consent_request (policy, address_hash, contact_id, purposes, versions, source, expires_at, send_id)
					select policy, address_hash, contact_id, $1, $2, 'subscription:elsewhere', expires_at, send_id from consent_request`, c.purposes, c.versions)
			}
			var got answer
			if c.form == "" {
				got = f.press(link, page.body)
			} else {
				got = f.visit(http.MethodPost, link, c.form, formHeader...)
			}
			if got.status != http.StatusOK || !strings.Contains(got.body, c.notice) || (len(buttons(t, got.body)) > 0) != (len(c.open) > 0) {
				t.Errorf("%s: status %d: %s", c.reason, got.status, got.body)
			}
			if diff := cmp.Diff(c.granted, f.rows("select purpose, text_version from consent where granted and by_contact order by purpose")); diff != "" {
				t.Errorf("%s: granted: -want +got:\n%s", c.reason, diff)
			}
			if diff := cmp.Diff(c.open, f.rows("select purposes::text from consent_request where confirmed_at is null")); diff != "" {
				t.Errorf("%s: open: -want +got:\n%s", c.reason, diff)
			}
			// What is shown then can be confirmed by it.
			if last := f.press(link, got.body); !strings.Contains(last.body, "Hecho") {
				t.Errorf("%s: the next button: %s", c.reason, last.body)
			}
			if left := f.rows("select id from consent_request where confirmed_at is null"); len(left) > 0 {
				t.Errorf("%s: %d requests are left", c.reason, len(left))
			}
		})
	}
}

// buttons are the names and values of a page's buttons.
func buttons(t *testing.T, page string) (found []string) {
	t.Helper()
	for _, button := range elementsOf(t, page, "button") {
		found = append(found, button["name"]+"="+button["value"])
	}
	return found
}

func TestPreferences(t *testing.T) {
	f := newFixture(t)
	token := f.mailed("es")
	if page := f.visit(http.MethodGet, "/u/"+token, ""); strings.Contains(page.body, "href") {
		t.Error("without a policy there is nothing to choose")
	}
	if page := f.visit(http.MethodGet, "/p/"+token, ""); page.status != http.StatusNotFound {
		t.Errorf("preferences without a policy: status %d", page.status)
	}
	f.consentPolicy()
	if page := f.visit(http.MethodGet, "/u/"+token, ""); !strings.Contains(page.body, `href="../p/`+token+`"`) {
		t.Errorf("the page of unsubscribing does not lead to the preferences: %s", page.body)
	}
	before := f.versions()
	page := f.visit(http.MethodGet, "/p/"+token, "")
	if diff := cmp.Diff([]string{"withdraw=newsletter", "withdraw=offers", "withdraw=orders"}, buttons(t, page.body)); diff != "" {
		t.Errorf("-want +got:\n%s\n%s", diff, page.body)
	}
	for _, want := range []string{"Boletín &lt;b&gt;", "Una vez al mes.", "la ley nos obliga", `lang="es"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s: %s", want, page.body)
		}
	}
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		f.visit(method, "/p/"+token+"?withdraw=newsletter", "")
	}
	if diff := cmp.Diff(before, f.versions()); diff != "" {
		t.Errorf("looking wrote rows: -before +after:\n%s", diff)
	}

	got := f.visit(http.MethodPost, "/p/"+token, "withdraw=newsletter", formHeader...)
	if diff := cmp.Diff([]string{"ask=newsletter", "withdraw=offers", "withdraw=orders"}, buttons(t, got.body)); diff != "" || !strings.Contains(got.body, "ya no lo recibirás") {
		t.Errorf("-want +got:\n%s\n%s", diff, got.body)
	}
	f.visit(http.MethodPost, "/p/"+token, "withdraw=orders", formHeader...)
	refused := []string{"newsletter|unsubscribed", "orders|unsubscribed"}
	if diff := cmp.Diff(refused, f.rows("select purpose, reason from refusal order by purpose")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	// Who wants it again is asked by mail: whoever has the link need not have the address.
	for range 3 {
		got = f.visit(http.MethodPost, "/p/"+token, "ask=newsletter", formHeader...)
	}
	if diff := cmp.Diff([]string{"withdraw=offers", "ask=orders"}, buttons(t, got.body)); diff != "" || !strings.Contains(got.body, "te enviamos un correo") {
		t.Errorf("-want +got:\n%s\n%s", diff, got.body)
	}
	if diff := cmp.Diff([]string{"{newsletter}|{2}|1"}, f.rows("select purposes::text, versions::text, contact_id from consent_request")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"newsletter|false|true|unsubscribe|preferences||true"}, f.rows(proofQuery)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, body := range []string{"", "withdraw=recalls", "withdraw=nothing", "ask=recalls", "withdraw=%zz", "withdraw=" + url.QueryEscape("newsletter\x00")} {
		if got := f.visit(http.MethodPost, "/p/"+token, body, formHeader...); got.status != http.StatusUnprocessableEntity && got.status != http.StatusBadRequest {
			t.Errorf("%q: status %d", body, got.status)
		}
	}
	if got := f.visit(http.MethodPost, "/p/"+token, "withdraw="+strings.Repeat("x", 20<<10), formHeader...); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large form: status %d", got.status)
	}
}

func TestSubscriptionsTellNothing(t *testing.T) {
	f := newFixture(t)
	f.consentPolicy()
	f.mailed("es")
	ask := func(email string, purposes ...string) answer {
		return f.request(http.MethodPost, "/v1/subscriptions", fmt.Sprintf(`{"email": %q, "purposes": ["%s"], "source": "shop"}`, email, strings.Join(purposes, `", "`)),
			"Content-Type", "application/json")
	}
	known, unknown := ask("Ana@Example.com", "newsletter"), ask("nobody@example.com", "newsletter")
	for _, got := range []answer{known, unknown} {
		got.header.Del("Date")
		if got.status != http.StatusAccepted || got.body != "" {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	}
	if diff := cmp.Diff(known.header, unknown.header); diff != "" {
		t.Errorf("the answers differ: -known +unknown:\n%s", diff)
	}
	ask("ana@example.com", "newsletter", "offers")
	if diff := cmp.Diff([]string{"ana@example.com|{newsletter,offers}|{2,}", "nobody@example.com|{newsletter}|{2}"},
		f.rows(`select address, purposes::text, replace(versions::text, '""', '') from consent_request order by id`)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, body := range map[string]string{
		"no address":         `{"email": "ana", "purposes": ["newsletter"]}`,
		"an unknown purpose": `{"email": "ana@example.com", "purposes": ["newsleter"]}`,
		"a legal one":        `{"email": "ana@example.com", "purposes": ["recalls"]}`,
		"none":               `{"email": "ana@example.com", "purposes": []}`,
		"a locale":           `{"email": "ana@example.com", "purposes": ["newsletter"], "locale": "??"}`,
		"a zone":             `{"email": "ana@example.com", "purposes": ["newsletter"], "time_zone": "../etc/passwd"}`,
		"a source":           `{"email": "ana@example.com", "purposes": ["newsletter"], "source": "Shop!"}`,
		"NUL":                `{"email": "ana\u0000@example.com", "purposes": ["newsletter"]}`,
	} {
		if got := f.request(http.MethodPost, "/v1/subscriptions", body, "Content-Type", "application/json"); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d: %s", name, got.status, got.body)
		}
	}
	if got := ask("ana@example.com", "newsleter"); !strings.Contains(got.body, "did you mean") {
		t.Errorf("the nearest name is missing: %s", got.body)
	}
	f.exec(`insert into consent_request (policy, address_hash, purposes, versions, source, expires_at)
		select 'people', sha256(i::text::bytea), '{}', '{}', 'x', now() + interval '1 day' from generate_series(1, 10000) i`)
	if got := ask("new@example.com", "newsletter"); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("a flood: status %d", got.status)
	}
	if log := f.log.String(); strings.Contains(strings.ToLower(log), "ana@example") {
		t.Errorf("an address was logged: %s", log)
	}
}

func TestAnImportBringsProofs(t *testing.T) {
	f := newFixture(t)
	const header = "external_id,consent:newsletter,consent_at:newsletter,consent_how:newsletter,consent_text:newsletter\n"
	query := `select granted, coalesce(method, '-'), coalesce(text_version, '-'), coalesce(to_char(given_at, 'YYYY-MM-DD'), '-') from consent`
	for _, step := range []struct{ file, want string }{
		{"external_id,consent:newsletter\nC1,true\n", "true|-|-|-"},
		{header + "C1,true,2026-03-01,checkout,2026-01\n", "true|checkout|2026-01|2026-03-01"},
		{"external_id,consent:newsletter\nC1,true\n", "true|checkout|2026-01|2026-03-01"}, // it knows no better
		{header + "C1,false,2026-04-01,call,2026-01\n", "false|call|2026-01|2026-04-01"},
	} {
		f.importCSV(step.file)
		if diff := cmp.Diff([]string{step.want}, f.rows(query)); diff != "" {
			t.Errorf("after %q: -want +got:\n%s", step.file, diff)
		}
	}
	if diff := cmp.Diff([]string{"true|-", "true|checkout"}, f.rows("select granted, coalesce(method, '-') from consent_history order by id")); diff != "" {
		t.Errorf("the history: -want +got:\n%s", diff)
	}
}
