package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestContact(t *testing.T) {
	s := newShop(t)
	run := func(args ...string) string {
		t.Helper()
		out, _, err := s.run(append(args, "--kubeconfig", s.kubeconfig)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	ctx := context.Background()
	put, err := s.db.PutContacts(ctx, "shop", store.ContactColumns{EmailVerified: true}, []store.ContactRow{
		{ExternalID: "C1", Email: "ana@example.com"}, {ExternalID: "C2", Email: "eva@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := s.db.PublicIDs(ctx, put.Contacts)
	if err != nil {
		t.Fatal(err)
	}
	wants := func(out string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%s", want, out)
			}
		}
	}
	wants(run("contact", "show", ids[0]), "Contact "+ids[0], "ana@example.com (verified), by shop")
	wants(run("contact", "merge", ids[1], ids[0], "--reason", "one household"), "They are one contact now: "+ids[0])
	wants(run("contact", "merge", ids[1], ids[0]), "one contact before")
	wants(run("contact", "show", ids[1]), ids[1]+" was merged into it", "eva@example.com")
	wants(run("contact", "history", ids[0]), "Record "+ids[1]+", from shop", "stated by shop", "decided so: one household")
	var answer identityAnswer
	if err := json.Unmarshal([]byte(run("contact", "unmerge", ids[1], "--by", "eva", "--output", "json")), &answer); err != nil || len(answer.Contacts) != 2 {
		t.Errorf("unmerge: %+v, %v", answer, err)
	}
	_, _, err = s.run("contact", "unmerge", ids[1], "--kubeconfig", s.kubeconfig)
	if err == nil || !strings.Contains(err.Error(), "has no other records") {
		t.Errorf("unmerge again: %v", err)
	}
	_, _, err = s.run("contact", "show", "b0000000-0000-4000-8000-000000000000", "--kubeconfig", s.kubeconfig)
	if err == nil || !strings.Contains(err.Error(), "No contact has this id") {
		t.Errorf("show nobody: %v", err)
	}
}
