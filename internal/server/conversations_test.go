package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// helpdesk is a tenant to whom people write, and whose agents answer.
type helpdesk struct {
	*listening
	intake   *store.Intake
	eva, leo string // tokens of agents
}

func newHelpdesk(t *testing.T) *helpdesk {
	t.Helper()
	h := &helpdesk{listening: newListening(t)}
	h.exec("insert into channel (name, type, settings) values ('voice', 'Webhook', '{}')")
	h.exec("update social_source set reply_channel = 'voice' where name = 'forum'")
	for name, q := range map[string]service.Queue{
		"complaints": {Tickets: "true", Targets: map[service.Priority]service.Target{service.Normal: {FirstResponse: "4h", Resolution: "8h"}}},
		"sales":      {},
	} {
		if _, _, err := h.db.SaveQueue(context.Background(), store.QueueDefinition{Name: name, Queue: q}); err != nil {
			t.Fatal(err)
		}
	}
	h.intake = store.NewIntake(h.db)
	h.eva, h.leo = h.tokenOf("eva", "conversations:read", "conversations:write"), h.tokenOf("leo", "conversations:read", "conversations:write")
	return h
}

func (f *fixture) tokenOf(name string, scopes ...string) string {
	f.t.Helper()
	var made struct{ Token string }
	body, err := json.Marshal(map[string]any{"name": name, "scopes": scopes})
	if err != nil {
		f.t.Fatal(err)
	}
	f.request(http.MethodPost, "/v1/tokens", string(body)).json(f.t, &made)
	return made.Token
}

// wrote has somebody write to us, some minutes after the beginning.
func (h *helpdesk) wrote(id, author string, minute int, text string) {
	h.t.Helper()
	said := h.said(id, minute, text, "es", sentiment.Negative)
	said.Kind, said.Visibility, said.Author = listen.Message, listen.Private, listen.Account{ID: author, Handle: author + "@forum.example"}
	h.take("forum", said)
	if _, err := h.intake.PlaceMessages(context.Background(), 100); err != nil {
		h.t.Fatal(err)
	}
}

// as asks as somebody.
func (h *helpdesk) as(token, method, path, body string) answer {
	h.t.Helper()
	return h.requestAs(token, method, h.base+path, body)
}

// does has somebody do something, which must end so.
func (h *helpdesk) does(token, path, body string, status int) answer {
	h.t.Helper()
	got := h.as(token, http.MethodPost, path, body)
	if got.status != status {
		h.t.Fatalf("POST %s %s: %d, not %d: %s", path, body, got.status, status, got.body)
	}
	return got
}

type ticketSeen struct {
	Number, Conversation              int64
	Queue, Status, Priority, Assignee string
	Subject                           string
	Targets                           []struct {
		Target      string
		WorkSeconds int64 `json:"work_seconds"`
	}
	History []struct{ Kind, Agent, Words string }
}

type talkSeen struct {
	Number, Version int64
	State           string
	ReplyChannel    string `json:"reply_channel"`
	With            *struct{ Handle string }
	WaitingSince    *time.Time `json:"waiting_since"`
	Last            *struct{ Kind, Text string }
	Claim           *struct{ Agent string }
	Tickets         []ticketSeen
	Thread          []struct {
		Kind, Text, Agent, State string
		Version                  int64
	}
}

type refusalSeen struct {
	Detail, Reason, Holder string
	Version                int64
	New                    []struct{ Kind, Text, Agent string }
}

func (h *helpdesk) talk(number int64) (c talkSeen) {
	h.t.Helper()
	h.request(http.MethodGet, fmt.Sprintf("/v1/conversations/%d", number), "").json(h.t, &c)
	return c
}

func (h *helpdesk) inbox(query string) (list []talkSeen) {
	h.t.Helper()
	var page struct {
		Conversations []talkSeen
		Next          string
	}
	h.request(http.MethodGet, "/v1/conversations"+query, "").json(h.t, &page)
	return page.Conversations
}

func (c talkSeen) threadOf() (lines []string) {
	for _, m := range c.Thread {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %d %s %s %s", m.Kind, m.Version, m.Agent, m.Text, m.State)))
	}
	return lines
}

func TestAnAgentAnswersOnce(t *testing.T) {
	h := newHelpdesk(t)
	h.wrote("1", "ana", 1, "Me habéis cobrado dos veces")
	h.wrote("2", "bea", 0, "¿Dónde está mi pedido?")
	list := h.inbox("")
	if len(list) != 2 || list[0].With.Handle != "bea@forum.example" || list[1].Last.Text != "Me habéis cobrado dos veces" || list[1].ReplyChannel != "voice" {
		t.Fatalf("the inbox: %+v", list)
	}
	ana := list[1]
	if len(ana.Tickets) != 1 || ana.Tickets[0].Queue != "complaints" || ana.Tickets[0].Status != "New" || len(ana.Tickets[0].Targets) != 2 {
		t.Errorf("its ticket: %+v", ana.Tickets)
	}
	one := fmt.Sprintf("/v1/conversations/%d", ana.Number)
	said := `{"seen": 1, "key": "attempt-1", "text": "  Hola, Ana:\r\nya está devuelto.\n"}`
	var first, again struct {
		Message string
		Version int64
		Again   bool
	}
	h.does(h.eva, one+"/answer", said, http.StatusOK).json(t, &first)
	h.does(h.eva, one+"/answer", said, http.StatusOK).json(t, &again)
	if first.Version != 2 || first.Again || !again.Again || again.Message != first.Message {
		t.Errorf("answered %+v and %+v", first, again)
	}
	if rows := h.rows("select agent, token, text, state from message where direction = 'Out'"); len(rows) != 1 || rows[0] != "eva|eva|Hola, Ana:\nya está devuelto.|Queued" {
		t.Errorf("stored: %q", rows)
	}
	if rows := h.rows("select count(*) from outbox where message_id is not null"); rows[0] != "1" {
		t.Errorf("to leave: %q", rows)
	}
	var refused refusalSeen
	h.does(h.leo, one+"/answer", `{"seen": 1, "key": "attempt-2", "text": "Lo miramos"}`, http.StatusConflict).json(t, &refused)
	if refused.Reason != "Answered" || refused.Version != 2 || len(refused.New) != 1 || refused.New[0].Agent != "eva" {
		t.Errorf("who comes later is told %+v", refused)
	}
	h.exec("update channel set type = 'Mastodon', takes = '{\"characters\": 20}' where name = 'voice'")
	refused = refusalSeen{}
	h.does(h.leo, one+"/answer", `{"seen": 2, "key": "attempt-0", "text": "Se lo devolvemos"}`, http.StatusUnprocessableEntity).json(t, &refused)
	if refused.Reason != "TooLong" || !strings.Contains(refused.Detail, "21 characters, and the network takes 20") {
		t.Errorf("who writes more than the network takes is told %+v", refused)
	}
	h.exec("update channel set type = 'Webhook' where name = 'voice'")
	h.wrote("3", "ana", 3, "Gracias, pero falta un euro")
	refused = refusalSeen{}
	h.does(h.leo, one+"/answer", `{"seen": 2, "key": "attempt-3", "text": "De nada"}`, http.StatusConflict).json(t, &refused)
	if refused.Reason != "Written" || len(refused.New) != 1 || refused.New[0].Text != "Gracias, pero falta un euro" {
		t.Errorf("who answers what they have not read is told %+v", refused)
	}
	got := h.talk(ana.Number)
	want := []string{"In 1  Me habéis cobrado dos veces", "In 3  Gracias, pero falta un euro", "Out 2 eva Hola, Ana:\nya está devuelto. Queued"}
	if diff := cmp.Diff(want, got.threadOf()); diff != "" {
		t.Errorf("the thread (-want +got):\n%s", diff)
	}
	if got.Tickets[0].Assignee != "eva" {
		t.Errorf("whose the ticket is: %+v", got.Tickets)
	}
	mine := h.as(h.eva, http.MethodGet, "/v1/conversations?assignee=me", "")
	if !strings.Contains(mine.body, fmt.Sprintf(`"number":%d`, ana.Number)) || strings.Contains(mine.body, "bea@") {
		t.Errorf("eva's: %s", mine.body)
	}
}

func TestAClaimKeepsOthersFromAnswering(t *testing.T) {
	h := newHelpdesk(t)
	h.wrote("1", "ana", 0, "Hola")
	one := fmt.Sprintf("/v1/conversations/%d", h.inbox("")[0].Tickets[0].Number) // by its ticket
	h.does(h.eva, one+"/claim", `{}`, http.StatusOK)
	h.does(h.eva, one+"/claim", `{"seconds": 600}`, http.StatusOK)
	var refused refusalSeen
	for _, verb := range []string{"/claim {}", `/answer {"seen": 1, "key": "attempt-1", "text": "x"}`} {
		path, body, _ := strings.Cut(verb, " ")
		refused = refusalSeen{}
		h.does(h.leo, one+path, body, http.StatusConflict).json(t, &refused)
		if refused.Reason != "Claimed" || refused.Holder != "eva" || strings.Contains(refused.Detail, "eva") {
			t.Errorf("%s: %+v", path, refused)
		}
	}
	if list := h.inbox(""); list[0].Claim == nil || list[0].Claim.Agent != "eva" {
		t.Errorf("the inbox tells %+v", list[0].Claim)
	}
	h.does(h.leo, one+"/release", `{}`, http.StatusNoContent) // eva's stays
	h.does(h.leo, one+"/answer", `{"seen": 1, "key": "attempt-1", "text": "x"}`, http.StatusConflict)
	h.does(h.leo, one+"/claim", `{"take_over": true}`, http.StatusOK)
	h.does(h.leo, one+"/answer", `{"seen": 1, "key": "attempt-1", "text": "x"}`, http.StatusOK)
	if c := h.talk(h.inbox("?state=Open,Waiting")[0].Number); c.Claim != nil {
		t.Errorf("after an answer it is claimed by %+v", c.Claim)
	}
	if strings.Contains(h.log.String(), "eva") {
		t.Errorf("the log names an agent:\n%s", h.log)
	}
}

func TestWhoActs(t *testing.T) {
	h := newHelpdesk(t)
	h.wrote("1", "ana", 0, "Hola")
	note := fmt.Sprintf("/v1/conversations/%d/note", h.inbox("")[0].Number)
	console := h.tokenOf("console", "conversations:write", "agents:represent")
	reader := h.tokenOf("reader", "conversations:read")
	for name, c := range map[string]struct {
		token, agent string
		status       int
	}{
		"an agent":                {h.eva, "", http.StatusOK},
		"an agent who says so":    {h.eva, "eva", http.StatusOK},
		"an agent as another one": {h.eva, "leo", http.StatusForbidden},
		"a console for an agent":  {console, "leo", http.StatusOK},
		"the admin for an agent":  {h.token, "leo", http.StatusOK},
		"the admin for nobody":    {h.token, "", http.StatusUnprocessableEntity},
		"an agent of an odd name": {console, "leo\u202e", http.StatusUnprocessableEntity},
		"an agent of a long name": {console, strings.Repeat("l", 64), http.StatusUnprocessableEntity},
		"one who may only read":   {reader, "", http.StatusForbidden},
		"one without a token":     {"", "", http.StatusUnauthorized},
	} {
		body, err := json.Marshal(map[string]string{"agent": c.agent, "text": name})
		if err != nil {
			t.Fatal(err)
		}
		if c.agent == "" {
			body = fmt.Appendf(nil, `{"text": %q}`, name)
		}
		if got := h.as(c.token, http.MethodPost, note, string(body)); got.status != c.status {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	want := []string{
		"a console for an agent|leo|console", "an agent|eva|eva", "an agent who says so|eva|eva", "the admin for an agent|leo|admin",
	}
	if diff := cmp.Diff(want, h.rows("select text, agent, token from note order by text")); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	if got := h.as(h.tokenOf("writer", "conversations:write"), http.MethodGet, "/v1/conversations", ""); got.status != http.StatusForbidden {
		t.Errorf("who may not read reads: %d", got.status)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	h := newHelpdesk(t)
	h.wrote("1", "ana", 0, "Hola")
	number := h.inbox("")[0].Number
	path := fmt.Sprintf("/v1/conversations/%d/answer", number)
	for name, body := range map[string]string{
		"no text":           `{"seen": 1, "key": "attempt-1"}`,
		"an empty text":     `{"seen": 1, "key": "attempt-1", "text": ""}`,
		"a blank text":      `{"seen": 1, "key": "attempt-1", "text": " \r\n\t"}`,
		"a long text":       `{"seen": 1, "key": "attempt-1", "text": "` + strings.Repeat("ñ", 10_001) + `"}`,
		"a zero character":  `{"seen": 1, "key": "attempt-1", "text": "a\u0000b"}`,
		"an escape":         `{"seen": 1, "key": "attempt-1", "text": "a\u001b[31mb"}`,
		"not UTF-8":         `{"seen": 1, "key": "attempt-1", "text": "` + "a\xffb" + `"}`,
		"half a letter":     `{"seen": 1, "key": "attempt-1", "text": "a\ud800b"}`,
		"a short key":       `{"seen": 1, "key": "1", "text": "a"}`,
		"a zero in a key":   `{"seen": 1, "key": "attempt\u0000-1", "text": "a"}`,
		"no version":        `{"key": "attempt-1", "text": "a"}`,
		"a version to come": `{"seen": 7, "key": "attempt-1", "text": "a"}`,
		"no status":         `{"seen": 1, "key": "attempt-1", "text": "a", "then": "Closed"}`,
		"no such field":     `{"seen": 1, "key": "attempt-1", "text": "a", "to": "bea"}`,
	} {
		if got := h.as(h.eva, http.MethodPost, path, body); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for path, status := range map[string]int{
		"/v1/conversations/99999": 404, "/v1/conversations/00000000-0000-4000-8000-000000000000": 404, "/v1/conversations/ana": 422, "/v1/conversations/0": 422,
		"/v1/conversations/99999999999999999999": 422, "/v1/tickets/99999": 404, "/v1/tickets/-1": 422,
		"/v1/conversations?queue=none": 404, "/v1/conversations?source=none": 404, "/v1/conversations?state=open": 422, "/v1/conversations?after=x": 422,
		"/v1/conversations?assignee=eva&unassigned=true": 422, "/v1/conversations?limit=201": 422, "/v1/conversations?assignee=%00": 422,
		"/v1/tickets?queue=none": 404, "/v1/tickets?status=Odd": 422, "/v1/tickets?after=x": 422, "/v1/tickets?unassigned=true&assignee=eva": 422,
		"/v1/conversations?contact=00000000-0000-4000-8000-000000000000": 404,
	} {
		if got := h.as(h.eva, http.MethodGet, path, ""); got.status != status {
			t.Errorf("GET %s: %d %s", path, got.status, got.body)
		}
	}
	if rows := h.rows("select count(*) from message where direction = 'Out'"); rows[0] != "0" {
		t.Errorf("sent: %q", rows)
	}
	h.exec("update social_source set reply_channel = ''")
	var refused refusalSeen
	h.does(h.eva, path, `{"seen": 1, "key": "attempt-1", "text": "a"}`, http.StatusConflict).json(t, &refused)
	if refused.Reason != "NoReply" || !strings.Contains(refused.Detail, "replyChannelRef") {
		t.Errorf("without a channel: %+v", refused)
	}
}

func TestConversationsComeAndGo(t *testing.T) {
	h := newHelpdesk(t)
	h.wrote("1", "ana", 0, "Hola")
	number := h.inbox("")[0].Number
	one := fmt.Sprintf("/v1/conversations/%d", number)
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	h.does(h.eva, one+"/note", `{"text": "es la segunda vez"}`, http.StatusOK)
	h.does(h.eva, one+"/snooze", `{"until": "2020-01-01T00:00:00Z"}`, http.StatusUnprocessableEntity)
	h.does(h.eva, one+"/snooze", `{"until": "`+soon+`"}`, http.StatusNoContent)
	if c := h.talk(number); c.State != "Snoozed" || len(h.inbox("")) != 0 || len(h.inbox("?state=Snoozed")) != 1 {
		t.Errorf("put away: %+v", c)
	}
	h.does(h.eva, one+"/reopen", `{}`, http.StatusNoContent)
	h.does(h.eva, one+"/close", `{}`, http.StatusNoContent)
	c := h.talk(number)
	if c.State != "Closed" || c.Tickets[0].Status != "Solved" {
		t.Errorf("closed: %+v", c)
	}
	if diff := cmp.Diff([]string{"In 1  Hola", "Note 0 eva es la segunda vez"}, c.threadOf()); diff != "" {
		t.Errorf("the thread (-want +got):\n%s", diff)
	}
	var refused refusalSeen
	h.does(h.eva, one+"/snooze", `{"until": "`+soon+`"}`, http.StatusConflict).json(t, &refused)
	if refused.Reason != "Closed" {
		t.Errorf("what is closed is put away: %+v", refused)
	}
	h.take("forum", h.said("2", 5, "Velo es un desastre", "es", sentiment.Negative))
	_, list, _ := h.mentions("?q=desastre")
	var begun talkSeen
	h.does(h.leo, "/v1/mentions/"+list[0].ID+"/conversation", `{}`, http.StatusOK).json(t, &begun)
	if begun.Number == 0 || begun.Number == number || len(begun.Thread) != 1 || begun.Thread[0].Text != "Velo es un desastre" {
		t.Errorf("taken up: %+v", begun)
	}
	var again talkSeen
	h.does(h.leo, "/v1/mentions/"+list[0].ID+"/conversation", `{}`, http.StatusOK).json(t, &again)
	if again.Number != begun.Number {
		t.Errorf("taken up again, it is another one: %d and %d", begun.Number, again.Number)
	}
	h.does(h.leo, "/v1/mentions/00000000-0000-4000-8000-000000000000/conversation", `{}`, http.StatusNotFound)
}

func TestAnAnswerThatMayHaveArrivedIsSettled(t *testing.T) {
	h := newHelpdesk(t)
	h.wrote("1", "ana", 0, "Hola")
	h.wrote("2", "bea", 0, "Hola")
	list := h.inbox("")
	one := fmt.Sprintf("/v1/conversations/%d", list[0].Number)
	var sent struct{ Message string }
	h.does(h.eva, one+"/answer", `{"seen": 1, "key": "attempt-1", "text": "x"}`, http.StatusOK).json(t, &sent)
	settle := one + "/messages/" + sent.Message + "/settle"
	h.does(h.eva, settle, `{"verdict": "Sent", "why": "seen"}`, http.StatusConflict) // it is under way
	h.exec("update outbox set state = 'ambiguous', settled_at = now()")
	h.exec("update message set state = 'Ambiguous' where direction = 'Out'")
	h.does(h.eva, fmt.Sprintf("/v1/conversations/%d/messages/%s/settle", list[1].Number, sent.Message), `{"verdict": "Sent", "why": "seen"}`, http.StatusNotFound)
	h.does(h.eva, one+"/messages/00000000-0000-4000-8000-000000000000/settle", `{"verdict": "Sent", "why": "seen"}`, http.StatusNotFound)
	h.does(h.eva, settle, `{"verdict": "Lost", "why": "seen"}`, http.StatusUnprocessableEntity)
	h.does(h.eva, settle, `{"verdict": "Sent", "why": "seen in the thread", "url": "https://forum.example/9"}`, http.StatusNoContent)
	if rows := h.rows("select state, url from message where direction = 'Out'"); rows[0] != "Sent|https://forum.example/9" {
		t.Errorf("settled: %q", rows)
	}
	if rows := h.rows("select decision->>'by' from outbox"); rows[0] != "eva (eva)" {
		t.Errorf("by whom: %q", rows)
	}
	h.does(h.eva, settle, `{"verdict": "Again", "why": "gone again"}`, http.StatusConflict)
}

func TestTicketsGoThroughHands(t *testing.T) {
	h := newHelpdesk(t)
	h.wrote("1", "ana", 0, "Hola")
	talk := h.inbox("")[0]
	number := talk.Tickets[0].Number
	one := fmt.Sprintf("/v1/tickets/%d", number)
	h.does(h.leo, one+"/assign", `{"to": "eva"}`, http.StatusNoContent)
	h.does(h.leo, one+"/priority", `{"priority": "Urgent"}`, http.StatusNoContent)
	h.does(h.eva, one+"/hold", `{}`, http.StatusNoContent)
	h.does(h.eva, one+"/solve", `{}`, http.StatusNoContent)
	h.does(h.eva, one+"/hold", `{}`, http.StatusConflict)
	h.does(h.eva, one+"/reopen", `{}`, http.StatusNoContent)
	h.does(h.eva, one+"/assign", `{"to": "me"}`, http.StatusNoContent)
	var seen ticketSeen
	h.request(http.MethodGet, one, "").json(t, &seen)
	var history []string
	for _, e := range seen.History {
		history = append(history, strings.TrimSpace(e.Kind+" "+e.Agent+" "+e.Words))
	}
	want := []string{"Opened", "Assigned leo eva", "Prioritised leo Urgent", "Held eva", "Solved eva", "Reopened eva"}
	if diff := cmp.Diff(want, history); diff != "" {
		t.Errorf("what happened (-want +got):\n%s", diff)
	}
	if seen.Assignee != "eva" || seen.Priority != "Urgent" || seen.Status != "Open" || seen.Conversation != talk.Number {
		t.Errorf("the ticket: %+v", seen)
	}
	for body, status := range map[string]int{
		`{"priority": "Huge"}`: 422, `{"to": "eva leo"}`: 422, `{"to": "` + strings.Repeat("e", 64) + `"}`: 422,
	} {
		verb := "/assign"
		if strings.Contains(body, "priority") {
			verb = "/priority"
		}
		h.does(h.leo, one+verb, body, status)
	}
	open := fmt.Sprintf("/v1/conversations/%d/tickets", talk.Number)
	var sales, same ticketSeen
	h.does(h.leo, open, `{"queue": "sales", "priority": "Low", "subject": "quiere otra bici"}`, http.StatusOK).json(t, &sales)
	h.does(h.leo, open, `{"queue": "sales"}`, http.StatusOK).json(t, &same)
	if sales.Queue != "sales" || sales.Priority != "Low" || sales.Subject != "quiere otra bici" || same.Number != sales.Number {
		t.Errorf("opened %+v and %+v", sales, same)
	}
	h.does(h.leo, open, `{"queue": "none"}`, http.StatusNotFound)
	var refused refusalSeen
	h.does(h.leo, fmt.Sprintf("/v1/tickets/%d/solve", talk.Number), `{}`, http.StatusUnprocessableEntity).json(t, &refused)
	if !strings.Contains(refused.Detail, fmt.Sprint(sales.Number)) {
		t.Errorf("which of two: %+v", refused)
	}
	var list struct{ Tickets []ticketSeen }
	h.request(http.MethodGet, "/v1/tickets?queue=sales&unassigned=true", "").json(t, &list)
	if len(list.Tickets) != 1 || list.Tickets[0].Number != sales.Number {
		t.Errorf("nobody's of sales: %+v", list.Tickets)
	}
	var queues struct {
		Queues []struct {
			Name                          string
			Backlog, Unassigned, Breached int64
			Working                       bool
		}
	}
	h.request(http.MethodGet, "/v1/queues", "").json(t, &queues)
	if len(queues.Queues) != 2 || queues.Queues[0].Backlog != 1 || queues.Queues[0].Unassigned != 0 || queues.Queues[1].Unassigned != 1 || !queues.Queues[0].Working {
		t.Errorf("the queues: %+v", queues)
	}
}
