package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type accountAnswer struct {
	ID          string
	Name        string
	Attributes  map[string]any
	Identifiers []struct{ Type, Value string }
	Contacts    *int
}

type accountList struct {
	Accounts []accountAnswer
	Contacts []struct {
		ID, Role string
		Primary  bool
	}
	Next string
}

func TestAccounts(t *testing.T) {
	f := newFixture(t)
	attributes := []crm.Attribute{{Name: "seats", Type: crm.Integer}, {Name: "tier", Type: crm.String, Enum: []string{"gold", "tin"}}}
	if _, _, err := f.db.EnsureAttributesOf(context.Background(), store.AccountType, attributes); err != nil {
		t.Fatal(err)
	}
	send := func(what, text string) answer {
		t.Helper()
		return f.request(http.MethodPost, "/v1/imports/"+what+"?source=crm", text, "Content-Type", "text/csv")
	}
	has := func(why string, got answer, status int, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if got.status != status || !strings.Contains(got.body, want) {
				t.Errorf("%s: %d, and it lacks %q:\n%s", why, got.status, want, got.body)
			}
		}
	}
	has("a wrong header", send("accounts", "external_id,nam,plan\n1,Acme,x\n"), http.StatusUnprocessableEntity,
		`did you mean \"name\"?`, `RecordType \"account\"`)
	has("no ids", send("accounts", "name\nAcme\n"), http.StatusUnprocessableEntity, `the column \"external_id\" is missing`)
	has("a file", send("accounts", "external_id,name,domain,seats,tier\nA1,Acme,www.ACME.example,5,gold\nA2,Bolt,gmail.com,,\nA3,Cog,,many,\nA4,Dot,,,lead\nA5,Ever\nA6,Fix,,,tin\n"), http.StatusOK,
		`"created":2`, `"rejected":4`, "domain: is one at which anybody gets an address", "seats: is no Integer", "tier: is none of gold, tin", "cells: 2 where the header has 5")
	has("again", send("accounts", "external_id,name,domain\nA1,Acme,acme.example\n"), http.StatusOK, `"unchanged":1`)
	if got := f.requestAs(f.tokenWith("contacts:read"), http.MethodPost, f.base+"/v1/imports/accounts?source=crm", "external_id\n"); got.status != http.StatusForbidden {
		t.Errorf("a reader imports: %d", got.status)
	}

	has("who belongs to it", send("contacts", "external_id,email,account,account_role\nP1,ana@example.com,A1|A6,buyer\nP2,eva@example.com,A9,\nP3,,,\n"), http.StatusOK,
		`"created":2`, "account: the source has told of no account with this id")
	has("a role in nothing", send("contacts", "external_id,account_role\nP1,buyer\n"), http.StatusUnprocessableEntity, `add the column \"account\"`)
	results := f.putContacts(`{"source": "crm", "contacts": [{"external_id": "P4", "accounts": ["A6"], "account_role": "owner"}, {"external_id": "P5", "account_role": "owner"}]}`)
	if results[0].Status != "created" || results[1].Status != "rejected" {
		t.Errorf("as JSON: %+v", results)
	}

	var list, page accountList
	f.request(http.MethodGet, "/v1/accounts", "").json(t, &list)
	if len(list.Accounts) != 2 || list.Accounts[0].Name != "Acme" || list.Next != "" {
		t.Fatalf("listed: %+v", list)
	}
	f.request(http.MethodGet, "/v1/accounts?limit=1", "").json(t, &page)
	f.request(http.MethodGet, "/v1/accounts?limit=1&after="+page.Next, "").json(t, &page)
	if len(page.Accounts) != 1 || page.Accounts[0].Name != "Fix" {
		t.Errorf("the second page: %+v", page)
	}
	f.request(http.MethodGet, "/v1/accounts?domain=acme.example", "").json(t, &page)
	if len(page.Accounts) != 1 || page.Accounts[0].Name != "Acme" {
		t.Errorf("by domain: %+v", page)
	}
	has("a page that is none", f.request(http.MethodGet, "/v1/accounts?after=x", ""), http.StatusUnprocessableEntity, "not the next of a page")

	acme := "/v1/accounts/" + list.Accounts[0].ID
	var shown accountAnswer
	f.request(http.MethodGet, acme, "").json(t, &shown)
	if shown.Contacts == nil || *shown.Contacts != 1 || shown.Attributes["tier"] != "gold" || shown.Attributes["seats"] != 5.0 || len(shown.Identifiers) != 2 {
		t.Errorf("shown: %+v", shown)
	}
	ana := f.rows("select c.public_id::text from contact c join identifier_link l on l.contact_id = c.id join identifier i on i.id = l.identifier_id where i.value = 'ana@example.com'")[0]
	third := f.rows("select c.public_id::text from contact c join identifier_link l on l.contact_id = c.id join identifier i on i.id = l.identifier_id where i.value = 'P3'")[0]
	has("of the contact", f.request(http.MethodGet, "/v1/contacts/"+ana, ""), http.StatusOK, `"name":"Acme","role":"buyer","primary":true,"sources":["crm"]`, `"name":"Fix","primary":false`)

	as := func(token, method, path, body string) int {
		t.Helper()
		return f.requestAs(token, method, f.base+path, body, "Content-Type", "application/json").status
	}
	reader, writer := f.tokenWith("events:write"), f.tokenWith("contacts:write")
	for _, c := range []struct {
		why, token, method, path, body string
		status                         int
	}{
		{"a token of nothing adds nobody", reader, http.MethodPut, acme + "/contacts/" + third, `{"by": "eva"}`, http.StatusForbidden},
		{"somebody joins", writer, http.MethodPut, acme + "/contacts/" + third, `{"by": "eva", "role": "owner", "primary": true}`, http.StatusNoContent},
		{"nobody decides", writer, http.MethodPut, acme + "/contacts/" + third, `{"role": "owner"}`, http.StatusUnprocessableEntity},
		{"nobody joins", writer, http.MethodPut, acme + "/contacts/b0000000-0000-4000-8000-000000000000", `{"by": "eva"}`, http.StatusNotFound},
		{"somebody leaves", writer, http.MethodDelete, acme + "/contacts/" + ana + "?by=eva", "", http.StatusNoContent},
	} {
		if got := as(c.token, c.method, c.path, c.body); got != c.status {
			t.Errorf("%s: %d, want %d", c.why, got, c.status)
		}
	}
	f.request(http.MethodGet, acme+"/contacts", "").json(t, &page)
	if len(page.Contacts) != 1 || page.Contacts[0].ID != third || page.Contacts[0].Role != "owner" || !page.Contacts[0].Primary {
		t.Errorf("who belongs to it now: %+v", page.Contacts)
	}
	if got := as(writer, http.MethodDelete, acme, ""); got != http.StatusNoContent {
		t.Errorf("erase: %d", got)
	}
	for _, path := range []string{acme, acme + "/contacts"} {
		if got := as(f.token, http.MethodGet, path, ""); got != http.StatusNotFound {
			t.Errorf("%s of an account that is erased: %d", path, got)
		}
	}
	if got := as(writer, http.MethodDelete, acme, ""); got != http.StatusNotFound {
		t.Errorf("erase again: %d", got)
	}
}
