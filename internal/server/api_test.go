package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/server"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// result is one item of a batch's answer.
type result struct {
	Index             int
	Status, ID, Error string
}

func (f *fixture) putContacts(body string) (results []result) {
	f.t.Helper()
	var out struct{ Results []result }
	got := f.request(http.MethodPost, "/v1/contacts:batch", body)
	if got.status != http.StatusOK {
		f.t.Fatalf("status %d: %s", got.status, got.body)
	}
	got.json(f.t, &out)
	return out.Results
}

func (f *fixture) putEvents(body string) (results []result) {
	f.t.Helper()
	var out struct{ Results []result }
	got := f.request(http.MethodPost, "/v1/events:batch", body)
	if got.status != http.StatusOK {
		f.t.Fatalf("status %d: %s", got.status, got.body)
	}
	got.json(f.t, &out)
	return out.Results
}

func statuses(results []result) (list []string) {
	for _, r := range results {
		list = append(list, strings.TrimSuffix(r.Status+": "+r.Error, ": "))
	}
	return list
}

func TestPutContacts(t *testing.T) {
	f := newFixture(t)
	const body = `{"source": "shop", "email_verified": true, "contacts": [
		{"external_id": "C1", "email": "Ana@Example.com", "locale": "es", "time_zone": "Europe/Madrid", "tags": ["a", "b"],
		 "attributes": {"first_name": "Ana", "lifetime_value": 12345678901234567890.10, "orders": 3, "member": true, "birthday": "1990-05-17", "last_seen": "2026-11-21T10:00:00+01:00", "plan": null},
		 "consents": {"newsletter": true}},
		{"external_id": "C2", "attributes": {"lifetime_value": "12.50"}},
		{"external_id": "C3", "attributes": {"frist_name": "x"}},
		{"external_id": "C4", "attributes": {"orders": "3"}},
		{"external_id": "C5", "attributes": {"first_name": 7}},
		{"external_id": "C6", "attributes": {"plan": "prp"}},
		{"external_id": "C7", "attributes": {"plan": {"a": 1}}},
		{"external_id": "C8", "email": "nobody"},
		{"external_id": "C9", "consents": {"News": true}},
		{"external_id": "C1"},
		{"external_id": " "},
		{"external_id": "X\u0000Y"}
	]}`
	want := []string{
		"created", "created",
		`rejected: attributes.frist_name: the RecordType contact has no such attribute: did you mean "first_name"?`,
		"rejected: attributes.orders: is a text where the type is Integer: write it without quotes",
		"rejected: attributes.first_name: is no text where the type is String: write it in quotes",
		`rejected: attributes.plan: is none of free, club, pro: did you mean "pro"?`,
		"rejected: attributes.plan: is an object or a list: write a single value",
		"rejected: email: is no e-mail address: it must look like ana@example.com",
		"rejected: consents.News: a purpose is written in lower-case letters, digits, - and _, such as newsletter",
		"rejected: external_id: stands on an earlier line already; keep one line for each",
		"rejected: external_id: is empty",
		"rejected: a text contains a NUL character",
	}
	results := f.putContacts(body)
	if diff := cmp.Diff(want, statuses(results)); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	got := f.request(http.MethodGet, "/v1/contacts/"+results[0].ID, "")
	var contact map[string]any
	got.json(t, &contact)
	for _, changing := range []string{"created_at", "updated_at"} {
		delete(contact, changing)
	}
	for _, i := range contact["identifiers"].([]any) {
		delete(i.(map[string]any), "linked_at")
	}
	delete(contact["consents"].(map[string]any)["newsletter"].(map[string]any), "recorded_at")
	wanted := map[string]any{
		"id": results[0].ID, "locale": "es", "time_zone": "Europe/Madrid", "tags": []any{"a", "b"}, "segments": []any{},
		"attributes": map[string]any{
			"first_name": "Ana", "lifetime_value": 12345678901234567890.10, "orders": 3.0, "member": true, "birthday": "1990-05-17",
			"last_seen": "2026-11-21T09:00:00+00:00",
		},
		"identifiers": []any{
			map[string]any{"type": "email", "value": "ana@example.com", "verified": true, "source": "shop"},
			map[string]any{"type": "external:shop", "value": "C1", "verified": true, "source": "shop"},
		},
		"consents": map[string]any{"newsletter": map[string]any{"granted": true, "by_contact": false, "source": "shop"}},
	}
	if diff := cmp.Diff(wanted, contact); diff != "" {
		t.Errorf("the contact: -want +got:\n%s", diff)
	}
	if !strings.Contains(got.body, `"lifetime_value":12345678901234567890.10`) {
		t.Errorf("a decimal went through a float: %s", got.body)
	}

	before := f.versions()
	again := f.putContacts(body)
	if again[0].Status != "unchanged" || again[0].ID != results[0].ID {
		t.Errorf("again: %+v", again[0])
	}
	if diff := cmp.Diff(before, f.versions()); diff != "" {
		t.Errorf("the second time wrote rows: -before +after:\n%s", diff)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"too many items":      {"POST", "/v1/contacts:batch", `{"contacts": [` + strings.Repeat(`{"external_id":"a"},`, 1000) + `{"external_id":"a"}]}`, 422, "1000"},
		"no item":             {"POST", "/v1/events:batch", `{"events": []}`, 422, "expected array length"},
		"an unknown field":    {"POST", "/v1/contacts:batch", `{"contacts": [{"external_id":"a","emial":"x"}]}`, 422, "emial"},
		"no JSON":             {"POST", "/v1/contacts:batch", `{`, 400, "unexpected end"},
		"a large body":        {"POST", "/v1/contacts:batch", strings.Repeat(" ", 8<<20+1), 413, "too large"},
		"a bad source":        {"POST", "/v1/contacts:batch", `{"source": "The Shop", "contacts": [{"external_id":"a"}]}`, 422, "source"},
		"an unknown contact":  {"GET", "/v1/contacts/7f000000-0000-4000-8000-000000000000", "", 404, "No contact has this id"},
		"no id at all":        {"GET", "/v1/contacts/7", "", 422, "uuid"},
		"an unknown path":     {"GET", "/v1/nothing", "", 404, "nothing at this address"},
		"another method":      {"PUT", "/v1/contacts:batch", "", 405, "PUT"},
		"a path with dots":    {"GET", "/v1/../openapi.json", "", 404, "nothing at this address"},
		"no source to import": {"POST", "/v1/imports/contacts", "external_id\n", 422, "source"},
	} {
		t.Run(name, func(t *testing.T) {
			got := f.request(c.method, c.path, c.body)
			if got.status != c.status || !strings.Contains(got.body, c.want) || got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("status %d, %s: %.300s; want %d with %q as a problem", got.status, got.header.Get("Content-Type"), got.body, c.status, c.want)
			}
		})
	}
}

func TestImportTakesTextOnly(t *testing.T) {
	f := newFixture(t)
	for contentType, want := range map[string]int{
		"text/csv": 200, "text/csv; charset=UTF-8": 200, "application/octet-stream": 200,
		"application/json": 415, "text/csv; charset=iso-8859-1": 415, "multipart/form-data; boundary=x": 415,
	} {
		if got := f.request(http.MethodPost, "/v1/imports/contacts?source=shop", "external_id\n", "Content-Type", contentType); got.status != want {
			t.Errorf("%s: status %d, want %d", contentType, got.status, want)
		}
	}
}

func TestPutEvents(t *testing.T) {
	f := newFixture(t)
	contact := f.putContacts(`{"source": "shop", "email_verified": true, "contacts": [{"external_id": "C1", "email": "ana@example.com"}]}`)[0].ID
	ahead := time.Now().Add(3 * 366 * 24 * time.Hour).Format(time.RFC3339)
	item := func(members string) string {
		return `{"name": "purchase", "occurred_at": "2026-11-21T10:00:00Z", ` + members + `}`
	}
	for name, c := range map[string]struct{ item, want string }{
		"by the source's id":  {item(`"id": "e1", "source": "shop", "contact": {"external_id": "C1"}, "properties": {"amount": "34.50", "sku": "a", "items": 2, "gift": false, "delivery": "2026-12-01", "paid_at": "2026-11-21T10:00:00+01:00"}`), "accepted"},
		"of another source":   {item(`"id": "e2", "source": "web", "contact": {"external_id": "C1", "source": "shop"}`), "accepted"},
		"by address":          {item(`"id": "e3", "contact": {"email": "ANA@example.com"}`), "accepted"},
		"by public id":        {item(`"id": "e4", "contact": {"id": "` + contact + `"}`), "accepted"},
		"by number":           {item(`"id": "e5", "contact": {"phone": "+34 600 111 222"}`), "accepted"},
		"no such person":      {item(`"id": "e6", "contact": {"id": "7f000000-0000-4000-8000-000000000000"}`), "rejected: contact.id: no contact has this id"},
		"nobody":              {item(`"id": "e7", "contact": {}`), "rejected: contact.external_id, email, phone, id: give exactly one of them"},
		"two people":          {item(`"id": "e8", "contact": {"email": "a@example.com", "phone": "+34600111222"}`), "rejected: contact.external_id, email, phone, id: give exactly one of them"},
		"an unknown event":    {`{"id": "e9", "name": "purchse", "occurred_at": "2026-11-21T10:00:00Z", "contact": {"external_id": "C1"}}`, `rejected: name: there is no EventType "purchse": did you mean "purchase"?`},
		"a suspended event":   {`{"id": "e10", "name": "site-visit", "occurred_at": "2026-11-21T10:00:00Z", "contact": {"external_id": "C1"}}`, `rejected: name: the EventType "site-visit" is suspended`},
		"an unknown property": {item(`"id": "e11", "contact": {"external_id": "C1"}, "properties": {"amuont": 1}`), `rejected: properties.amuont: the EventType "purchase" has no such property: did you mean "amount"?`},
		"a wrong type":        {item(`"id": "e12", "contact": {"external_id": "C1"}, "properties": {"items": 1.5}`), "rejected: properties.items: is no Integer: write a whole number such as 42, without separators"},
		"a wrong JSON type":   {item(`"id": "e13", "contact": {"external_id": "C1"}, "properties": {"gift": "true"}`), "rejected: properties.gift: is a text where the type is Boolean: write it without quotes"},
		"a list":              {item(`"id": "e14", "contact": {"external_id": "C1"}, "properties": {"sku": ["a"]}`), "rejected: properties.sku: is an object or a list: write a single value"},
		"a NUL":               {item(`"id": "e15", "contact": {"external_id": "C1"}, "properties": {"sku": "a\u0000"}`), "rejected: properties.sku: contains a NUL character"},
		"half a surrogate":    {item(`"id": "e16", "contact": {"external_id": "C1"}, "properties": {"sku": "a\ud800"}`), "accepted"},
		"large properties":    {item(`"id": "e17", "contact": {"external_id": "C1"}, "properties": {"sku": "` + strings.Repeat("x", 17<<10) + `"}`), "rejected: properties.sku: the properties take more than 16 KiB"},
		"long ago":            {`{"id": "e18", "name": "purchase", "occurred_at": "1969-11-21T10:00:00Z", "contact": {"external_id": "C1"}}`, "rejected: occurred_at: lies before 1970"},
		"far ahead":           {`{"id": "e19", "name": "purchase", "occurred_at": "` + ahead + `", "contact": {"external_id": "C1"}}`, "rejected: occurred_at: lies more than two years ahead"},
		"no id":               {item(`"id": "", "contact": {"external_id": "C1"}`), "rejected: id: must have 1 to 255 bytes and no NUL"},
		"a bad source":        {item(`"id": "e20", "source": "The Shop", "contact": {"external_id": "C1"}`), "rejected: source: must be lower-case letters, digits, dots, hyphens and underscores, such as shop"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{c.want}, statuses(f.putEvents(`{"events": [`+c.item+`]}`))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	want := []string{
		`shop|{"sku": "a", "gift": false, "items": 2, "amount": "34.50", "paid_at": "2026-11-21T09:00:00Z", "delivery": "2026-12-01"}|true`,
		`web|{}|true`, `api|{}|true`, `api|{}|true`, `api|{}|false`, "api|{\"sku\": \"a\uFFFD\"}|false",
	}
	slices.Sort(want)
	got := f.rows("select source, properties::text, contact_id is not null from event")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was kept: -want +got:\n%s", diff)
	}
}

func TestEventsInOneRequest(t *testing.T) {
	f := newFixture(t)
	one := func(id, who string) string {
		return fmt.Sprintf(`{"id": %q, "name": "purchase", "occurred_at": "2026-11-21T10:00:00Z", "contact": {"external_id": %q}}`, id, who)
	}
	body := `{"events": [` + one("a", "C1") + "," + one("b", "C2") + "," + one("a", "C2") + `]}`
	if diff := cmp.Diff([]string{"accepted", "accepted", "duplicate"}, statuses(f.putEvents(body))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	before := f.versions()
	if diff := cmp.Diff([]string{"duplicate", "duplicate", "duplicate"}, statuses(f.putEvents(body))); diff != "" {
		t.Errorf("again: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before, f.versions()); diff != "" {
		t.Errorf("the second time wrote rows: -before +after:\n%s", diff)
	}
}

// TestEventsAreBoundToTheirPerson takes events before, between and after what makes their identifiers somebody's.
func TestEventsAreBoundToTheirPerson(t *testing.T) {
	f := newFixture(t)
	f.exec("insert into segment (name, match, digest, predicate, arguments) values ('everybody', 'true', 'd', 'true', '[]')")
	n := 0
	event := func(contact string) {
		t.Helper()
		n++
		got := f.putEvents(fmt.Sprintf(`{"events": [{"id": "e%d", "name": "purchase", "occurred_at": "2026-11-21T10:00:00Z", "contact": %s}]}`, n, contact))
		if got[0].Status != "accepted" {
			t.Fatalf("%+v", got)
		}
	}
	check := func(want ...string) {
		t.Helper()
		got := f.rows(`select i.value, coalesce((select string_agg(x.value, '+' order by x.value) from identifier_link l join identifier x on x.id = l.identifier_id
			where l.contact_id = e.contact_id and x.type like 'external:%'), '-'), count(*)
			from event e join identifier i on i.id = e.identifier_id group by 1, 2 order by 1, 2`)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	event(`{"external_id": "C1", "source": "shop"}`)
	event(`{"email": "casa@example.com"}`)
	check("C1|-|1", "casa@example.com|-|1")

	f.importCSV("external_id,email\nC1,casa@example.com\n")
	check("C1|C1|1", "casa@example.com|C1|1")

	event(`{"email": "casa@example.com"}`)
	f.importCSV("external_id,email\nC2,casa@example.com\n")
	event(`{"email": "casa@example.com"}`) // of two people by now: nobody knows whose
	check("C1|C1|1", "casa@example.com|-|1", "casa@example.com|C1|2")

	f.importCSV("external_id,email:verified\nC2,casa@example.com\n")
	event(`{"email": "casa@example.com"}`)
	check("C1|C1|1", "casa@example.com|C2|4")
}

func TestTokensAndScopes(t *testing.T) {
	f := newFixture(t)
	make := func(body string) (token string, got answer) {
		got = f.request(http.MethodPost, "/v1/tokens", body)
		var made struct{ Token string }
		_ = json.Unmarshal([]byte(got.body), &made)
		return made.Token, got
	}
	tokens := map[string]string{"": "", "unknown": store.NewToken(), "admin": f.token}
	for _, scope := range server.Scopes[1:] {
		token, got := make(`{"name": "` + strings.ReplaceAll(scope, ":", "-") + `", "scopes": ["` + scope + `"]}`)
		if got.status != http.StatusCreated || !strings.HasPrefix(token, "ttl_") || len(token) != 47 {
			t.Fatalf("%s: status %d, %s", scope, got.status, got.body)
		}
		tokens[scope] = token
	}
	expired := store.NewToken()
	past := time.Now().Add(-time.Second)
	if _, err := f.db.CreateToken(context.Background(), store.Token{Name: "expired", Scopes: []string{"admin"}, ExpiresAt: &past}, store.HashToken(expired)); err != nil {
		t.Fatal(err)
	}
	tokens["expired"] = expired
	operations := map[string]struct {
		method, path, body string
		scopes             string
	}{
		"contacts":     {"POST", "/v1/contacts:batch", `{"contacts": [{"external_id": "a"}]}`, "contacts:write"},
		"contact":      {"GET", "/v1/contacts/7f000000-0000-4000-8000-000000000000", "", "contacts:read"},
		"a sample":     {"GET", "/v1/contacts/7f000000-0000-4000-8000-000000000000/sample", "", "contacts:read"},
		"events":       {"POST", "/v1/events:batch", `{"events": [{"id": "a", "name": "x", "occurred_at": "2026-11-21T10:00:00Z", "contact": {}}]}`, "events:write"},
		"import":       {"POST", "/v1/imports/contacts?source=shop", "external_id\n", "imports:write contacts:write"},
		"make a token": {"POST", "/v1/tokens", `{"name": "x", "scopes": ["nothing"]}`, ""},
		"tokens":       {"GET", "/v1/tokens", "", ""},
		"revoke":       {"DELETE", "/v1/tokens/nothing", "", ""},
	}
	for name, o := range operations {
		for who, token := range tokens {
			got := f.requestAs(token, o.method, f.base+o.path, o.body)
			want := http.StatusForbidden
			switch {
			case who == "" || who == "unknown" || who == "expired":
				want = http.StatusUnauthorized
			case who == "admin" || strings.Contains(" "+o.scopes+" ", " "+who+" "):
				want = 0
			}
			allowed := got.status != http.StatusForbidden && got.status != http.StatusUnauthorized
			if want == 0 && !allowed || want != 0 && got.status != want {
				t.Errorf("%s with %s: status %d, want %d: %s", name, who, got.status, want, got.body)
			}
			if !allowed && (got.header.Get("WWW-Authenticate") == "" || got.header.Get("Content-Type") != "application/problem+json") {
				t.Errorf("%s with %s: %v", name, who, got.header)
			}
		}
	}
	for _, token := range tokens {
		if token != "" && (strings.Contains(f.log.String(), token) || len(f.rows("select from api_token where encode(hash, 'escape') like '%' || $1 || '%'", token)) > 0) {
			t.Error("a token was kept or logged")
		}
	}
}

func TestTokensEnd(t *testing.T) {
	f := newFixture(t)
	create := func(body string) answer { return f.request(http.MethodPost, "/v1/tokens", body) }
	got := create(`{"name": "shop", "scopes": ["contacts:write"], "expires_at": "2099-01-01T00:00:00Z"}`)
	var made struct{ Token string }
	got.json(t, &made)
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"a taken name":     {`{"name": "shop", "scopes": ["admin"]}`, 409},
		"the operator's":   {`{"name": "admin", "scopes": ["admin"]}`, 409},
		"an unknown scope": {`{"name": "x", "scopes": ["contacts:delete"]}`, 422},
		"the past":         {`{"name": "x", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"}`, 422},
		"no scope":         {`{"name": "x", "scopes": []}`, 422},
		"a bad name":       {`{"name": "X Y", "scopes": ["admin"]}`, 422},
	} {
		if got := create(c.body); got.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", name, got.status, c.status, got.body)
		}
	}
	list := f.request(http.MethodGet, "/v1/tokens", "").body
	if !strings.Contains(list, `"name":"shop"`) || !strings.Contains(list, `"expires_at":"2099-01-01T00:00:00Z"`) || strings.Contains(list, made.Token) {
		t.Errorf("the list: %s", list)
	}
	put := func() int {
		return f.requestAs(made.Token, http.MethodPost, f.base+"/v1/contacts:batch", `{"contacts": [{"external_id": "a"}]}`).status
	}
	if status := put(); status != http.StatusOK {
		t.Errorf("before: status %d", status)
	}
	if got := f.request(http.MethodDelete, "/v1/tokens/shop", ""); got.status != http.StatusNoContent {
		t.Errorf("revoke: status %d: %s", got.status, got.body)
	}
	if status := put(); status != http.StatusUnauthorized {
		t.Errorf("a revoked token: status %d", status)
	}
	if got := f.request(http.MethodDelete, "/v1/tokens/shop", ""); got.status != http.StatusNotFound {
		t.Errorf("revoke again: status %d", got.status)
	}
	if got := f.request(http.MethodDelete, "/v1/tokens/admin", ""); got.status != http.StatusConflict {
		t.Errorf("revoke the operator's: status %d", got.status)
	}
	if got := create(`{"name": "shop", "scopes": ["events:write"]}`); got.status != http.StatusCreated {
		t.Errorf("the name is free again: status %d: %s", got.status, got.body)
	}
}

// TestOpenAPITellsAnAuthorEverything reads the description as who writes a client does.
func TestOpenAPITellsAnAuthorEverything(t *testing.T) {
	f := newFixture(t)
	type schema struct {
		Description string
		Enum        []string
		Items       *struct{ Enum []string }
	}
	var document struct {
		Paths map[string]map[string]struct {
			Summary   string
			Security  []map[string][]string
			Responses map[string]struct{ Content map[string]any }
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]schema }
		}
	}
	f.requestAs("", http.MethodGet, f.base+"/openapi.json", "").json(t, &document)
	for path, methods := range document.Paths {
		for method, operation := range methods {
			for _, status := range []string{"401", "403", "503"} {
				if _, ok := operation.Responses[status].Content["application/problem+json"]; !ok {
					t.Errorf("%s %s: the answer %s is no described problem", method, path, status)
				}
			}
			for _, alternative := range operation.Security {
				if scopes := alternative["bearer"]; len(scopes) != 1 {
					t.Errorf("%s %s: %v reads as if a token needed all of these scopes", method, path, scopes)
				}
			}
		}
	}
	for _, status := range []string{"400", "415", "422", "429"} {
		if _, ok := document.Paths["/v1/imports/contacts"]["post"].Responses[status]; !ok {
			t.Errorf("an import's answer %s is not described", status)
		}
	}
	for name, s := range document.Components.Schemas {
		for property, p := range s.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s is not described", name, property)
			}
		}
	}
	scopes := document.Components.Schemas["CreateTokenInputBody"].Properties["scopes"].Items
	if scopes == nil || !cmp.Equal(scopes.Enum, server.Scopes) {
		t.Errorf("scopes: %+v", scopes)
	}
}

func TestOpenAPI(t *testing.T) {
	f := newFixture(t)
	got := f.requestAs("", http.MethodGet, f.base+"/openapi.json", "")
	var document struct {
		OpenAPI string
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
		}
	}
	got.json(t, &document)
	if document.OpenAPI != "3.1.0" || len(document.Servers) != 1 || document.Servers[0].URL != "." {
		t.Errorf("version %s, servers %v", document.OpenAPI, document.Servers)
	}
	var operations []string
	for path, methods := range document.Paths {
		for method, operation := range methods {
			if len(operation.Security) == 0 {
				t.Errorf("%s %s is open to everybody", method, path)
			}
			operations = append(operations, strings.ToUpper(method)+" "+path)
		}
	}
	for _, want := range []string{
		"POST /v1/contacts:batch", "GET /v1/contacts/{id}", "POST /v1/events:batch", "POST /v1/imports/contacts",
		"POST /v1/tokens", "GET /v1/tokens", "DELETE /v1/tokens/{name}",
	} {
		if !strings.Contains(strings.Join(operations, ","), want) {
			t.Errorf("%s is not described", want)
		}
	}
}
