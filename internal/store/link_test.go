package store_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestLinks(t *testing.T) {
	s := newSending(t, 0)
	ctx := context.Background()
	send := s.upsert(s.config()).ID
	urls := []string{"https://velo.example/b", "https://velo.example/a", "https://velo.example/b", "", strings.Repeat("x", store.MaxLinkURL+1)}
	ids, err := s.EnsureLinks(ctx, send, urls)
	if err != nil || len(ids) != 2 {
		t.Fatalf("two of these addresses can be links: %v, %v", ids, err)
	}
	links, err := s.SendLinks(ctx, send)
	if err != nil || len(links) != len(ids) {
		t.Errorf("the send's links: %v, %v", links, err)
	}
	for _, link := range links {
		if diff := cmp.Diff(store.Link{ID: ids[link.URL], SendID: send, URL: link.URL}, link); diff != "" {
			t.Errorf("link differs (-want +got):\n%s", diff)
		}
	}
	again, err := s.EnsureLinks(ctx, send, []string{"https://velo.example/a", "https://velo.example/c"})
	if err != nil || again["https://velo.example/a"] != ids["https://velo.example/a"] {
		t.Errorf("a link keeps its id: %v then %v, %v", ids, again, err)
	}
	links, err = s.SendLinks(ctx, send)
	if err != nil || len(links) != 3 {
		t.Errorf("three links: %v, %v", links, err)
	}
	if links, err := s.SendLinks(ctx, 1<<40); err != nil || len(links) > 0 {
		t.Errorf("no such send: %v, %v", links, err)
	}
	if _, err := s.EnsureLinks(ctx, send+1, []string{"https://velo.example/a"}); err == nil {
		t.Error("a link of no send was written")
	}
}

// TestLinksOfTwoWorkers: workers that begin a send at the same moment agree about its links.
func TestLinksOfTwoWorkers(t *testing.T) {
	s := newSending(t, 0)
	send := s.upsert(s.config()).ID
	urls := make([]string, 50)
	for i := range urls {
		urls[i] = "https://velo.example/" + strings.Repeat("x", i)
	}
	found := make([]map[string]int64, 4)
	var workers sync.WaitGroup
	for i := range found {
		workers.Go(func() {
			var err error
			if found[i], err = s.EnsureLinks(context.Background(), send, urls); err != nil {
				t.Error(err)
			}
		})
	}
	workers.Wait()
	for _, other := range found[1:] {
		if diff := cmp.Diff(found[0], other); diff != "" || len(other) != len(urls) {
			t.Errorf("they differ (%d links):\n%s", len(other), diff)
		}
	}
}

// TestWhoIsNotTracked: a contact who refused it, and whoever has an address whose holder did.
func TestWhoIsNotTracked(t *testing.T) {
	s := newSending(t, 3)
	id := s.begin()
	s.exec("insert into consent (contact_id, purpose, granted, source) select contact_id, 'tracking', false, 'test' from ledger where send_id = $1 and seq = 1", id)
	s.exec("insert into refusal (address_hash, purpose, source) select address_hash, 'tracking', 'test' from ledger where send_id = $1 and seq = 2", id)
	l := s.lease(id, "w1")
	rows, err := s.PendingRows(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	request := store.BatchRequest{Lease: l, Rows: rows, Tracked: true}
	batch, err := s.CommitBatch(context.Background(), request)
	if err != nil || len(batch.Recipients) != 3 {
		t.Fatalf("three recipients: %+v, %v", batch, err)
	}
	for _, r := range batch.Recipients {
		if want := r.Seq < 3; r.Untracked != want {
			t.Errorf("row %d: untracked is %t", r.Seq, r.Untracked)
		}
	}
}
