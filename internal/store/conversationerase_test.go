package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// traces is everything that is still known of a conversation: any value of any row with one of these words.
func (b *team) serviceTraces(words ...string) (found []string) {
	b.t.Helper()
	for _, table := range []string{"conversation", "conversation_key", "conversation_event", "message", "note", "ticket", "ticket_event", "outbox", "message_intake"} {
		for _, row := range query(b.t, b.DB, "select to_jsonb(t)::text from "+table+" t") {
			for _, word := range words {
				if strings.Contains(row, word) {
					found = append(found, table+": "+word)
				}
			}
		}
	}
	return found
}

// quoted has somebody be answered with what they wrote, and be written about.
func (b *team) quoted(conversation, word string) {
	b.t.Helper()
	seen := int64(0)
	if err := b.Pool.QueryRow(b.ctx, "select version from conversation where number::text = $1", conversation).Scan(&seen); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.AnswerConversation(b.ctx, conversation, store.Answer{By: eva, Seen: seen, Text: "You said: " + word}); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.NoteConversation(b.ctx, conversation, eva, "about "+word); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.OpenTicket(b.ctx, conversation, eva, "care", "", "the "+word); err != nil {
		b.t.Fatal(err)
	}
}

func TestWhoIsErasedLeavesNoConversation(t *testing.T) {
	erasures := map[string]func(b *team){
		"the account is gone": func(b *team) {
			b.batch(b.lease("a"), listen.Batch{Deleted: []listen.Deletion{{AuthorID: "https://social.example/users/ana"}}})
		},
		"the post is deleted": func(b *team) { b.batch(b.lease("a"), listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}}}) },
		"the contact is erased": func(b *team) {
			b.exec("insert into contact default values")
			b.exec(`insert into identifier_link (identifier_id, contact_id, verified, source)
				select i.id, c.id, true, 'test' from identifier i, contact c where i.value like '%/ana'`)
			b.exec("update identifier_link_log set revoked_at = now(), revoked_why = 'unlinked'") // as an erasure does
			tx, err := b.Pool.Begin(b.ctx)
			if err != nil {
				b.t.Fatal(err)
			}
			for _, statement := range []string{
				"delete from identifier_link", "update identifier_link_log set revoked_at = now(), revoked_why = 'unlinked'", "delete from contact",
			} {
				if _, err := tx.Exec(b.ctx, statement); err != nil {
					b.t.Fatal(err)
				}
			}
			if err := tx.Commit(b.ctx); err != nil {
				b.t.Fatal(err)
			}
		},
		"it is too old": func(b *team) {
			b.exec("update social_source set keep = interval '30 minutes'")
			b.sweep()
		},
	}
	for name, erase := range erasures {
		t.Run(name, func(t *testing.T) {
			b := newTeam(t)
			b.queue("care", service.Queue{})
			b.comes(post("1", toUs), post("2", toUs, by("bea"), ago(time.Minute)))
			b.quoted(b.only("select number::text from conversation c join author a on a.id = c.author_id where a.handle like 'ana@%'"), "zarzuela")
			if len(b.serviceTraces("zarzuela")) < 4 {
				t.Fatalf("only these are stored: %q", b.serviceTraces("zarzuela"))
			}
			erase(b)
			if found := b.serviceTraces("zarzuela"); len(found) > 0 {
				t.Errorf("what is left: %q", found)
			}
			b.want("of the others", deskThreadsSQL, "2")
			b.want("the backlog", "select sum(backlog)::text from service_tally", "0")
			b.want("keys of nobody", "select count(*)::text from conversation_key k where not exists (select from conversation c where c.id = k.conversation_id)", "0")
		})
	}
}

// TestAMessageThatIsDeletedIsNotToldOf has a message be deleted before what a rule tells of it has left.
func TestAMessageThatIsDeletedIsNotToldOf(t *testing.T) {
	b := newTeam(t)
	rule := on(automate.MessageReceived, automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "room"}})
	if _, _, err := b.SaveRule(b.ctx, store.RuleDefinition{Name: "r", Rule: rule}); err != nil {
		t.Fatal(err)
	}
	b.comes(post("1", secret, toUs, by("ana")))
	if done, err := store.NewRules(b.DB).HandleEvents(b.ctx, 10); err != nil || done.Entered != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if found := b.serviceTraces("zarzuela"); len(found) != 1 {
		t.Fatalf("it would be told of %q", found)
	}
	b.batch(b.lease("a"), listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}}})
	if found := b.serviceTraces("zarzuela", "ana@"); len(found) > 0 {
		t.Errorf("what is left: %q", found)
	}
}

func (b *team) sweep() {
	b.t.Helper()
	for more := true; more; {
		swept, err := b.SweepMentions(b.ctx, 100)
		if err != nil {
			b.t.Fatal(err)
		}
		more = swept.More
	}
}

// What may quote somebody who wrote in the conversation of another goes with them.
func TestAStrangerIsErased(t *testing.T) {
	b := newTeam(t)
	b.exec("update social_source set type = 'Mailbox'")
	b.queue("care", service.Queue{})
	mail := func(j *store.Judged) { j.Kind, j.Visibility = listen.Message, listen.Private }
	reply := func(j *store.Judged) { j.Parent, j.Thread = "1", "1" }
	b.comes(post("1", mail))
	b.comes(post("2", mail, reply, by("colleague"), ago(time.Minute)))
	b.want("threads", deskThreadsSQL, "1 2")
	b.quoted(b.number(), "zarzuela")
	b.batch(b.lease("a"), listen.Batch{Deleted: []listen.Deletion{{AuthorID: "https://social.example/users/colleague"}}})
	if found := b.serviceTraces("zarzuela"); len(found) > 0 {
		t.Errorf("what is left: %q", found)
	}
	b.want("threads", deskThreadsSQL, "1")
}

// A post that is deleted while it becomes a message: whoever is first, nothing is left.
func TestAnErasureWhileMessagesAreThreaded(t *testing.T) {
	b := newTeam(t)
	lease := b.lease("a")
	b.take(lease, post("1", toUs), post("2", toUs, by("bea")))
	erased := make(chan error, 1)
	erase := func() {
		_, err := b.TakeMentions(b.ctx, lease, listen.Batch{Network: social, Deleted: []listen.Deletion{{PostID: "1"}}}, nil)
		erased <- err
	}
	var first int64
	if err := b.Pool.QueryRow(b.ctx, "select id from mention where native_id = '1'").Scan(&first); err != nil {
		t.Fatal(err)
	}
	err := b.TakeUpSlowly(b.ctx, []int64{first}, func() {
		go erase()
		gomega.NewWithT(t).Eventually(func() bool {
			return len(erased) > 0 || len(query(t, b.DB, "select 'waits' from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")) > 0
		}).WithTimeout(20 * time.Second).Should(gomega.BeTrue())
	})
	if err := errors.Join(err, <-erased); err != nil {
		t.Fatal(err)
	}
	b.want("messages", "select count(*)::text from message", "0")
	b.want("conversations", "select count(*)::text from conversation", "0")
	b.place() // what was noted of it is forgotten too
	b.want("messages", deskThreadsSQL, "2")
}
