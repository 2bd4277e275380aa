package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/store"
)

type suggestionList struct {
	Suggestions []struct {
		Score    float64
		Reasons  []struct{ Signal, Level string }
		Contacts []struct {
			ID          string
			Attributes  map[string]string
			Identifiers []struct{ Value string }
		}
	}
	Next string
}

// tokenWith makes a token of one scope.
func (f *fixture) tokenWith(scope string) string {
	f.t.Helper()
	token := store.NewToken()
	name := strings.ReplaceAll(scope, ":", "-") + "-only"
	if _, err := f.db.CreateToken(context.Background(), store.Token{Name: name, Scopes: []string{scope}}, store.HashToken(token)); err != nil {
		f.t.Fatal(err)
	}
	return token
}

func TestSuggestions(t *testing.T) {
	f := newFixture(t)
	f.exec("update attribute set role = 'Name' where name = 'first_name'")
	for _, source := range []string{"shop", "web"} {
		f.putContacts(`{"source": "` + source + `", "contacts": [
			{"external_id": "1", "attributes": {"first_name": "Nuria Vidal"}}, {"external_id": "2", "attributes": {"first_name": "Hugo Sanz"}, "locale": "es"},
			{"external_id": "3", "attributes": {"first_name": "Olga Pino"}, "email": "olga@one.example"}]}`)
	}
	for l := (store.Looked{More: true}); l.More; {
		var err error
		if l, err = f.db.LookForSuggestions(context.Background(), l.Next, 2); err != nil {
			t.Fatal(err)
		}
	}
	list := func(token, query string) (list suggestionList) {
		t.Helper()
		answer := f.requestAs(token, http.MethodGet, f.base+"/v1/suggestions"+query, "")
		if answer.status != http.StatusOK {
			t.Fatalf("list: %d %s", answer.status, answer.body)
		}
		if err := json.Unmarshal([]byte(answer.body), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	all := list(f.token, "")
	if len(all.Suggestions) != 3 || all.Next != "" || all.Suggestions[0].Score < all.Suggestions[2].Score {
		t.Fatalf("all: %+v", all)
	}
	var ids []string
	for after := ""; ; {
		page := list(f.token, "?limit=1"+after)
		ids = append(ids, page.Suggestions[0].Contacts[0].ID)
		if page.Next == "" {
			break
		}
		after = "&after=" + page.Next
	}
	if len(ids) != 3 || ids[0] == ids[1] || ids[1] == ids[2] {
		t.Errorf("page by page: %v", ids)
	}
	if few := list(f.token, "?min_score=0.55"); len(few.Suggestions) >= 3 || len(few.Suggestions) == 0 {
		t.Errorf("the likelier ones: %+v", few)
	}
	if answer := f.request(http.MethodGet, "/v1/suggestions?after=everybody", ""); answer.status != http.StatusUnprocessableEntity {
		t.Errorf("a page that is none: %d %s", answer.status, answer.body)
	}

	writer, reader := f.tokenWith("contacts:write"), f.tokenWith("contacts:read")
	if got := list(reader, "").Suggestions[1].Contacts[0]; got.Attributes["first_name"] == "" {
		t.Errorf("who may read contacts sees nobody: %+v", got)
	}
	got := f.requestAs(writer, http.MethodGet, f.base+"/v1/suggestions", "")
	if got.status != http.StatusOK || strings.Contains(got.body, "Nuria") || strings.Contains(got.body, "olga") {
		t.Errorf("who may not read contacts sees %s", got.body)
	}
	if answer := f.requestAs(f.tokenWith("events:write"), http.MethodGet, f.base+"/v1/suggestions", ""); answer.status != http.StatusForbidden {
		t.Errorf("with another scope: %d", answer.status)
	}

	decide := func(token, verb string, pair int) answer {
		c := all.Suggestions[pair].Contacts
		return f.requestAs(token, http.MethodPost, f.base+"/v1/"+verb, `{"ids": ["`+c[0].ID+`", "`+c[1].ID+`"], "by": "eva", "reason": "asked them"}`, "Content-Type", "application/json")
	}
	for _, c := range []struct {
		why, token, verb string
		pair, status     int
		say              string
	}{
		{"a reader decides nothing", reader, "suggestions:accept", 0, http.StatusForbidden, ""},
		{"the first reviewer", writer, "suggestions:accept", 0, http.StatusOK, `"changed":true`},
		{"the second comes late", writer, "suggestions:accept", 0, http.StatusConflict, "one contact already: " + all.Suggestions[0].Contacts[0].ID + ". eva decided so"},
		{"and cannot part them so", writer, "suggestions:reject", 0, http.StatusConflict, "contacts:unmerge takes them apart"},
		{"two people", writer, "suggestions:reject", 1, http.StatusOK, `"changed":true`},
		{"decided otherwise meanwhile", writer, "suggestions:accept", 1, http.StatusConflict, "two people. eva decided so"},
		{"said again", writer, "contacts:distinct", 1, http.StatusOK, `"changed":false`},
	} {
		if got := decide(c.token, c.verb, c.pair); got.status != c.status || !strings.Contains(got.body, c.say) {
			t.Errorf("%s: %d %s", c.why, got.status, got.body)
		}
	}
	f.exec("delete from suggestion")
	if got := decide(writer, "suggestions:accept", 2); got.status != http.StatusConflict || !strings.Contains(got.body, "not suggested any more") {
		t.Errorf("changed meanwhile: %d %s", got.status, got.body)
	}
}
