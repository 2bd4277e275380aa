package store_test

import (
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// answeredSQL is what the answers that wait to leave answer.
const answeredSQL = `select m.native_id from outbox o join mention m on m.id = (o.body ->> 'mention')::bigint where o.kind = 'Reply' order by o.id`

// Who knows the id of a mail comes into its conversation, as a colleague in copy does. What an agent answers goes to who asked all the same.
func TestAStrangerInAConversationIsNotAnswered(t *testing.T) {
	b := newTeam(t)
	b.queue("care", service.Queue{})
	b.exec("update social_source set type = 'Mailbox'")
	mail := func(j *store.Judged) { j.Kind, j.Visibility = listen.Message, listen.Private }
	b.comes(post("1@people.example", mail, by("ana")))
	stranger := func(j *store.Judged) { j.Parent, j.Thread = "1@people.example", "1@people.example" }
	if done := b.comes(post("2@evil.example", mail, stranger, by("mallory"))); done.Messages != 1 || done.Conversations != 0 {
		t.Fatalf("the stranger's mail: %+v", done)
	}
	if _, err := b.AnswerConversation(b.ctx, b.number(), store.Answer{By: eva, Seen: 2, Text: "Your code is 4711"}); err != nil {
		t.Fatal(err)
	}
	b.want("what is answered", answeredSQL, "1@people.example")

	// One who is known to be her, by an address of which that is proved, is answered there.
	b.comes(post("3@work.example", mail, stranger, by("ana.work")))
	b.exec("insert into contact default values")
	b.exec(`insert into identifier_link (identifier_id, contact_id, verified, source)
		select i.id, c.id, true, 'test' from identifier i, contact c where i.value ~ '/ana'`)
	if _, err := b.AnswerConversation(b.ctx, b.number(), store.Answer{By: eva, Seen: 4, Text: "And this one too"}); err != nil {
		t.Fatal(err)
	}
	b.want("what is answered", answeredSQL, "1@people.example", "3@work.example")
}
