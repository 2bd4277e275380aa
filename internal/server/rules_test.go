package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// entriesOf is what the API tells of a rule's entries.
type entriesOf struct {
	Entries []struct {
		ID, Contact, Status, Step, Reason, Event string
		Path                                     []struct{ Step, How, By, Why string }
	}
	Next string
}

func (f *fixture) entries(query string) (e entriesOf) {
	f.t.Helper()
	got := f.request(http.MethodGet, "/v1/rules/welcome/entries"+query, "")
	if got.status != http.StatusOK {
		f.t.Fatalf("status %d: %s", got.status, got.body)
	}
	got.json(f.t, &e)
	return e
}

func (f *fixture) work() {
	f.t.Helper()
	rules := store.NewRules(f.db)
	_, first := rules.HandleEvents(f.t.Context(), store.EventsAtOnce)
	_, second := rules.WakeEntries(f.t.Context(), store.WakesAtOnce)
	if first != nil || second != nil {
		f.t.Fatal(first, second)
	}
}

func TestRules(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.db.SaveRule(t.Context(), store.RuleDefinition{Name: "welcome", Rule: automate.Rule{
		On:    automate.Trigger{Event: automate.ContactCreated},
		Steps: []automate.Step{{Name: "tag", Tag: "new"}, {Name: "wait", Wait: &automate.Wait{For: automate.Duration(time.Hour)}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.exec("insert into contact (id) overriding system value values (1001), (1002), (1003)")
	f.exec(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no' using errcode = '22023'; end $$`)
	f.exec("create trigger refuse before update on contact for each row when (old.id = 1002) execute function refuse()")
	f.work()

	var list struct{ Rules []map[string]any }
	f.request(http.MethodGet, "/v1/rules", "").json(t, &list)
	want := map[string]any{
		"name": "welcome", "version": 1.0, "state": "InForce", "trigger": "contact.created", "active": 3.0, "waiting": 2.0, "stuck": 1.0, "fired": 3.0,
	}
	if len(list.Rules) != 1 {
		t.Fatalf("the rules are %v", list.Rules)
	}
	if diff := cmp.Diff(want, list.Rules[0]); diff != "" {
		t.Errorf("the rule (-want +got):\n%s", diff)
	}

	stuck := f.entries("?status=Stuck")
	if len(stuck.Entries) != 1 || stuck.Entries[0].Reason == "" {
		t.Fatalf("stuck are %+v", stuck)
	}
	one := "/v1/rules/welcome/entries/" + stuck.Entries[0].ID + "/commands"
	if page := f.entries("?limit=2"); len(page.Entries) != 2 || page.Next == "" || len(f.entries("?limit=2&after="+page.Next).Entries) != 1 {
		t.Errorf("the pages begin with %+v", page)
	}
	f.exec("drop trigger refuse on contact")
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{one, `{"verb": "retry", "by": "ana", "reason": "no"}`, http.StatusUnprocessableEntity},
		{one, `{"verb": "retry", "by": "ana", "reason": "mended"}`, http.StatusNoContent},
		{one, `{"verb": "retry", "by": "ana", "reason": "mended"}`, http.StatusConflict},
		{"/v1/rules/other/retries", `{"by": "ana", "reason": "mended"}`, http.StatusNotFound},
		{"/v1/rules/welcome/entries/00000000-0000-4000-8000-000000000000/commands", `{"verb": "end", "by": "ana", "reason": "over"}`, http.StatusNotFound},
	} {
		if got := f.request(http.MethodPost, c.path, c.body); got.status != c.status {
			t.Errorf("POST %s %s: %d %s", c.path, c.body, got.status, got.body)
		}
	}
	f.work()
	mine := f.entries("?contact=" + stuck.Entries[0].Contact)
	if len(mine.Entries) != 1 || mine.Entries[0].Status != "Waiting" || len(mine.Entries[0].Path) < 2 ||
		mine.Entries[0].Path[0].How != "Retried" || mine.Entries[0].Path[0].Why != "mended" {
		t.Errorf("the entry that was retried is %+v", mine)
	}
	for _, status := range []int{http.StatusNoContent, http.StatusConflict} {
		if got := f.request(http.MethodPost, one, `{"verb": "end", "by": "ana", "reason": "called"}`); got.status != status {
			t.Errorf("to end it: %d %s", got.status, got.body)
		}
	}
	if got := f.request(http.MethodGet, "/v1/rules/other", ""); got.status != http.StatusNotFound {
		t.Errorf("a rule that is not there: %d", got.status)
	}
}
