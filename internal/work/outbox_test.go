package work_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/posttest"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// on is what is there of us on the networks.
func (w *town) on() (texts, parents []string) {
	for _, p := range w.instance.Posted() {
		texts, parents = append(texts, p.Text), append(parents, p.InReplyTo)
	}
	for _, p := range w.sky.Posted(veloDID) {
		texts = append(texts, string(p.Record))
	}
	return texts, parents
}

func (w *town) ana(text string) string {
	return w.instance.Publish(mastodontest.Post{Text: text, Author: "ana@velo.example"})
}

func TestAnswersLeaveInTheThread(t *testing.T) {
	w := newTown(t)
	asked := w.ana("¿Abrís el sábado?")
	_, tootTalk := w.hears(written{source: "fediverse", id: asked, text: "¿Abrís el sábado?"})
	uri := w.sky.Post(anaDID, "said1", map[string]any{"text": "¿Y el domingo?"})
	_, skyTalk := w.hears(written{source: "sky", id: uri, text: "¿Y el domingo?"})
	w.worker(w.options())
	toot, sky := w.answers(tootTalk, "Sí, a las diez."), w.answers(skyTalk, "A las once.")
	w.comesTo(toot, store.PostingSent)
	w.comesTo(sky, store.PostingSent)
	posted := w.instance.Posted()
	if len(posted) != 1 || posted[0].InReplyTo != asked || posted[0].Text != "@ana@velo.example Sí, a las diez." {
		t.Errorf("on the instance: %+v", posted)
	}
	if got := w.message(toot); !strings.HasPrefix(got, "Sent|Sí, a las diez.|https://") {
		t.Errorf("the conversation shows %q", got)
	}
	skies := w.sky.Posted(veloDID)
	if len(skies) != 1 || !strings.Contains(string(skies[0].Record), uri) {
		t.Errorf("on Bluesky: %+v", skies)
	}
	// The customer's next post answers ours, and is known by it.
	if got := w.ask("select count(*)::text from outbox_part where native_id in ('" + posted[0].ID + "', '" + skies[0].URI + "')"); got != "2" {
		t.Errorf("%s of 2 ids are known", got)
	}
	if got := w.ask("select coalesce(string_agg(written::text, ' '), '') from outbox"); got != "" {
		t.Errorf("what is over keeps %s", got)
	}
}

// TestAWorkerLogsInAndHeals: as whom a channel posts is known before it posts; refused credentials are told, and better ones taken at once.
func TestAWorkerLogsInAndHeals(t *testing.T) {
	w := newTown(t)
	w.login("wrong", skyKey)
	o := w.options()
	o.ChannelBackoff.First, o.ChannelBackoff.Max = time.Hour, time.Hour // nobody waits for it where something else heals it
	_, talk := w.hears(written{source: "fediverse", id: w.ana("Hola"), text: "Hola"})
	answer := w.answers(talk, "¡Hola!")
	w.worker(o)
	account := func(name string) string {
		return w.ask("select concat_ws(' ', account, account_id, takes ->> 'characters', trouble) from channel where name = '" + name + "'")
	}
	w.eventually("Bluesky is logged in to", func() bool { return account("sky") == "@velo.example "+veloDID+" 300" })
	w.eventually("Mastodon refuses", func() bool { return strings.Contains(account("fediverse"), "refuses the access token") })
	if state, _ := w.state(answer); state != string(store.PostingPending) {
		t.Errorf("meanwhile the answer is %s", state)
	}
	w.login(mastodontest.Token, skyKey)
	w.eventually("Mastodon is logged in to", func() bool { return strings.HasPrefix(account("fediverse"), "@velo@social.example ") })
	w.comesTo(answer, store.PostingSent)
	if got := account("fediverse"); strings.Contains(got, "refuses") {
		t.Errorf("the channel still says %q", got)
	}
}

// TestWhateverBreaksAnAnswerIsThereOnce has the first request that publishes break in each way, on servers that keep no keys.
func TestWhateverBreaksAnAnswerIsThereOnce(t *testing.T) {
	for _, fault := range []posttest.Fault{
		posttest.CutBefore, posttest.CutAfter, posttest.CutAnswer, posttest.FailBefore, posttest.FailAfter, posttest.Unavailable, posttest.Throttle,
		posttest.HangAfter, posttest.Garble, posttest.Page,
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			w.timeout = 5 * time.Second
			_, talk := w.hears(written{source: "fediverse", id: w.ana("¿Abrís?"), text: "¿Abrís?"})
			uri := w.sky.Post(anaDID, "said1", map[string]any{"text": "¿Abrís?"})
			_, skyTalk := w.hears(written{source: "sky", id: uri, text: "¿Abrís?"})
			toot, sky := w.answers(talk, "Sí."), w.answers(skyTalk, "Sí.")
			w.front.Break(fault, 1)
			w.skyFront.Break(fault, 1)
			w.worker(w.options())
			w.comesTo(toot, store.PostingSent)
			w.comesTo(sky, store.PostingSent)
			if texts, _ := w.on(); len(texts) != 2 {
				t.Errorf("on the networks are %q", texts)
			}
			if got := w.message(toot); !strings.HasPrefix(got, "Sent|Sí.|https://") {
				t.Errorf("the conversation shows %q", got)
			}
		})
	}
}

// TestADeadWorkersAnswerIsLookedFor: the worker died after its intent, with the post there or not.
func TestADeadWorkersAnswerIsLookedFor(t *testing.T) {
	for name, left := range map[string]bool{"it had left": true, "it had not": false} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			o := w.options()
			_, talk := w.hears(written{source: "fediverse", id: w.ana("¿Abrís?"), text: "¿Abrís?"})
			answer := w.answers(talk, "Sí.")
			ctx, rules := t.Context(), store.NewRules(w.db)
			taken, err := rules.TakeOutbox(ctx, "fediverse", 1, time.Minute)
			if err != nil || len(taken) != 1 || taken[0].Look {
				t.Fatalf("%+v, %v", taken, err)
			}
			wrote := store.WrittenPost{PostDocument: store.PostDocument{Parts: []store.PostPart{{Text: "Sí."}}, Language: "es"}}
			if err := w.db.Pool.QueryRow(ctx, "select native_id from mention").Scan(&wrote.Answers); err != nil {
				t.Fatal(err)
			}
			p, err := rules.IntendPosting(ctx, taken[0], wrote, true)
			if err != nil {
				t.Fatal(err)
			}
			if left {
				publisher, err := o.Publisher(store.Channel{Type: store.MastodonType, Social: store.SocialSettings{Server: w.front.URL()}},
					credentials.Channel{AccessToken: mastodontest.Token})
				if err != nil {
					t.Fatal(err)
				}
				r, err := publisher.Publish(ctx, &post.Intent{ID: p.DedupID, At: p.IntentAt, Tried: p.TriedAt, Post: post.Post{
					Parts: []post.Part{{Text: "Sí."}}, Language: "es", ReplyTo: &post.Target{ID: wrote.Answers},
				}})
				if err != nil || len(r.Posted) != 1 {
					t.Fatalf("%+v, %v", r, err)
				}
			}
			if again, err := rules.TakeOutbox(ctx, "fediverse", 1, time.Minute); err != nil || len(again) != 0 {
				t.Fatalf("it is taken while it is held: %+v, %v", again, err)
			}
			w.exec("update outbox set leased_until = now() - interval '1 second'")
			before, _ := w.front.Asked()
			w.worker(o)
			w.comesTo(answer, store.PostingSent)
			after, _ := w.front.Asked()
			if want := map[bool]int{true: 0, false: 1}[left]; after-before != want {
				t.Errorf("it was published %d times again, and not %d", after-before, want)
			}
			if texts, _ := w.on(); len(texts) != 1 {
				t.Errorf("on the network are %q", texts)
			}
		})
	}
}

// TestOneNetworkThatHangsHoldsNoOther: each channel is worked for by itself.
func TestOneNetworkThatHangsHoldsNoOther(t *testing.T) {
	w := newTown(t)
	w.timeout = time.Minute
	_, talk := w.hears(written{source: "fediverse", id: w.ana("Hola"), text: "Hola"})
	uri := w.sky.Post(anaDID, "said1", map[string]any{"text": "Hola"})
	_, skyTalk := w.hears(written{source: "sky", id: uri, text: "Hola"})
	w.front.BreakAll(posttest.HangBefore)
	stuck := w.answers(talk, "¡Hola!")
	o := w.options()
	o.Grace = time.Second
	w.worker(o)
	w.comesTo(w.answers(skyTalk, "¡Hola!"), store.PostingSent)
	if state, _ := w.state(stuck); state == string(store.PostingSent) {
		t.Error("the network that hangs has it")
	}
}

// TestWhatCannotLeaveFails: a network that refuses, what is answered is gone or forgotten, and a post in the clear of what was not for everybody.
func TestWhatCannotLeaveFails(t *testing.T) {
	w := newTown(t)
	gone := w.ana("Se borra")
	_, goneTalk := w.hears(written{source: "fediverse", id: gone, text: "Se borra"})
	w.instance.Delete(gone)
	_, longTalk := w.hears(written{source: "fediverse", id: w.ana("Contad"), text: "Contad"})
	uri := w.sky.Post(anaDID, "said1", map[string]any{"text": "En privado"})
	_, privateTalk := w.hears(written{source: "sky", id: uri, text: "En privado", visibility: "Private"})
	// A number that names another post here than where it was read.
	_, elsewhereTalk := w.hears(written{source: "fediverse", id: w.ana("De otro"), text: "De otro", network: "mastodon:other.example"})
	answers := map[string]string{
		w.answers(elsewhereTalk, "¡Hola!"):                 "was read on mastodon:other.example",
		w.answers(goneTalk, "¿Qué?"):                       "was deleted",
		w.answers(longTalk, strings.Repeat("blablá ", 90)): "shorten it",
		w.answers(privateTalk, "Claro."):                   "is not public",
	}
	w.worker(w.options())
	for dedup, words := range answers {
		if reply := w.comesTo(dedup, store.PostingFailed); !strings.Contains(reply, words) {
			t.Errorf("it says %q, and not %q", reply, words)
		}
		if got := w.message(dedup); !strings.HasPrefix(got, "Failed|") {
			t.Errorf("the conversation shows %q", got)
		}
	}
	if texts, _ := w.on(); len(texts) != 0 {
		t.Errorf("on the networks are %q", texts)
	}
}

// TestASuspendedTenantAnswersNobody: what waits waits, also what is in hand already, and leaves when the tenant goes on.
func TestASuspendedTenantAnswersNobody(t *testing.T) {
	w := newTown(t)
	_, talk := w.hears(written{source: "fediverse", id: w.ana("¿Hay alguien?"), text: "¿Hay alguien?"})
	dedup := w.answers(talk, "Sí.")
	ctx, rules := t.Context(), store.NewRules(w.db)
	taken, err := rules.TakeOutbox(ctx, "fediverse", 1, time.Minute)
	if err != nil || len(taken) != 1 {
		t.Fatalf("%+v, %v", taken, err)
	}
	w.exec("update tenant set suspended = true")
	if _, err := rules.IntendPosting(ctx, taken[0], store.WrittenPost{}, true); !errors.Is(err, store.ErrPostingLost) {
		t.Errorf("what was in hand may leave: %v", err)
	}
	w.exec("update outbox set leased_until = null")
	if taken, err = rules.TakeOutbox(ctx, "fediverse", 1, time.Minute); err != nil || len(taken) != 0 {
		t.Errorf("it is taken: %+v, %v", taken, err)
	}
	w.exec("update tenant set suspended = false")
	w.worker(w.options())
	w.comesTo(dedup, store.PostingSent)
}

// TestAPrivateQuestionIsAnsweredInPrivate: nobody else sees the answer.
func TestAPrivateQuestionIsAnsweredInPrivate(t *testing.T) {
	w := newTown(t)
	asked := w.instance.Publish(mastodontest.Post{Text: "@velo ¿y mi pedido?", Author: "ana@velo.example", Extra: map[string]any{"visibility": "direct"}})
	_, talk := w.hears(written{source: "fediverse", id: asked, text: "¿y mi pedido?", visibility: "Private"})
	w.worker(w.options())
	w.comesTo(w.answers(talk, "Sale mañana."), store.PostingSent)
	if posted := w.instance.Posted(); len(posted) != 1 || posted[0].Visibility != "direct" {
		t.Errorf("on the instance: %+v", posted)
	}
}

// TestAPersonDecides: of a post that is like ours, nobody but a person knows whether it is.
func TestAPersonDecides(t *testing.T) {
	w := newTown(t)
	_, talk := w.hears(written{source: "fediverse", id: w.ana("¿Abrís?"), text: "¿Abrís?"})
	answer := w.answers(talk, "Sí.")
	w.exec("update outbox set state = 'ambiguous', settled_at = now(), reply = 'a post that is like this one is there'")
	w.exec("update message set state = 'Ambiguous', counted = true where direction = 'Out'")
	list, err := w.db.ListPostings(t.Context(), store.PostingQuery{States: []store.PostingState{store.PostingAmbiguous}})
	if err != nil || len(list) != 1 || list[0].DedupID != answer || list[0].Channel != "fediverse" || list[0].Reply == "" {
		t.Fatalf("%+v, %v", list, err)
	}
	decision := store.PostingDecision{Verdict: store.VerdictAgain, By: "eva", Why: "it is not there"}
	if err := w.db.DecidePosting(t.Context(), answer, decision); err != nil {
		t.Fatal(err)
	}
	if err := w.db.DecidePosting(t.Context(), answer, decision); err == nil {
		t.Error("what is under way is decided about")
	}
	if got := w.message(answer); !strings.HasPrefix(got, "Queued|") {
		t.Errorf("the conversation shows %q", got)
	}
	w.worker(w.options())
	w.comesTo(answer, store.PostingSent)
	if got := w.ask("select decision ->> 'by' from outbox"); got != "eva" {
		t.Errorf("%q decided", got)
	}

	other := w.answers(talk, "Y los domingos.")
	w.comesTo(other, store.PostingSent)
	w.exec("update outbox set state = 'ambiguous' where dedup = $1", other)
	w.exec("update message set state = 'Ambiguous' where public_id::text = $1", strings.TrimPrefix(other, "reply/"))
	decision = store.PostingDecision{Verdict: store.VerdictSent, By: "eva", Why: "I see it", URL: "https://social.example/@velo/7"}
	if err := w.db.DecidePosting(t.Context(), other, decision); err != nil {
		t.Fatal(err)
	}
	if got := w.message(other); !strings.HasPrefix(got, "Sent|Y los domingos.|https://") {
		t.Errorf("the conversation shows %q", got)
	}
}

// TestAChannelsRateHoldsAnswers: what is above the day's bound waits for the next one.
func TestAChannelsRateHoldsAnswers(t *testing.T) {
	w := newTown(t)
	w.noon()
	w.exec(`update channel set rate = '{"perDay": 2}' where name = 'fediverse'`)
	_, talk := w.hears(written{source: "fediverse", id: w.ana("Contad"), text: "Contad"})
	var answers []string
	for _, text := range []string{"Uno", "Dos", "Tres", "Cuatro"} {
		answers = append(answers, w.answers(talk, text))
	}
	w.worker(w.options())
	for _, a := range answers[:3] { // an answer may exceed the bound by a tenth, and by one at the least
		w.comesTo(a, store.PostingSent)
	}
	w.eventually("the fourth waits for tomorrow", func() bool {
		return w.ask("select count(*)::text from outbox where state = 'pending' and not_before > now() + interval '1 second'") == "1"
	})
}

// TestNoSecretIsLogged: with everything that breaks, at the log's most talkative.
func TestNoSecretIsLogged(t *testing.T) {
	w := newTown(t)
	w.timeout = time.Second
	_, talk := w.hears(written{source: "fediverse", id: w.ana("¿Abrís, de verdad?"), text: "¿Abrís, de verdad?"})
	answer := w.answers(talk, "Sí, de verdad.")
	w.front.Break(posttest.FailAfter, 1)
	w.skyFront.BreakAll(posttest.Garble)
	var log logged
	worker, err := work.New(w.options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(logr.NewContext(t.Context(), log.logger()))
	done := make(chan error)
	go func() { done <- worker.Run(ctx) }()
	w.comesTo(answer, store.PostingSent)
	w.instance.Revoke()
	w.comesTo(w.answers(talk, "Otra vez."), store.PostingPending)
	w.eventually("the channel is in trouble", func() bool { return log.has("refuses the access token") })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{mastodontest.Token, skyKey, "access.", "refresh.", "de verdad", "ana@", "p1@people", "Otra vez"} {
		if log.has(secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
}
