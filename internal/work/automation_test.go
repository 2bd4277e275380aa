package work_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// rule brings a rule into force.
func (h *house) rule(name string, rule automate.Rule) {
	h.t.Helper()
	if _, _, err := h.db.SaveRule(h.t.Context(), store.RuleDefinition{Name: name, Rule: rule}); err != nil {
		h.t.Fatal(err)
	}
}

// happens has contacts buy something.
func (h *house) happens(name string, people int) {
	h.t.Helper()
	h.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source)
		select $1, clock_timestamp(), l.identifier_id, l.contact_id, 'shop' from identifier_link l where l.contact_id <= $2`, name, people)
}

func TestARuleWritesToPeople(t *testing.T) {
	h := newHouse(t, 8)
	h.exec("insert into event_type (name) values ('purchased')")
	h.rule("thanks", automate.Rule{On: automate.Trigger{Event: "purchased"}, Steps: []automate.Step{
		{Name: "moment", Wait: &automate.Wait{For: automate.Duration(time.Second)}},
		{Name: "mail", Send: &automate.Send{Template: "spring", Channel: "newsletter", Purpose: "newsletter"}},
	}})
	h.worker(h.options())
	h.worker(h.options())
	h.happens("purchased", 5)
	h.eventually("everybody who bought has a mail", func() bool { return len(h.received()) == 5 })
	h.eventually("the entries are over", func() bool {
		state, err := h.db.LoadRuleState(t.Context(), "thanks")
		return err == nil && state.Fired == 5 && state.Active == 0
	})
	h.wantReceived(people(1, 2, 3, 4, 5))
	h.check()
}

// TestARuleTells has an endpoint fail first, as one does that is down for a while.
func TestARuleTells(t *testing.T) {
	h := newHouse(t, 3)
	remote, o := h.hook()
	o.ChannelBackoff = campaign.Backoff{First: time.Millisecond, Max: time.Millisecond}
	var tried atomic.Int32
	remote.Behave = func(w http.ResponseWriter, _ *http.Request) bool {
		if tried.Add(1) > 3 {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}
	h.exec(`insert into event_type (name, properties) values ('complained', '[{"name": "about", "type": "String"}]')`)
	h.rule("war-room", automate.Rule{On: automate.Trigger{Event: "complained"}, Steps: []automate.Step{
		{Name: "tell", Notify: &automate.Notify{Channel: "newsletter"}},
	}})
	h.worker(o)
	h.happens("complained", 3)
	h.eventually("all of it has arrived", func() bool {
		h.exec("update outbox set not_before = now() where state = 'pending' and not_before > now()")
		return tried.Load() > 3 && len(remote.Arrived()) == 3
	})
	for _, id := range remote.Arrived() {
		var got store.Notice
		if err := json.Unmarshal(remote.Content(id), &got); err != nil {
			t.Fatal(err)
		}
		if got.ID != id || got.Type != store.NoticeType || got.Rule != "war-room" || got.Step != "tell" || got.Event.Name != "complained" || got.Contact == "" {
			t.Errorf("it was told %s", remote.Content(id))
		}
	}
}

// TestARuleTellsTheTextOfATemplate has a webhook get a text about whom and what it is.
func TestARuleTellsTheTextOfATemplate(t *testing.T) {
	h := newHouse(t, 3)
	remote, o := h.hook()
	h.exec(`insert into event_type (name, properties) values ('complained', '[{"name": "about", "type": "String"}]')`)
	h.exec(`insert into template (name, default_locale, content, digest) values ('alarm', 'en', '[{"locale": "en", "subject": "x", "text": "{{ rule }}: {{ event.about }} ({{ contact.locale }})"}]', 'd')`)
	h.rule("war-room", automate.Rule{On: automate.Trigger{Event: "complained"}, Steps: []automate.Step{
		{Name: "tell", Notify: &automate.Notify{Channel: "newsletter", Template: "alarm"}},
	}})
	h.worker(o)
	h.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source, properties)
		select 'complained', clock_timestamp(), l.identifier_id, l.contact_id, 'shop', jsonb_build_object('about', 'brakes ' || l.contact_id)
		from identifier_link l where l.contact_id <= 2`)
	h.eventually("both have arrived", func() bool { return len(remote.Arrived()) == 2 })
	texts := map[string]bool{}
	for _, id := range remote.Arrived() {
		var got store.Notice
		if err := json.Unmarshal(remote.Content(id), &got); err != nil {
			t.Fatal(err)
		}
		texts[got.Text] = true
	}
	if len(texts) != 2 {
		t.Errorf("the texts are %v", texts)
	}
	for text := range texts {
		if !strings.HasPrefix(text, "war-room: brakes ") {
			t.Errorf("a text is %q", text)
		}
	}
}
