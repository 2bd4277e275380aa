package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestANewOrderOfSourcesCountsForEverybody: who has several records follows the new order without another word of a source, some at a time,
// and who has one is not touched.
func TestANewOrderOfSourcesCountsForEverybody(t *testing.T) {
	db := identityDB(t)
	ctx := context.Background()
	order := func(sources ...string) {
		t.Helper()
		if _, err := db.SaveSources(ctx, "contact", sources); err != nil {
			t.Fatal(err)
		}
	}
	order("crm", "shop")
	var crm, shop []store.ContactRow
	for i := range 7 {
		address := fmt.Sprintf("p%d@example.com", i)
		crm = append(crm, store.ContactRow{ExternalID: fmt.Sprint("K", i), Email: address, Attributes: []string{"Madrid", ""}})
		shop = append(shop, store.ContactRow{ExternalID: fmt.Sprint("C", i), Email: address, Attributes: []string{"Bilbao", "7"}})
	}
	put(t, db, "crm", true, append(crm, store.ContactRow{ExternalID: "alone", Email: "alone@example.com", Attributes: []string{"Madrid", ""}})...)
	put(t, db, "shop", true, shop...)
	cities := func() []string {
		return query(t, db, "select attr_city || ' ' || coalesce(attr_points::text, '') || ' ' || count(*) from contact group by attr_city, attr_points order by 1")
	}
	settle := func(most int) (steps int) {
		t.Helper()
		for {
			more, err := db.SettleSources(ctx, most)
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				return steps
			}
			steps++
		}
	}
	settle(100) // of the first order: nobody differs
	if diff := cmp.Diff([]string{"Madrid  1", "Madrid 7 7"}, cities()); diff != "" {
		t.Fatalf("crm before shop: -want +got:\n%s", diff)
	}
	order("shop", "crm")
	if _, err := db.SettleSources(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Bilbao 7 3", "Madrid  1", "Madrid 7 4"}, cities()); diff != "" {
		t.Errorf("after a step: -want +got:\n%s", diff)
	}
	order("crm") // again another, in the middle of it: it begins anew
	if steps := settle(3); steps != 3 {
		t.Errorf("%d steps of three for seven people, want 3", steps)
	}
	if diff := cmp.Diff([]string{"Madrid  1", "Madrid 7 7"}, cities()); diff != "" {
		t.Errorf("crm before others: -want +got:\n%s", diff)
	}
	order("web", "shop")
	versions := func() []string {
		return query(t, db, "select xmin::text || ' ' || ctid::text from contact where attr_city = 'Madrid' order by 1")
	}
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() { settle(2) })
	}
	workers.Wait()
	if diff := cmp.Diff([]string{"Bilbao 7 7", "Madrid  1"}, cities()); diff != "" {
		t.Errorf("shop before others, by three at once: -want +got:\n%s", diff)
	}
	before := versions()
	if steps := settle(2); steps != 0 {
		t.Errorf("%d steps when nothing is left to do", steps)
	}
	order("shop", "web") // says the same of everybody
	settle(100)
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("rows were written in vain: -before +after:\n%s", diff)
	}
}
