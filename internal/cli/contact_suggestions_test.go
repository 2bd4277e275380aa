package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestContactSuggestions(t *testing.T) {
	s := newShop(t)
	run := func(args ...string) string {
		t.Helper()
		out, _, err := s.run(append(args, "--kubeconfig", s.kubeconfig)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	if out := run("contact", "suggestions"); !strings.Contains(out, "Nobody waits") {
		t.Errorf("nobody is there, and it says %s", out)
	}
	ctx := context.Background()
	for source, address := range map[string]string{"shop": "kiwi.lover84@one.example", "web": "kiwilover84@two.example"} {
		rows := []store.ContactRow{{ExternalID: "1", Email: address}, {ExternalID: "2", Phone: "+34600111222"}}
		if _, err := s.db.PutContacts(ctx, source, store.ContactColumns{}, rows); err != nil {
			t.Fatal(err)
		}
	}
	for l := (store.Looked{More: true}); l.More; {
		var err error
		if l, err = s.db.LookForSuggestions(ctx, l.Next, 100); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.db.Pool.Exec(ctx, "update suggestion set score = 0.6 where reasons @> '[{\"signal\": \"called\"}]'"); err != nil {
		t.Fatal(err)
	}
	var list []suggestionInfo
	if err := json.Unmarshal([]byte(run("contact", "suggestions", "--output", "json")), &list); err != nil || len(list) != 2 {
		t.Fatalf("listed: %+v, %v", list, err)
	}
	out := run("contact", "suggestions", "--limit", "1")
	if !strings.Contains(out, "called addresses") || !strings.Contains(out, "kiwi.lover84@one.example; from shop") || strings.Contains(out, "+34600111222") {
		t.Errorf("the likeliest: %s", out)
	}
	pair := list[0].Contacts
	if out := run("contact", "distinct", pair[0].ID, pair[1].ID, "--reason", "father and son"); !strings.Contains(out, "They are two people") {
		t.Errorf("kept apart: %s", out)
	}
	if out := run("contact", "distinct", pair[0].ID, pair[1].ID); !strings.Contains(out, "decided before") {
		t.Errorf("kept apart again: %s", out)
	}
	pair = list[1].Contacts
	run("contact", "merge", pair[0].ID, pair[1].ID)
	if out := run("contact", "suggestions"); !strings.Contains(out, "Nobody waits") {
		t.Errorf("all is decided, and it says %s", out)
	}
	_, _, err := s.run("contact", "distinct", pair[0].ID, pair[1].ID, "--kubeconfig", s.kubeconfig)
	if err == nil || !strings.Contains(err.Error(), "one contact already: "+pair[0].ID) {
		t.Errorf("one person kept apart: %v", err)
	}
}
