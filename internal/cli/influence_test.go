package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// takeUp has fans answer an account with a name that would speak to a terminal.
func (s *shop) takeUp(topic int64, name string) {
	s.t.Helper()
	ctx := context.Background()
	whom := listen.Account{ID: "leire", Handle: name, Name: name}
	posts := []store.Judged{{Post: listen.Post{ID: "first", Kind: listen.Original, Author: whom}}}
	for i := range 4 {
		posts = append(posts, store.Judged{Post: listen.Post{
			ID: fmt.Sprint("reply", i), Kind: listen.Reply, Author: listen.Account{ID: fmt.Sprint(i), Handle: fmt.Sprintf("fan%d@forum.example", i)},
			Mentions: []listen.Account{whom},
		}})
	}
	for i := range posts {
		p := &posts[i]
		p.Visibility, p.Text, p.CreatedAt, p.Engine = listen.Public, "Velo", time.Now().Add(-time.Hour), "lexicon"
		p.Sentiment, p.Topics = sentiment.Verdict{Label: sentiment.Neutral}, []store.TopicMatch{{Topic: topic, Terms: []string{"velo"}}}
	}
	if _, err := s.db.TakeHooked(ctx, "forum", listen.Batch{Network: "webhook:forum"}, posts); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.db.Pool.Exec(ctx, "update topic set matched_to = null, match_again = null"); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.db.AddInfluence(ctx); err != nil {
		s.t.Fatal(err)
	}
	due, err := s.db.InfluenceDue(ctx)
	if err != nil || len(due) != 1 {
		s.t.Fatalf("due: %v, %v", due, err)
	}
	if _, err := s.db.RefreshInfluence(ctx, due[0]); err != nil {
		s.t.Fatal(err)
	}
}

func TestMonitorInfluence(t *testing.T) {
	s := newShop(t)
	topic := s.hear()
	run := func(args ...string) string {
		t.Helper()
		out, told, err := s.run(append([]string{"monitor", "influence"}, append(args, "--kubeconfig", s.kubeconfig)...)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		if i := strings.IndexAny(out+told, "\x1b\x07\u202E"); i >= 0 {
			t.Errorf("%v: a stranger speaks to the terminal: %q", args, (out + told)[i:])
		}
		return out
	}
	if out := run("velo"); !strings.Contains(out, "Nobody was compared yet about topic brand of monitor velo") {
		t.Errorf("before: %s", out)
	}
	s.takeUp(topic, "leire\x1b[31m\u202E\x07\t\nx")
	out := run("velo")
	for _, want := range []string{"5 people compared", "in 4 pairs one took up the other", "SCORE", "AMPLIFIERS", "100 (4)", "1  @leire", " -          "} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if lines := strings.Count(out, "\n"); lines != 8 {
		t.Errorf("%d lines: a name breaks one:\n%s", lines, out)
	}
	if out := run("velo", "--limit", "1", "--topic", "brand"); strings.Contains(out, "fan") {
		t.Errorf("more than one:\n%s", out)
	}
	if out := run("velo", "--role", "Leader"); strings.Contains(out, "leire") {
		t.Errorf("who is no leader:\n%s", out)
	}
	var found influenceInfo
	if err := json.Unmarshal([]byte(run("velo", "--output", "json")), &found); err != nil || len(found.Authors) != 5 || found.Authors[0].Amplifiers != 4 ||
		found.Authors[0].Parts.PageRank == nil || found.Authors[0].Parts.Followers != nil {
		t.Errorf("as JSON: %+v, %v", found, err)
	}
	for _, args := range [][]string{{"none"}, {"velo", "--topic", "none"}, {"velo", "--role", "Friend"}, {"velo", "--limit", "0"}} {
		if _, _, err := s.run(append([]string{"monitor", "influence"}, append(args, "--kubeconfig", s.kubeconfig)...)...); err == nil {
			t.Errorf("%v says nothing", args)
		}
	}
}

func TestWhatAnInfluencerIs(t *testing.T) {
	i := influencer{Roles: []string{"Leader"}, Author: &mentionAuthor{Bot: true}, Ring: true, Damping: 0.5, Staff: true}
	if got := i.what(); got != "Leader, ours, a program, in a ring, new" {
		t.Errorf("got %q", got)
	}
	if got := (&influencer{Damping: 1}).what(); got != "" {
		t.Errorf("got %q", got)
	}
}
