package work_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// posts has somebody's post come in by the source of the instance.
func (w *town) posts(author, native, parent, label string) {
	w.t.Helper()
	w.exec(`with a as (
			insert into author (key, network, native_id, handle) values (decode(md5($1), 'hex'), $5, $1, $1)
			on conflict (key) do update set handle = excluded.handle returning id
		) insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, text, language, parent, label, polarity, confidence, engine)
		select decode(md5($2), 'hex'), $5, $2, s.id, a.id, case when $3 = '' then 'Post' else 'Reply' end, 'Public', now(), 'otra vez tarde',
			'es', nullif($3, ''), $4, -0.9, 1, 'test' from a, social_source s where s.name = 'fediverse'`, author, native, parent, label,
		"mastodon:"+strings.TrimPrefix(w.front.URL(), "https://"))
}

// TestARuleAnswersAPost: an angry post gets a ticket and an answer in its thread, once; when its author answers that, the rule that waited for it goes on
// and publishes. Nobody is known there, and no worker is alone.
func TestARuleAnswersAPost(t *testing.T) {
	w := newTown(t)
	for name, text := range map[string]string{"we-look": "Lo miramos, {{ message.language }}.", "news": "{{ tenant.display_name }} contesta{{ contact.first_name }}."} {
		_, err := w.db.SaveTemplate(context.Background(), store.Template{
			Name: name, DefaultLocale: "es", Digest: name, Content: []store.TemplateContent{{Locale: "es", Text: text}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.db.SaveQueue(t.Context(), store.QueueDefinition{Name: "social", Queue: service.Queue{Hours: service.Hours{TimeZone: "UTC"}}}); err != nil {
		t.Fatal(err)
	}
	w.rule("angry", automate.Rule{On: automate.Trigger{Event: automate.MentionReceived}, When: `mention.label == "negative"`, Steps: []automate.Step{
		{Name: "open", OpenTicket: &automate.OpenTicket{Queue: "social", Priority: "High"}},
		{Name: "look", Reply: &automate.Reply{Template: "we-look"}},
		{Name: "more", Wait: &automate.Wait{Event: automate.MessageReceived, For: automate.Duration(time.Hour), When: "conversation.messages > 2"}},
		{Name: "tell", Publish: &automate.Publish{Template: "news", Channel: "fediverse"}},
	}})
	w.worker(w.options())
	w.worker(w.options())
	var asked []string
	for i := range 3 {
		asked = append(asked, w.ana(fmt.Sprintf("otra vez tarde %d", i)))
		w.posts(fmt.Sprintf("p%d@social.example", i), asked[i], "", "negative")
	}
	w.posts("p9@social.example", w.ana("gracias"), "", "positive")
	byParent := func() map[string][]mastodontest.Posted {
		by := map[string][]mastodontest.Posted{}
		for _, p := range w.instance.Posted() {
			by[p.InReplyTo] = append(by[p.InReplyTo], p)
		}
		return by
	}
	w.eventually("each has an answer", func() bool { return len(byParent()) == 3 })
	w.eventually("the answers are known to have left", func() bool {
		return w.ask("select count(*)::text from message where direction = 'Out' and state = 'Sent'") == "3"
	})
	answers := byParent()
	for _, native := range asked {
		if list := answers[native]; len(list) != 1 || !strings.HasSuffix(list[0].Text, "Lo miramos, es.") {
			t.Errorf("%s is answered by %+v", native, list)
		}
	}
	if got := w.ask("select string_agg(q, '; ') from (select concat_ws(' ', t.priority, t.status, count(*)) q from ticket t group by t.priority, t.status) x"); got != "High New 3" {
		t.Errorf("the tickets are %s: a rule's answer answers none", got)
	}
	w.posts("p1@social.example", w.ana("¿y cuándo?"), answers[asked[1]][0].ID, "neutral")
	w.eventually("it is published", func() bool { return len(byParent()[""]) == 1 })
	if got := byParent()[""][0].Text; !strings.HasSuffix(got, " contesta.") {
		t.Errorf("it published %q", got)
	}
	w.eventually("one entry is over", func() bool {
		return w.ask("select string_agg(s, ' ') from (select status || ' ' || count(*) s from automation_entry group by status order by status) x") == "Ended 1 Waiting 2"
	})
}
