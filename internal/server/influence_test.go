package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type influenceSeen struct {
	Monitor, Topic  string
	RankedAt        *time.Time `json:"ranked_at"`
	Compared, Edges int
	Authors         []struct {
		Place             int
		Network           string
		Author            struct{ ID, Handle string }
		Score, Damping    float64
		Parts             map[string]float64
		Roles             []string
		Amplifiers, Posts int
	}
}

// computeInfluence does what workers do.
func (l *listening) computeInfluence() {
	l.t.Helper()
	ctx := context.Background()
	if _, err := l.db.AddInfluence(ctx); err != nil {
		l.t.Fatal(err)
	}
	due, err := l.db.InfluenceDue(ctx)
	if err != nil || len(due) != 1 {
		l.t.Fatalf("due: %v, %v", due, err)
	}
	if _, err := l.db.RefreshInfluence(ctx, due[0]); err != nil {
		l.t.Fatal(err)
	}
}

func TestInfluenceIsTold(t *testing.T) {
	l := newListening(t)
	var before, found, leaders influenceSeen
	l.get("/v1/monitors/velo/influence", &before)
	if before.RankedAt != nil || before.Authors == nil || len(before.Authors) != 0 || before.Topic != "brand" {
		t.Errorf("before: %+v", before)
	}
	posts := []store.Judged{l.said("0", 1, "Velo bien", "es", sentiment.Positive)}
	for i := range 4 {
		reply := l.said(fmt.Sprint("r", i), 2+i, "Velo, sí", "es", sentiment.Neutral)
		reply.Kind, reply.Author = listen.Reply, listen.Account{ID: fmt.Sprint("fan", i), Handle: fmt.Sprintf("fan%d@forum.example", i)}
		reply.Mentions = []listen.Account{{ID: "ana", Handle: "ana@forum.example"}}
		posts = append(posts, reply)
	}
	l.take("forum", posts...)
	if _, err := l.db.Pool.Exec(context.Background(), "update topic set matched_to = null, match_again = null"); err != nil {
		t.Fatal(err)
	}
	l.computeInfluence()
	l.get("/v1/monitors/velo/influence?topic=brand&limit=3", &found)
	if found.Monitor != "velo" || found.RankedAt == nil || found.Compared != 5 || found.Edges != 4 || len(found.Authors) != 3 {
		t.Fatalf("found: %+v", found)
	}
	first := found.Authors[0]
	_, followers := first.Parts["followers"]
	if first.Place != 1 || first.Author.Handle != "ana@forum.example" || first.Author.ID == "" || first.Network != "webhook:forum" || first.Amplifiers != 4 ||
		first.Posts != 1 || first.Damping != 1 || first.Score <= 0.5 || first.Parts["page_rank"] != 1 || followers || first.Roles == nil {
		t.Errorf("the first: %+v", first)
	}
	l.get("/v1/monitors/velo/influence?role=Leader", &leaders)
	if len(leaders.Authors) != 0 || leaders.Compared != 5 {
		t.Errorf("leaders: %+v", leaders)
	}
	for path, want := range map[string]int{
		"/v1/monitors/none/influence": 404, "/v1/monitors/velo/influence?topic=none": 422, "/v1/monitors/velo/influence?topic=rival": 422,
		"/v1/monitors/velo/influence?role=Friend": 422, "/v1/monitors/velo/influence?limit=501": 422,
	} {
		if answer := l.request(http.MethodGet, path, ""); answer.status != want {
			t.Errorf("%s: %d, want %d: %.300s", path, answer.status, want, answer.body)
		}
	}
	// Who is forgotten is gone at once.
	l.takeBatch("forum", listen.Batch{Deleted: []listen.Deletion{{AuthorID: "ana"}}})
	answer := l.request(http.MethodGet, "/v1/monitors/velo/influence", "")
	if answer.status != http.StatusOK || strings.Contains(answer.body, "ana@forum.example") {
		t.Errorf("of the forgotten: %d %s", answer.status, answer.body)
	}
}
