package work_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// TestAnAnswerByMailThreads: to who wrote and nobody else, in their thread, and known by its id.
func TestAnAnswerByMailThreads(t *testing.T) {
	w := newTown(t)
	w.channel(func(e *store.EmailSettings) { e.ReplyTo = "Ayuda <ayuda@velo.example>" })
	_, talk := w.hears(written{
		source: "care", id: "q2@people.example", text: "¿Y mi pedido?", title: "Re: RE: Pedido 7\r\nBcc: x@evil.example", thread: "q1@people.example",
		parent: "reply.1@velo.example",
	})
	w.worker(w.options())
	answer := w.answers(talk, "Sale mañana.\n.\nUn saludo")
	w.comesTo(answer, store.PostingSent)
	sent := w.relay.Messages()
	if len(sent) != 1 || sent[0].To != "p1@people.example" || sent[0].From != "hola@velo.example" {
		t.Fatalf("the relay has %+v", sent)
	}
	m, err := mail.ReadMessage(bytes.NewReader(sent[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"In-Reply-To": "<q2@people.example>", "References": "<q1@people.example> <reply.1@velo.example> <q2@people.example>",
		"To": "<p1@people.example>", "Reply-To": `"Ayuda" <ayuda@velo.example>`, "Auto-Submitted": "", "List-Unsubscribe": "", "Bcc": "",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, and not %q", name, got, want)
		}
	}
	if got := m.Header.Get("Subject"); !strings.HasPrefix(got, "Re: Pedido 7") && !strings.HasPrefix(got, "=?") {
		t.Errorf("the subject is %q", got)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || strings.TrimSpace(strings.ReplaceAll(string(body), "\r\n", "\n")) != "Sale mañana.\n.\nUn saludo" {
		t.Errorf("it says %q, %v", body, err)
	}
	id := strings.Trim(m.Header.Get("Message-ID"), "<>")
	if got := w.message(answer); !strings.HasPrefix(got, "Sent|Sale mañana.") {
		t.Errorf("the conversation shows %q", got)
	}
	// The customer's next mail answers that one, and comes into the same conversation.
	if _, next := w.hears(written{source: "care", id: "q3@people.example", text: "Gracias", parent: id}); next != talk {
		t.Errorf("the next mail is in conversation %s, and not in %s", next, talk)
	}
}

// TestAMailWithoutAnAnswerIsAmbiguous: nobody can be asked for it, and it is not sent again by itself. A person says what became of it.
func TestAMailWithoutAnAnswerIsAmbiguous(t *testing.T) {
	w := newTown(t)
	w.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		return delivertest.Action{Close: e.Stage == delivertest.Dot}
	}})
	_, talk := w.hears(written{source: "care", id: "q1@people.example", text: "¿Hay alguien?"})
	w.worker(w.options())
	answer := w.answers(talk, "Sí.")
	w.comesTo(answer, store.PostingAmbiguous)
	if got := w.message(answer); !strings.HasPrefix(got, "Ambiguous|Sí.") {
		t.Errorf("the conversation shows %q", got)
	}
	if err := w.db.DecidePosting(t.Context(), answer, store.PostingDecision{Verdict: store.VerdictSent, By: "eva", Why: "she has it"}); err != nil {
		t.Fatal(err)
	}
	if got := w.message(answer); !strings.HasPrefix(got, "Sent|Sí.") {
		t.Errorf("the conversation shows %q", got)
	}
	// Her next mail answers it, and is known by the id under which it had left.
	m, err := mail.ReadMessage(bytes.NewReader(w.relay.Messages()[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	parent := strings.Trim(m.Header.Get("Message-ID"), "<>")
	if _, next := w.hears(written{source: "care", id: "q2@people.example", text: "Gracias", parent: parent}); next != talk {
		t.Errorf("the next mail is in conversation %s, and not in %s", next, talk)
	}
}

// TestADeadWorkersMailIsAmbiguous: once no answer can come any more, and not before. An answer that comes late all the same is believed.
func TestADeadWorkersMailIsAmbiguous(t *testing.T) {
	w := newTown(t)
	_, talk := w.hears(written{source: "care", id: "q1@people.example", text: "¿Hay alguien?"})
	answer := w.answers(talk, "Sí.")
	ctx, rules := t.Context(), store.NewRules(w.db)
	taken, err := rules.TakeOutbox(ctx, "newsletter", 1, time.Minute)
	if err != nil || len(taken) != 1 {
		t.Fatalf("%+v, %v", taken, err)
	}
	wrote := store.WrittenPost{PostDocument: store.PostDocument{Parts: []store.PostPart{{Text: "Sí."}}}, ID: "reply.1@velo.example"}
	p, err := rules.IntendPosting(ctx, taken[0], wrote, false)
	if err != nil {
		t.Fatal(err)
	}
	w.exec("update outbox set leased_until = now() - interval '5 minutes'")
	if again, err := rules.TakeOutbox(ctx, "newsletter", 1, time.Minute); err != nil || len(again) != 0 {
		t.Fatalf("it is taken again: %+v, %v", again, err)
	}
	if n, err := rules.SweepOutbox(ctx, 10, 10*time.Minute); err != nil || n != 0 {
		t.Fatalf("it is given up too soon: %d, %v", n, err)
	}
	if n, err := rules.SweepOutbox(ctx, 10, 4*time.Minute); err != nil || n != 1 {
		t.Fatalf("it is not given up: %d, %v", n, err)
	}
	if got := w.message(answer); !strings.HasPrefix(got, "Ambiguous|Sí.") {
		t.Errorf("the conversation shows %q", got)
	}
	if err := rules.SettleOutbox(ctx, []store.Posted{{Posting: p, State: store.PostingSent, Native: wrote.ID}}); err != nil {
		t.Fatal(err)
	}
	if got := w.message(answer); !strings.HasPrefix(got, "Sent|Sí.") {
		t.Errorf("after a late answer the conversation shows %q", got)
	}
}

// TestASuppressedAddressIsAnsweredByPeopleAlone: who wrote to us wants an answer, and a program's is none.
func TestASuppressedAddressIsAnsweredByPeopleAlone(t *testing.T) {
	w := newTown(t)
	_, first := w.hears(written{source: "care", id: "q1@people.example", text: "Hola"})
	_, second := w.hears(written{source: "care", id: "q2@people.example", text: "Hola"})
	_, third := w.hears(written{source: "care", id: "q3@people.example", text: "Hola"})
	w.exec(`insert into suppression (address_hash, reason, source)
		select keyed_hash(k.key, v), 'complained', 'test' from secret_key k, unnest('{p1@people.example,p2@people.example}'::text[]) v where k.purpose = 'address'`)
	byHand, byRule, unsuppressed := w.answers(first, "Hola."), w.answers(second, "Hola."), w.answers(third, "Hola.")
	w.exec(`update outbox set body = body || '{"auto": true}' where dedup in ($1, $2)`, byRule, unsuppressed)
	w.worker(w.options())
	w.comesTo(byHand, store.PostingSent)
	if reply := w.comesTo(byRule, store.PostingFailed); !strings.Contains(reply, "suppressed") || strings.Contains(reply, "p2@") {
		t.Errorf("it says %q", reply)
	}
	w.comesTo(unsuppressed, store.PostingSent)
	for _, m := range w.relay.Messages() {
		if auto := bytes.Contains(m.Data, []byte("\r\nAuto-Submitted: auto-replied\r\n")); auto != (m.To == "p3@people.example") {
			t.Errorf("the answer to %s says automatic: %v", m.To, auto)
		}
	}
}

// TestAnEndpointAnswersForUs: by a webhook, at least once and under one id.
func TestAnEndpointAnswersForUs(t *testing.T) {
	w := newTown(t)
	remote, hooked := w.hook()
	var tried atomic.Int32
	remote.Behave = func(rw http.ResponseWriter, _ *http.Request) bool {
		if tried.Add(1) > 2 {
			return false
		}
		rw.WriteHeader(http.StatusInternalServerError)
		return true
	}
	_, talk := w.hears(written{source: "care", id: "sms-1", text: "¿Abrís?", title: "SMS"})
	answer := w.answers(talk, "Sí.")
	o := w.options()
	o.Transport = hooked.Transport
	w.worker(o)
	w.comesTo(answer, store.PostingSent)
	arrived := remote.Arrived()
	if len(arrived) != 1 || arrived[0] != answer {
		t.Fatalf("arrived: %q", arrived)
	}
	var got work.ReplyDocument
	if err := json.Unmarshal(remote.Content(answer), &got); err != nil {
		t.Fatal(err)
	}
	if got.Type != work.ReplyType || got.ID != answer || got.Answers != "sms-1" || got.Text != "Sí." || got.To.Handle != "p1@people.example" ||
		got.Conversation != talk || got.Number == 0 || got.At.IsZero() || got.Automatic {
		t.Errorf("it got %s", remote.Content(answer))
	}
}

// TestAnEndpointThatFailsForDays: what it is told waits for as long as it is tried, then fails and says so; a person has it tried again, and nothing
// is lost. The clock is moved.
func TestAnEndpointThatFailsForDays(t *testing.T) {
	w := newTown(t)
	remote, hooked := w.hook()
	var fails atomic.Bool
	fails.Store(true)
	remote.Behave = func(rw http.ResponseWriter, _ *http.Request) bool {
		if fails.Load() {
			rw.WriteHeader(http.StatusInternalServerError)
		}
		return fails.Load()
	}
	w.exec("insert into event_type (name) values ('complained')")
	w.rule("war-room", automate.Rule{On: automate.Trigger{Event: "complained"}, Steps: []automate.Step{
		{Name: "tell", Notify: &automate.Notify{Channel: "newsletter"}},
	}})
	o := w.options()
	o.Transport, o.ChannelBackoff = hooked.Transport, campaign.Backoff{First: time.Millisecond, Max: time.Millisecond}
	w.worker(o)
	w.happens("complained", 1)
	tried := func(times string) func() bool {
		return func() bool {
			w.hurries()
			return w.ask("select (coalesce(max(attempts), 0) >= "+times+")::text from outbox where state = 'pending'") == "true"
		}
	}
	w.eventually("it is tried again and again", tried("3"))
	w.exec("update outbox set due_at = now() - interval '24 hours', made_at = now() - interval '24 hours'")
	w.eventually("after a day it is still tried", tried("5"))
	w.exec("update outbox set due_at = now() - interval '73 hours', made_at = now() - interval '73 hours'")
	dedup := w.ask("select dedup from outbox")
	w.comesTo(dedup, store.PostingFailed)
	w.eventually("the rule says so", func() bool {
		state, err := w.db.LoadRuleState(t.Context(), "war-room")
		return err == nil && strings.Contains(state.Trouble, `"tell"`) && strings.Contains(state.Trouble, "did not arrive")
	})
	fails.Store(false)
	if err := w.db.DecidePosting(t.Context(), dedup, store.PostingDecision{Verdict: store.VerdictAgain, By: "eva", Why: "it is back"}); err != nil {
		t.Fatal(err)
	}
	w.comesTo(dedup, store.PostingSent)
	if arrived := remote.Arrived(); len(arrived) != 1 || arrived[0] != dedup {
		t.Errorf("arrived: %q", arrived)
	}
}

// TestARestoredDatabasePostsNothingByItself: what had been waiting when the backup was made may have left since.
func TestARestoredDatabasePostsNothingByItself(t *testing.T) {
	w := newTown(t)
	_, talk := w.hears(written{source: "fediverse", id: w.ana("Hola"), text: "Hola"})
	old := w.answers(talk, "¡Hola!")
	w.exec(`insert into quarantine (why, since, system_identifier, timeline, database_oid, ledger_oid, ledger_mark, released_at, closed_at, outcome)
		values ('restored', now() + interval '1 second', 1, 1, 1, 1, 0, now(), now() + interval '2 seconds', 'Released')`)
	w.worker(w.options())
	w.comesTo(old, store.PostingAmbiguous)
	w.exec("update outbox set made_at = made_at - interval '1 hour', due_at = made_at - interval '1 hour'")
	w.exec("update quarantine set since = now() - interval '2 minutes', closed_at = now() - interval '1 minute'")
	w.comesTo(w.answers(talk, "¿Qué tal?"), store.PostingSent)
	if texts, _ := w.on(); len(texts) != 1 {
		t.Errorf("on the network are %q", texts)
	}
}
