package conversation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/bluesky"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// TestTheShopAnswersWhoComplains posts as workers do, and hears it in the stream.
func TestTheShopAnswersWhoComplains(t *testing.T) {
	clock := &atomic.Int64{}
	clock.Store(noon.UnixNano())
	c, err := Start(Options{
		Listen: "127.0.0.1:0", Since: noon.Add(-6 * time.Hour), Timeline: Timeline{Seed: 1},
		Now: func() time.Time { return time.Unix(0, clock.Load()).UTC() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	stream := dial(t, c.Addr(), fmt.Sprintf("?cursor=%d&wantedDids=%s&wantedDids=%s", noon.UnixMicro(), people[0].DID, theShop.DID))
	at := c.Complain()
	if again := c.Complain(); !again.Equal(at) || !at.After(noon) {
		t.Errorf("the complaint is of %v, then of %v", at, again)
	}
	clock.Add(int64(time.Second))
	complaint := receive(t, stream)
	if complaint.DID != people[0].DID || len(complaint.Commit.Record.Facets) != 1 || complaint.Commit.Record.Facets[0].Features[0].DID != theShop.DID {
		t.Fatalf("the complaint: %+v", complaint)
	}

	address := "at://" + complaint.DID + "/" + complaint.Commit.Collection + "/" + complaint.Commit.RKey
	publisher, err := bluesky.New(bluesky.Options{
		Server:     wire.Options{Base: "http://" + c.Addr(), Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Now: c.options.Now},
		Identifier: ShopHandle, Password: AppPassword,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = publisher.Close() })
	clock.Add(int64(time.Second))
	const words = "Lo sentimos mucho. Lo miramos ahora mismo."
	intent := &post.Intent{ID: "1", At: c.options.Now(), Tried: c.options.Now(), Post: post.Post{
		Parts: []post.Part{{Text: words}}, Language: "es", ReplyTo: &post.Target{ID: address},
	}}
	result, err := publisher.Publish(t.Context(), intent)
	if err != nil || result.Outcome != deliver.Accepted {
		t.Fatalf("the answer is %s %s: %v", result.Outcome, result.Reply, err)
	}
	clock.Add(int64(time.Second))
	answer := receive(t, stream)
	if answer.DID != theShop.DID || answer.Commit.Record.Text != words || answer.Commit.Record.Reply.Parent.URI != address {
		t.Errorf("the stream tells: %+v", answer)
	}
	if diff := cmp.Diff([]string{words}, c.Answers()); diff != "" {
		t.Errorf("answers: %s", diff)
	}
	if found, err := publisher.Find(t.Context(), intent); err != nil || found.Outcome != deliver.Accepted {
		t.Errorf("found again: %s %s: %v", found.Outcome, found.Reply, err)
	}
}

// TestTheComplaintIsThereInALaterRun: what is said is a function of time.
func TestTheComplaintIsThereInALaterRun(t *testing.T) {
	at := noon.Add(3*time.Minute + time.Millisecond)
	timeline, plain := Timeline{Seed: 1, Complaint: at}, Timeline{Seed: 1}
	var complaints, others, without int
	for e := range timeline.Events(noon.Add(-time.Hour), noon.Add(time.Hour)) {
		if e.Post.At.Equal(at) {
			complaints++
		} else {
			others++
		}
	}
	for range plain.Events(noon.Add(-time.Hour), noon.Add(time.Hour)) {
		without++
	}
	if complaints != 1 || others != without {
		t.Errorf("%d complaints and %d others, want 1 and %d", complaints, others, without)
	}
}

// TestOnlyWhatWasSaidIsThere: a post that nobody wrote, or that its author deleted, cannot be answered.
func TestOnlyWhatWasSaidIsThere(t *testing.T) {
	base, o, _ := start(t, 24*time.Hour)
	ask := func(did, key string) int {
		t.Helper()
		query := url.Values{"repo": {did}, "collection": {postCollection}, "rkey": {key}}
		response, err := http.Get("http://" + base + "/xrpc/com.atproto.repo.getRecord?" + query.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		var found struct{ URI string }
		if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode
	}
	var kept, gone *Post
	for e := range o.Timeline.Events(o.Since, noon) {
		if e.Deleted {
			gone = e.Post
		} else {
			kept = e.Post
		}
	}
	for name, tc := range map[string]struct {
		did, key string
		want     int
	}{
		"said":          {kept.Author.DID, keyOf(kept.At), http.StatusOK},
		"deleted":       {gone.Author.DID, keyOf(gone.At), http.StatusBadRequest},
		"by another":    {people[0].DID, keyOf(kept.At.Add(time.Microsecond)), http.StatusBadRequest},
		"in the future": {kept.Author.DID, keyOf(noon.Add(time.Hour)), http.StatusBadRequest},
		"no key":        {kept.Author.DID, "UPPER", http.StatusBadRequest},
	} {
		for range 2 {
			if got := ask(tc.did, tc.key); got != tc.want {
				t.Errorf("%s: %d, want %d", name, got, tc.want)
			}
		}
	}
	response, err := http.Post("http://"+base+"/xrpc/com.atproto.server.createSession", "application/json",
		bytes.NewReader([]byte(`{"identifier":"velo.example","password":"guessed"}`)))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: %s", response.Status)
	}
}
