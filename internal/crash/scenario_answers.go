package crash

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/tertulia-crm/tertulia/internal/automate"
	network "github.com/tertulia-crm/tertulia/internal/listen/mastodon"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var answerScenarios = []Scenario{
	{
		Name: "answers", run: killAmongAnswers, Allows: Allowance{WorkerDeaths: kills},
		Done: "two workers send and answer what everybody posts, on an instance that keeps no idempotency keys; in three waves one of them is killed " +
			"(kill -9) and another takes its place, and PostgreSQL is ended in immediate mode",
	},
}

// beginAnswers declares a rule by which everybody who posts something is answered in the thread, on a network that is this process's.
func (w *world) beginAnswers(ctx context.Context, server string) ([]*process, error) {
	if err := os.WriteFile(filepath.Join(w.tenant, "channel.fediverse.access-token"), []byte(mastodontest.Token), 0o600); err != nil {
		return nil, fmt.Errorf("write the token of the account: %w", err)
	}
	channel := store.Channel{Name: "fediverse", Type: store.MastodonType, Social: store.SocialSettings{Server: server}}
	if _, _, err := w.db.SaveChannel(ctx, channel); err != nil {
		return nil, err
	}
	_, err := w.db.SaveTemplate(ctx, store.Template{
		Name: "thanks", DefaultLocale: "es", Digest: "1",
		Content: []store.TemplateContent{{Locale: "es", Subject: "Gracias", HTML: "<p>Gracias: lo miramos.</p>"}},
	})
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		`insert into social_source (name, type, settings, poll_every, keep, suspended, reply_channel)
			values ('posts', 'Mastodon', '{}', '1 minute', '400 days', true, 'fediverse')`,
		`insert into author (key, network, native_id, handle, identifier_id)
			select decode(md5('a' || c.id), 'hex'), 'mastodon', 'a' || c.id, 'p' || c.id || '@social.example', i.id
			from contact c join identifier i on i.type = 'external:shop' and i.value = 'C' || c.id`,
	} {
		if _, err := w.db.Pool.Exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("make the world of those who post: %w", err)
		}
	}
	rule := automate.Rule{
		On: automate.Trigger{Event: automate.MentionReceived}, Steps: []automate.Step{{Name: "say", Reply: &automate.Reply{Template: "thanks"}}},
	}
	if _, _, err := w.db.SaveRule(ctx, store.RuleDefinition{Name: "answers", Rule: rule}); err != nil {
		return nil, err
	}
	return w.begin(ctx, 2)
}

func killAmongAnswers(ctx context.Context, w *world) error {
	instance := mastodontest.New(mastodontest.Options{Forgetful: true, Limit: 1 << 30})
	server := httptest.NewServer(instance)
	defer server.Close()
	instance.Change(func(o *mastodontest.Options) { o.URL = server.URL })
	workers, err := w.beginAnswers(ctx, server.URL)
	if err != nil {
		return err
	}
	before := 0
	posts := func(ctx context.Context, first, last int) error {
		before = len(instance.Posted())
		var people []int
		var ids []string
		for person := first; person <= last; person++ {
			people = append(people, person)
			ids = append(ids, instance.Publish(mastodontest.Post{Text: "late again", Author: fmt.Sprintf("p%d@people.example", person)}))
		}
		_, err := w.db.Pool.Exec(ctx, `insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, text, label, polarity,
				confidence, engine)
			select decode(md5(p.id), 'hex'), $3, p.id, s.id, a.id, 'Post', 'Public', clock_timestamp(), 'late again', 'negative', -1, 1, 'test'
			from unnest($1::int[], $2::text[]) p (person, id) join author a on a.native_id = 'a' || p.person cross join social_source s`,
			people, ids, network.NetworkOf(server.URL))
		if err != nil {
			return fmt.Errorf("have people post something: %w", err)
		}
		return nil
	}
	// The worker dies while answers leave: some are on the network, and nobody has written it down.
	begun := func(ctx context.Context, _ int) error {
		return w.await(ctx, "some are answered", func() (bool, string, error) {
			n := len(instance.Posted())
			return n > before+w.random.IntN(5), fmt.Sprintf("%d answers", n), nil
		})
	}
	if err := w.killOnce(ctx, workers, posts, begun); err != nil {
		return err
	}
	return w.everyAnswerOnce(ctx, instance)
}

// leftToAPerson bounds how many answers a person has to look for: one that a worker had in hand when it died, and one of each worker when the database ended.
// This account writes more in a minute than a look-up reads; what is not among that may be there.
const leftToAPerson = kills + 2

// everyAnswerOnce wants each post answered once, and known to be, but for those that are left to a person, and are told to be.
func (w *world) everyAnswerOnce(ctx context.Context, instance *mastodontest.Server) error {
	n := w.parameters.Size
	var sent, crowded int
	err := w.await(ctx, "everybody is answered", func() (bool, string, error) {
		var example string
		err := w.db.Pool.QueryRow(ctx, `
			select count(*) filter (where state = 'sent'), count(*) filter (where state = 'ambiguous' and reply like '%has written more than%'),
				coalesce(max(state || ': ' || coalesce(reply, '')) filter (where state <> 'sent'), '')
			from outbox`).Scan(&sent, &crowded, &example)
		if err != nil { // the database may be away for a moment
			return false, err.Error(), nil
		}
		return sent+crowded == n, fmt.Sprintf("%d sent, %d left to a person of %d; one that is not sent: %s", sent, crowded, n, example), nil
	})
	if err != nil {
		return err
	}
	answered, twice := map[string]bool{}, 0
	for _, p := range instance.Posted() {
		if answered[p.InReplyTo] {
			twice++
		}
		answered[p.InReplyTo] = true
	}
	var known int
	if err := w.db.Pool.QueryRow(ctx, "select count(distinct native_id) from outbox_part").Scan(&known); err != nil {
		return fmt.Errorf("look which answers are known: %w", err)
	}
	if twice > 0 || len(answered) < sent || known != sent || crowded > leftToAPerson {
		return fmt.Errorf("%d of %d posts are answered, %d twice, %d answers are known, and %d left to a person", len(answered), n, twice, known, crowded)
	}
	return nil
}
