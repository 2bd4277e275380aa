package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// preview is what the API answers.
type preview struct {
	Variant, Locale, Subject, HTML, Text string
	Message                              []byte
	Detail                               string
	Results                              []struct {
		Outcome, Reply string
		Code           int
	}
}

// newPreviewFixture is a tenant with a campaign "spring", a contact, and a relay.
func newPreviewFixture(t *testing.T) (f *fixture, relay *delivertest.Server, contact string) {
	t.Helper()
	f = newFixture(t)
	relay = delivertest.NewServer(t, delivertest.Behaviour{})
	relay.Start()
	ctx := context.Background()
	exec := func(sql string, arguments ...any) {
		t.Helper()
		if _, err := f.db.Pool.Exec(ctx, sql, arguments...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec("update tenant set public_url = 'https://crm.velo.example'")
	exec(`insert into segment (name, match, digest, predicate, arguments) values ('everybody', 'true', 'd1', 'true', '[]')`)
	for _, name := range []string{"spring", "short"} {
		if _, err := f.db.SaveTemplate(ctx, store.Template{Name: name, DefaultLocale: "es", Digest: name, Content: []store.TemplateContent{
			{Locale: "es", Subject: "Hola {{ contact.first_name }}", HTML: `<p>Eres {{ contact.plan }}. <a href="https://velo.example/">` + name + `</a> <a href="{{ unsubscribe_url }}">Baja</a></p>`},
			{Locale: "en", Subject: "Hello {{ contact.first_name }}", HTML: "<p>You are {{ contact.plan }}.</p>"},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := f.db.SaveChannel(ctx, store.Channel{Name: "newsletter", Type: "Email", Email: store.EmailSettings{
		From: "Velo <hola@velo.example>", Host: relay.Host(), Port: relay.Port(), TLS: "None", Connections: 2, DKIM: "Relay",
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.db.UpsertSend(ctx, store.SendConfig{
		SendKey: "spring-2027", Campaign: "spring", Purpose: "newsletter", Channel: "newsletter", Segments: []string{"everybody"}, MaxRecipients: 10,
		Variants: []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}, {Name: "b", Template: "short", Weight: 1}},
		StartsAt: time.Now().Add(time.Hour), Deadline: time.Now().Add(2 * time.Hour), Tracking: store.Tracking{Opens: true, Clicks: true},
	}); err != nil {
		t.Fatal(err)
	}
	exec("insert into contact (locale, attr_first_name, attr_plan) values ('es-MX', 'Ana', 'club')")
	exec("insert into identifier (type, value) values ('email', 'ana@people.example')")
	exec("insert into identifier_link (identifier_id, contact_id, verified, source) select i.id, c.id, true, 'test' from identifier i, contact c")
	if err := f.db.Pool.QueryRow(ctx, "select public_id::text from contact").Scan(&contact); err != nil {
		t.Fatal(err)
	}
	return f, relay, contact
}

func (f *fixture) preview(path string, request map[string]any) (preview, int) {
	f.t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		f.t.Fatal(err)
	}
	answer := f.request(http.MethodPost, path, string(body))
	var p preview
	answer.json(f.t, &p)
	return p, answer.status
}

func TestPreview(t *testing.T) {
	f, relay, contact := newPreviewFixture(t)
	const path = "/v1/campaigns/spring/preview"
	for name, tc := range map[string]struct {
		why     string
		request map[string]any
		status  int
		want    preview // its HTML is a part of the whole
	}{
		"a contact": {"their values in their language", map[string]any{"contact": contact}, 200, preview{Variant: "a", Locale: "es", Subject: "Hola Ana", HTML: "Eres club. <a href=\"https://velo.example/\">spring"}},
		"nobody":    {"typical values", map[string]any{}, 200, preview{Variant: "a", Locale: "es", Subject: "Hola Alejandra", HTML: "Eres free"}},
		"a variant": {"by its name", map[string]any{"variant": "b"}, 200, preview{Variant: "b", Locale: "es", Subject: "Hola Alejandra", HTML: "short"}},
		"a locale":  {"rather than the contact's", map[string]any{"contact": contact, "locale": "en-GB"}, 200, preview{Variant: "a", Locale: "en", Subject: "Hello Ana", HTML: "You are club"}},
		"stranger":  {"no such contact", map[string]any{"contact": "00000000-0000-4000-8000-000000000000"}, 404, preview{}},
		"variant c": {"no such variant", map[string]any{"variant": "c"}, 404, preview{}},
		"no id":     {"an address is none", map[string]any{"contact": "ana@people.example"}, 422, preview{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, status := f.preview(path, tc.request)
			if status != tc.status {
				t.Fatalf("%s: status %d: %+v", tc.why, status, got)
			}
			if status != 200 {
				return
			}
			if got.Variant != tc.want.Variant || got.Locale != tc.want.Locale || got.Subject != tc.want.Subject || !strings.Contains(got.HTML, tc.want.HTML) {
				t.Errorf("%s: %+v", tc.why, got)
			}
			message := string(got.Message)
			if !strings.HasPrefix(message, "From: \"Velo\" <hola@velo.example>\r\nTo: <") || strings.Contains(message, "/c/") || strings.Contains(message, "/o/") {
				t.Errorf("%s: a preview is whole, and not tracked:\n%s", tc.why, message)
			}
		})
	}
	if _, status := f.preview("/v1/campaigns/autumn/preview", map[string]any{}); status != 404 {
		t.Errorf("no such campaign: status %d", status)
	}
	// Its link unsubscribes nobody.
	shown, _ := f.preview(path, map[string]any{"contact": contact})
	_, link, _ := strings.Cut(shown.HTML, "https://crm.velo.example")
	link, _, _ = strings.Cut(link, `"`)
	if answer := f.requestAs("", http.MethodPost, f.base+link, ""); answer.status != http.StatusNotFound {
		t.Errorf("the link %s of a preview answers %d", link, answer.status)
	}
	if len(relay.Messages()) > 0 {
		t.Error("a preview was sent")
	}
	if text := f.log.String(); strings.Contains(text, "Ana") || strings.Contains(text, "people.example") {
		t.Errorf("the log tells of people:\n%s", text)
	}
}

func TestPreviewNeedsItsScope(t *testing.T) {
	f, relay, contact := newPreviewFixture(t)
	for scope, want := range map[string][2]int{"previews:read": {200, 403}, "tests:send": {403, 200}, "contacts:read": {403, 403}} {
		answer := f.request(http.MethodPost, "/v1/tokens", `{"name": "x`+strings.ReplaceAll(scope, ":", "-")+`", "scopes": ["`+scope+`"]}`)
		var made struct{ Token string }
		answer.json(t, &made)
		got := [2]int{
			f.requestAs(made.Token, http.MethodPost, f.base+"/v1/campaigns/spring/preview", `{}`).status,
			f.requestAs(made.Token, http.MethodPost, f.base+"/v1/campaigns/spring/tests", `{"to": ["author@velo.example"]}`).status,
		}
		if got != want {
			t.Errorf("%s: got %v, want %v", scope, got, want)
		}
		// A test goes to anybody: it says nothing of a contact that the token may not read.
		said := len(relay.Messages())
		body := `{"to": ["anybody@elsewhere.example"], "as": {"contact": "` + contact + `"}}`
		if answer := f.requestAs(made.Token, http.MethodPost, f.base+"/v1/campaigns/spring/tests", body); answer.status != http.StatusForbidden || len(relay.Messages()) != said {
			t.Errorf("%s shows a contact to anybody: status %d", scope, answer.status)
		}
	}
	answer := f.request(http.MethodPost, "/v1/tokens", `{"name": "both", "scopes": ["tests:send", "previews:read"]}`)
	var made struct{ Token string }
	answer.json(t, &made)
	body := `{"to": ["author@velo.example"], "as": {"contact": "` + contact + `"}}`
	if answer := f.requestAs(made.Token, http.MethodPost, f.base+"/v1/campaigns/spring/tests", body); answer.status != http.StatusOK {
		t.Errorf("both scopes: status %d", answer.status)
	}
}

func TestSendTest(t *testing.T) {
	f, relay, contact := newPreviewFixture(t)
	const path = "/v1/campaigns/spring/tests"
	got, status := f.preview(path, map[string]any{"to": []string{"Author@velo.example", "other@velo.example", "author@velo.example"}, "as": map[string]any{"contact": contact}})
	if status != 200 || len(got.Results) != 2 || got.Results[0].Outcome != "Accepted" || got.Results[1].Outcome != "Accepted" || got.Subject != "[Test] Hola Ana" {
		t.Fatalf("status %d: %+v", status, got)
	}
	ids := map[string]bool{}
	for _, m := range relay.Messages() {
		text := string(m.Data)
		if !strings.HasSuffix(m.To, "@velo.example") || !strings.Contains(text, "Subject: [Test] Hola Ana") || strings.Contains(text, "ana@people.example") {
			t.Errorf("a test goes to the given addresses, marked:\n%s", text)
		}
		_, id, _ := strings.Cut(text, "Message-ID: ")
		id, _, _ = strings.Cut(id, "\r\n")
		ids[id] = true
	}
	if len(relay.Messages()) != 2 || len(ids) != 2 {
		t.Errorf("%d messages with the ids %v", len(relay.Messages()), ids)
	}
	var rows int
	if err := f.db.Pool.QueryRow(context.Background(), "select count(*) from ledger").Scan(&rows); err != nil || rows > 0 {
		t.Errorf("the ledger has %d rows, %v", rows, err)
	}
	if _, err := f.db.Suppress(context.Background(), store.Suppression{Address: "angry@velo.example", Reason: store.SuppressManual, Source: "test"}); err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]map[string]any{
		"no address":    {"to": []string{"nobody"}},
		"nobody":        {"to": []string{}},
		"eleven":        {"to": strings.Split(strings.Repeat("a@velo.example ", 10)+"a@velo.example", " ")},
		"is suppressed": {"to": []string{"angry@velo.example"}},
	} {
		if got, status := f.preview(path, request); status != 422 || strings.Contains(got.Detail, "angry@") {
			t.Errorf("%s: status %d: %s", name, status, got.Detail)
		}
	}
	relay.Stop()
	if got, status := f.preview(path, map[string]any{"to": []string{"author@velo.example"}}); status != 422 || !strings.Contains(got.Detail, "The relay took nothing: connect at") {
		t.Errorf("without a relay: status %d: %s", status, got.Detail)
	}
	many := make([]string, 10)
	for i := range many {
		many[i] = string(rune('a'+i)) + "@velo.example"
	}
	limited := 0
	for range 3 {
		if _, status := f.preview(path, map[string]any{"to": many}); status == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("nothing bounds how many tests are sent")
	}
	if text := f.log.String(); strings.Contains(text, "author@") || strings.Contains(text, "a@velo.example") {
		t.Errorf("the log tells of addresses:\n%s", text)
	}
}
