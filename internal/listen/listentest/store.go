package listentest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// store keeps what came in as the database does: unique by (network, id), with the cursor moved in the same step.
type store struct {
	t     testing.TB
	clock *Clock

	mu        sync.Mutex
	network   string
	posts     map[string]listen.Post
	texts     map[string]string // that are expected
	forgotten map[string]bool   // a replay does not bring them back
	order     []string          // ids, as they first came
	repeated  int               // posts that came again as they were
	cursor    listen.Cursor
	saved     []snapshot
	gaps      []listen.Gap
	rejected  map[string]int
	batches   int
	changed   chan struct{} // closed and made anew whenever something came
}

// snapshot is a cursor, and what was stored with it.
type snapshot struct {
	cursor listen.Cursor
	posts  map[string]listen.Post
}

func newStore(t testing.TB, clock *Clock) *store {
	return &store{
		t: t, clock: clock, posts: map[string]listen.Post{}, texts: map[string]string{}, forgotten: map[string]bool{},
		rejected: map[string]int{}, changed: make(chan struct{}),
	}
}

// at makes a store as it was at a snapshot.
func (s *store) at(p snapshot) *store {
	s.mu.Lock()
	defer s.mu.Unlock()
	older := newStore(s.t, s.clock)
	older.network, older.cursor = s.network, slices.Clone(p.cursor)
	older.posts, older.texts = maps.Clone(p.posts), maps.Clone(s.texts)
	return older
}

// take stores a batch. It finds what no connector may bring.
func (s *store) take(_ context.Context, b listen.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		close(s.changed)
		s.changed = make(chan struct{})
	}()
	s.batches++
	s.check(&b)
	for _, p := range b.Posts {
		s.keep(p)
	}
	for _, d := range b.Deleted {
		s.forget(d)
	}
	s.gaps = append(s.gaps, b.Gaps...)
	for reason, n := range b.Rejected {
		s.rejected[reason] += n
	}
	s.move(b.Next)
	return nil
}

// check finds what no batch may have.
func (s *store) check(b *listen.Batch) {
	if len(b.Posts) > listen.MaxBatch {
		s.t.Errorf("a batch has %d posts, more than %d", len(b.Posts), listen.MaxBatch)
	}
	if b.Network == "" && (len(b.Posts) > 0 || len(b.Deleted) > 0) || s.network != "" && b.Network != "" && b.Network != s.network {
		s.t.Errorf("the network is called %q, and was called %q", b.Network, s.network)
	}
	if b.Network != "" {
		s.network = b.Network
	}
	s.checkReports(b)
}

// checkReports finds gaps and rejections that do not say what they are.
func (s *store) checkReports(b *listen.Batch) {
	for _, g := range b.Gaps {
		if g.Reason == "" || g.To.IsZero() || g.To.Before(g.From) {
			s.t.Errorf("a gap does not say of when it is, or why: %+v", g)
		}
	}
	for reason, n := range b.Rejected {
		if n <= 0 || reason == "" || len(reason) > 200 {
			s.t.Errorf("%d are rejected for the reason %q", n, reason)
		}
	}
}

func (s *store) keep(p listen.Post) {
	if refused := listen.Normalize(&p, s.clock.Now()); refused != "" {
		s.t.Errorf("a post cannot be kept: %s", refused)
		return
	}
	if s.forgotten[p.ID] {
		s.repeated++
		return
	}
	before, known := s.posts[p.ID]
	switch {
	case !known:
		s.order = append(s.order, p.ID)
	case before.Revision == p.Revision && before.Text == p.Text:
		s.repeated++
	case p.EditedAt.Before(before.EditedAt):
		return // an older edition came late
	case before.Text != p.Text && p.Revision == before.Revision:
		s.t.Errorf("the text of %q is another one, and the revision is the same: %q", p.ID, p.Revision)
	}
	s.posts[p.ID] = p
}

func (s *store) forget(d listen.Deletion) {
	if d.PostID == "" && d.AuthorID == "" {
		s.t.Error("a deletion is of nothing")
	}
	for id, p := range s.posts {
		if id == d.PostID || d.PostID == "" && p.Author.ID == d.AuthorID {
			delete(s.posts, id)
			s.forgotten[id] = true
		}
	}
	if d.PostID != "" {
		s.forgotten[d.PostID] = true
	}
}

func (s *store) move(next listen.Cursor) {
	if next == nil {
		return
	}
	if len(next) > listen.MaxCursor || !json.Valid(next) {
		s.t.Errorf("a cursor has %d bytes, or is no JSON: %.200s", len(next), next)
		return
	}
	s.cursor = slices.Clone(next)
	s.saved = append(s.saved, snapshot{cursor: s.cursor, posts: maps.Clone(s.posts)})
}

// expectText says with which text a post has to come.
func (s *store) expectText(id, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[id] = text
}

// lacks tells what is wrong with these posts, and "" where all are there with their texts.
func (s *store) lacks(ids []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing, wrong []string
	for _, id := range ids {
		p, ok := s.posts[id]
		if !ok {
			missing = append(missing, id)
		} else if want := s.texts[id]; !strings.Contains(p.Text, want) {
			wrong = append(wrong, fmt.Sprintf("%q has the text %.100q, without %q", id, p.Text, want))
		}
	}
	if len(missing)+len(wrong) == 0 {
		return ""
	}
	return fmt.Sprintf("of %d posts %d are missing %.300q, %d are wrong %.300v; %d are there, such as %.200q",
		len(ids), len(missing), missing, len(wrong), wrong, len(s.posts), slices.Sorted(maps.Keys(s.posts)))
}

// expect fails where posts are missing or wrong.
func (s *store) expect(t testing.TB, ids []string) {
	t.Helper()
	if lacks := s.lacks(ids); lacks != "" {
		t.Error(lacks)
	}
}

// expectOrder fails where these did not come in this order.
func (s *store) expectOrder(t testing.TB, ids []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	var got []string
	for _, id := range s.order {
		if wanted[id] {
			got = append(got, id)
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("they came in the order %.400q, want %.400q", got, ids)
	}
}

// await waits until something holds, which is asked whenever something was stored.
func (s *store) await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func (s *store) get(id string) (listen.Post, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.posts[id]
	return p, ok
}

func (s *store) now() listen.Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.cursor)
}

func (s *store) snapshots() []snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.saved)
}

func (s *store) allGaps() []listen.Gap {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.gaps)
}

func (s *store) rejections() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.rejected {
		n += of
	}
	return n
}

func (s *store) repetitions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repeated
}
