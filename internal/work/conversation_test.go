package work_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// writes has people write to velo@social.example.
func (h *house) writes(posts ...listen.Post) {
	h.t.Helper()
	judged := make([]store.Judged, len(posts))
	for i, p := range posts {
		p.Kind, p.Visibility, p.CreatedAt = listen.Reply, listen.Public, time.Now().Add(-time.Minute)
		p.Mentions = []listen.Account{{ID: "velo", Handle: "velo@social.example"}}
		judged[i] = store.Judged{Post: p, Language: "es", Engine: "lexicon"}
		judged[i].Sentiment.Label = "neutral"
	}
	if _, err := h.db.TakeHooked(h.t.Context(), "inbox", listen.Batch{Network: "webhook:inbox"}, judged); err != nil {
		h.t.Fatal(err)
	}
}

// TestWorkersLookAfterConversations has two workers thread what comes in, open tickets, give them to agents, and escalate what nobody answers.
func TestWorkersLookAfterConversations(t *testing.T) {
	h := newHouse(t, 1)
	h.exec("insert into monitor (name, accounts) values ('velo', '{velo@social.example}')")
	_, _, err := h.db.SaveSource(t.Context(), store.Source{Name: "inbox", Type: "Webhook", Settings: json.RawMessage("{}"), Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.db.SaveQueue(t.Context(), store.QueueDefinition{
		Name: "care", Agents: []store.QueueAgent{{Name: "ana"}, {Name: "ben"}},
		Queue: service.Queue{
			Tickets: `message.text.contains("bici")`, Routing: service.Routing{Mode: service.RouteRoundRobin},
			Targets:     map[service.Priority]service.Target{service.Normal: {FirstResponse: "30s"}},
			Escalations: []service.Escalation{{Name: "boss", Target: service.FirstResponse, After: 100, Raise: service.Urgent, Notify: "newsletter"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.worker(h.options())
	h.worker(h.options())
	var posts []listen.Post
	for i := range 10 {
		posts = append(posts, listen.Post{ID: fmt.Sprint("m", i), Text: "¿Y mi bici?", Author: listen.Account{ID: fmt.Sprint("p", i), Handle: fmt.Sprint("p", i)}})
	}
	posts = append(posts, listen.Post{ID: "m10", Text: "gracias", Author: listen.Account{ID: "p10", Handle: "p10"}})
	h.writes(posts...)
	h.eventually("everybody has a ticket who asks something, and an agent has it", func() bool {
		return h.count("select count(*) from ticket where assignee <> ''") == 10 && h.count("select count(*) from conversation") == 11
	})
	if n := h.count("select count(*) from ticket where assignee = 'ana'"); n != 5 {
		t.Errorf("ana has %d of 10", n)
	}
	h.eventually("what was not answered is told", func() bool {
		return h.count("select count(*) from outbox where kind = 'Notify'") == 10 && h.count("select count(*) from ticket where priority = 'Urgent'") == 10
	})
	h.eventually("the queue's status is to be looked at", func() bool {
		return h.count("select count(*) from status_change where kind = 'ServiceQueue' and name = 'care'") == 1
	})
	state, err := h.db.LoadQueueState(t.Context(), "care")
	if err != nil || state.Backlog != 10 || state.Unassigned != 0 || state.Breached != 10 {
		t.Errorf("the queue's state is %+v, %v", state, err)
	}
}
