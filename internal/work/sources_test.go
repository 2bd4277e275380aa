package work_test

import (
	"context"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestWorkersFollowANewOrderOfSources waits until the other source's word counts, with the right of the runtime role and no more.
func TestWorkersFollowANewOrderOfSources(t *testing.T) {
	h := newHouse(t, 2)
	columns := store.ContactColumns{Attributes: []crm.Attribute{{Name: "first_name", Type: crm.String}}, EmailVerified: true}
	for source, name := range map[string]string{"crm": "Ana", "web": "Anna"} {
		rows := []store.ContactRow{{ExternalID: source, Email: "both@people.example", Attributes: []string{name}}}
		if _, err := h.db.PutContacts(context.Background(), source, columns, rows); err != nil {
			t.Fatal(err)
		}
	}
	name := func() (name string) {
		err := h.db.Pool.QueryRow(context.Background(), "select attr_first_name from contact where attr_first_name like 'An%a'").Scan(&name)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	h.worker(h.options())
	for _, want := range []struct{ first, name string }{{"crm", "Ana"}, {"web", "Anna"}, {"crm", "Ana"}} {
		if _, err := h.db.SaveSources(context.Background(), "contact", []string{want.first}); err != nil {
			t.Fatal(err)
		}
		gomega.NewWithT(t).Eventually(name, patience, 20*time.Millisecond).Should(gomega.Equal(want.name))
	}
}
