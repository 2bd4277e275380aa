package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// influenceNight is how long a computation may take, in seconds.
	influenceNight = 60
	// influenceTaken is how many others each author takes up.
	influenceTaken = 4
	// influenceLoaded is how many mentions a statement invents.
	influenceLoaded = 50_000
)

// measureInfluence has who moves the talk about a topic computed as in the night, of as many pairs of authors as there are rows: edges are made
// anew of what is stored, read with what is known of authors, ranked, and the scores stored.
func measureInfluence(ctx context.Context, s Settings) (rows []Row, err error) {
	at, err := s.scratch(ctx, "influence-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, at.remove(ctx)) }()
	db, err := newDatabase(ctx, at.server, "influence")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := inventTalk(ctx, db, s.Rows); err != nil {
		return nil, fmt.Errorf("invent who takes up whom: %w", err)
	}
	if err := settle(ctx, db); err != nil {
		return nil, err
	}
	first, err := influenceNow(ctx, db)
	if err != nil {
		return nil, err
	}
	// Where the kernel refuses to forget the peak, it is that of all that ran before.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	again, err := influenceNow(ctx, db)
	if err != nil {
		return nil, err
	}
	peak, err := peakMemory(os.Getpid())
	if err != nil {
		return nil, err
	}
	return influenceRows(first, again, float64(peak)/(1<<20)), nil
}

func influenceRows(first, again store.RankedInfluence, peak float64) []Row {
	parts := func(d store.RankedInfluence) string {
		return fmt.Sprintf("edges made anew %.1f s, read %.1f s, ranked %.1f s, written %.1f s", d.Took.Build.Seconds(), d.Took.Read.Seconds(),
			d.Took.Rank.Seconds(), d.Took.Write.Seconds())
	}
	whole := first.Took.Whole().Seconds()
	night := Time("influence/night", "s", whole, influenceNight)
	night.PeakRSSMB = peak
	night.Note = fmt.Sprintf("%d authors, %d edges, none of them stored before: %s; bound: what it may take", first.Authors, first.Edges, parts(first))
	rank := Time("influence/rank", "s", whole, first.Took.Rank.Seconds())
	rank.Note = "the same; bound: PageRank, k-cores and the rest of the ranking alone, in memory"
	next := Time("influence/next", "s", again.Took.Whole().Seconds(), again.Took.Rank.Seconds())
	next.PeakRSSMB = peak
	next.Note = fmt.Sprintf("the night after, when nothing differs: %s; bound: the ranking alone", parts(again))
	return []Row{night, rank, next}
}

// influenceNow computes as workers do at night.
func influenceNow(ctx context.Context, db *store.DB) (done store.RankedInfluence, err error) {
	for more := true; more; {
		added, err := db.AddInfluence(ctx)
		if err != nil {
			return done, err
		}
		more = added.More
	}
	if _, err := db.Pool.Exec(ctx, "update influence_topic set built_at = built_at - interval '2 days', tried_at = tried_at - interval '2 days'"); err != nil {
		return done, fmt.Errorf("let it be night: %w", err)
	}
	due, err := db.InfluenceDue(ctx)
	if err != nil {
		return done, err
	}
	if len(due) != 1 || !due[0].Build {
		return done, fmt.Errorf("%d topics are due, not one", len(due))
	}
	return db.RefreshInfluence(ctx, due[0])
}

// inventTalk stores authors, and mentions about a topic that each name one of them: a few are named by thousands, most by hardly anybody.
func inventTalk(ctx context.Context, db *store.DB, edges int) error {
	tenant := store.Tenant{ID: tenantID, Namespace: tenantID, DisplayName: "Benchmarks", TimeZone: "UTC", Locales: []string{"es"}}
	if _, err := db.SaveTenant(ctx, tenant); err != nil {
		return err
	}
	topic := store.MonitorTopic{Role: store.BrandTopic, Definition: match.Topic{Name: "velo", Any: []match.Term{{Word: "velo"}}}}
	if _, _, err := db.SaveMonitor(ctx, store.Monitor{Name: "brand", Topics: []store.MonitorTopic{topic}, TimeZone: "UTC"}); err != nil {
		return err
	}
	authors := max(edges/influenceTaken, 2)
	_, err := db.Pool.Exec(ctx, `
		insert into author (key, network, native_id, handle, name, followers, registered_at)
		select decode(md5('author ' || n), 'hex'), 'network', 'a' || n, 'author' || n || '@social.example', 'Author ' || n, (1e6 / n)::bigint,
			now() - n % 2000 * interval '1 day' from generate_series(1, $1::int) n`, authors)
	if err != nil {
		return err
	}
	most := edges * 8 / 7 // one in nine is about something else, and some name the same twice
	for from := 0; from < most; from += influenceLoaded {
		if err := inventMentions(ctx, db, from, min(from+influenceLoaded, most), authors); err != nil {
			return err
		}
	}
	for _, statement := range []string{"update topic set matched_to = null, match_again = null", "analyze"} {
		if _, err := db.Pool.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func inventMentions(ctx context.Context, db *store.DB, from, to, authors int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	_, err := db.Pool.Exec(ctx, `
		with first as (select min(id) id from author), invented as (
			select n, (select id from first) + n % $3 as by, (select id from first) + least(floor($3 * power(random(), 2))::bigint, $3 - 1) as named,
				now() - random() * interval '170 days' as at
			from generate_series($1::bigint, $2::bigint - 1) n
		), said as (
			insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, received_at, text, label, polarity,
				confidence, engine)
			select decode(md5('mention ' || n), 'hex'), 'network', 'p' || n || '/' || named, 1, by,
				(array['Post', 'Reply', 'Repost', 'Quote'])[1 + n % 4], 'Public', at, at, 'Hoy con la Velo', 'neutral', random() - 0.5, 1, 'invented'
			from invented returning id, created_at, split_part(native_id, '/', 2)::bigint named
		), about as (
			insert into mention_topic (mention_id, topic_id, source_id, created_at, terms)
			select m.id, t.id, 1, m.created_at, '{velo}' from said m cross join topic t where m.id % 9 <> 0
		)
		insert into mention_account (mention_id, author_id) select id, named from said`, from, to, authors)
	return err
}
