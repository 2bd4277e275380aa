package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// What the matching of topics is measured with.
const (
	matchTopics = 1000
	matchPosts  = 50_000
	matchShare  = 100 // of so many posts one is about a topic
	matchTime   = 2 * time.Second
)

// jetstreamEvent is what is decoded of an event in the shape of Bluesky's Jetstream.
type jetstreamEvent struct {
	DID    string `json:"did"`
	TimeUS int64  `json:"time_us"`
	Kind   string `json:"kind"`
	Commit struct {
		Operation  string `json:"operation"`
		Collection string `json:"collection"`
		RKey       string `json:"rkey"`
		CID        string `json:"cid"`
		Record     struct {
			Type      string   `json:"$type"`
			CreatedAt string   `json:"createdAt"`
			Langs     []string `json:"langs"`
			Text      string   `json:"text"`
			Tags      []string `json:"tags"`
			Facets    []struct {
				Features []struct {
					DID string `json:"did"`
					URI string `json:"uri"`
				} `json:"features"`
			} `json:"facets"`
		} `json:"record"`
	} `json:"commit"`
}

// post is what topics are looked for in.
func (e *jetstreamEvent) post(into *match.Post) {
	into.Text, into.Tags = e.Commit.Record.Text, e.Commit.Record.Tags
	into.Mentions, into.Links, into.Author = into.Mentions[:0], into.Links[:0], append(into.Author[:0], e.DID)
	for _, facet := range e.Commit.Record.Facets {
		for _, feature := range facet.Features {
			if feature.DID != "" {
				into.Mentions = append(into.Mentions, feature.DID)
			}
			if feature.URI != "" {
				into.Links = append(into.Links, feature.URI)
			}
		}
	}
}

// measureMatching tells how many posts a second one core compares with all topics of a tenant, beside how many it decodes from JSON.
func measureMatching(ctx context.Context, _ Settings) ([]Row, error) {
	world := newMatchWorld()
	began := time.Now()
	matcher, err := match.Compile(world.topics)
	if err != nil {
		return nil, fmt.Errorf("compile the topics: %w", err)
	}
	compiling := time.Since(began)
	events := make([][]byte, matchPosts)
	decoded := make([]match.Post, matchPosts)
	size, letters, about := 0, 0, 0
	for i := range events {
		if events[i], err = json.Marshal(world.event(i)); err != nil {
			return nil, fmt.Errorf("encode an event: %w", err)
		}
		var e jetstreamEvent
		if err := json.Unmarshal(events[i], &e); err != nil {
			return nil, fmt.Errorf("decode an event: %w", err)
		}
		e.post(&decoded[i])
		size, letters = size+len(events[i]), letters+len(decoded[i].Text)
		about += min(len(matcher.Match(&decoded[i], nil)), 1)
	}
	if share := float64(about) / matchPosts; share < 0.5/matchShare || share > 2.0/matchShare {
		return nil, fmt.Errorf("%d of %d posts are about a topic, where one of %d should be", about, matchPosts, matchShare)
	}
	var found []match.Match
	next := 0
	turn := func() int { next = (next + 1) % matchPosts; return next }
	matching, err := matchOften(ctx, func() error { found = matcher.Match(&decoded[turn()], found[:0]); return nil })
	if err != nil {
		return nil, err
	}
	var e jetstreamEvent
	decode := func() error { e = jetstreamEvent{}; return json.Unmarshal(events[turn()], &e) }
	decoding, err := matchOften(ctx, decode)
	if err != nil {
		return nil, err
	}
	var post match.Post
	both, err := matchOften(ctx, func() error {
		err := decode()
		e.post(&post)
		found = matcher.Match(&post, found[:0])
		return err
	})
	if err != nil {
		return nil, err
	}
	alone := Rate("match/posts", "posts/s", matching, decoding)
	alone.Note = fmt.Sprintf("on one core, %d topics (compiled in %v), posts of %d bytes of text in events of %d bytes, %.2f %% of them about a topic; "+
		"bound: encoding/json decodes the events", matchTopics, compiling.Round(time.Millisecond), letters/matchPosts, size/matchPosts,
		100*float64(about)/matchPosts)
	together := Rate("match/decoded", "posts/s", both, decoding)
	together.Note = "decoding and matching; bound: decoding alone"
	quiet := Zero("match/allocations", "allocations", allocations(matcher, decoded))
	quiet.Note = "for 1,000 posts about nothing"
	return []Row{alone, together, quiet}, nil
}

// matchOften tells how often something can be done in a second of a processor; it looks at the clock seldom.
func matchOften(ctx context.Context, do func() error) (float64, error) {
	runtime.GC()
	began, used, n := time.Now(), ownTime(), 0
	for time.Since(began) < matchTime && ctx.Err() == nil {
		for range 256 {
			if err := do(); err != nil {
				return 0, err
			}
		}
		n += 256
	}
	return float64(n) / (ownTime() - used).Seconds(), ctx.Err()
}

// allocations counts what a thousand posts about nothing cost.
func allocations(m *match.Matcher, posts []match.Post) float64 {
	var quiet []*match.Post
	for i := range posts {
		if len(quiet) < 1000 && len(m.Match(&posts[i], nil)) == 0 {
			quiet = append(quiet, &posts[i])
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, post := range quiet {
		m.Match(post, nil)
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

// matchWorld invents topics and posts, always the same.
type matchWorld struct {
	random *rand.Rand
	common []string // what posts are made of, the most frequent first
	zipf   *rand.Zipf
	brands []string
	topics []match.Topic
}

func newMatchWorld() *matchWorld {
	w := &matchWorld{random: rand.New(rand.NewPCG(7, 1))} //nolint:gosec // posts that are always the same
	w.common = strings.Fields("de la que el en y a los se del las un por con no una su para es al lo como más pero sus le ya o este sí porque esta entre " +
		"cuando muy sin sobre también me hasta hay donde the of and to in is it you that was for on are with as I his they be at one have this from had by " +
		"hot but some what there we can out other were all your when up use word how said an each she which do their time if will way about many then them " +
		"bici tienda precio")
	seen := map[string]bool{}
	for len(w.common) < 20_000 {
		if word := w.word(2 + w.random.IntN(3)); !seen[word] {
			seen[word] = true
			w.common = append(w.common, word)
		}
	}
	w.zipf = rand.NewZipf(w.random, 1.1, 4, uint64(len(w.common)-1))
	for i := range matchTopics {
		brand := w.word(2) + "x" + w.word(2) // x, so that no common word is one
		w.brands = append(w.brands, brand)
		w.topics = append(w.topics, match.Topic{
			Name: fmt.Sprint("topic-", i),
			Any: []match.Term{
				{Word: brand},
				{Phrase: w.common[w.random.IntN(100)] + " " + brand + " " + w.word(3)},
				{Hashtag: brand + "Fest"},
				{Account: fmt.Sprintf("brand%d.bsky.example", i)},
				{Link: fmt.Sprintf("brand%d.example", i)},
				{Word: brand + "ar", Forms: []match.Form{match.Verb}},
				{Near: &match.Near{Words: []string{w.common[100+i%500], w.word(3) + "x" + w.word(1)}, Within: 5}},
			},
			None:   []match.Term{{Phrase: brand + " de " + w.word(3)}, {Author: fmt.Sprintf("brand%d.bsky.example", i)}},
			Except: []match.Term{{Phrase: w.common[w.random.IntN(100)] + " " + brand + " y"}},
		})
	}
	return w
}

// word invents a word of so many syllables.
func (w *matchWorld) word(syllables int) string {
	var b strings.Builder
	for range syllables {
		b.WriteString([]string{"b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "br", "tr", "ll", "ñ", "ch"}[w.random.IntN(18)])
		b.WriteString([]string{"a", "e", "i", "o", "u", "á", "é", "ó", "an", "er", "ion"}[w.random.IntN(11)])
	}
	return b.String()
}

// text invents a post: words as frequent as words are, and now and then a hashtag, a mention, a link, an emoji.
func (w *matchWorld) text(i int) string {
	var b strings.Builder
	words := 4 + w.random.IntN(36)
	about := -1
	if i%matchShare == 0 {
		about = w.random.IntN(words)
	}
	for k := range words {
		word := w.common[w.zipf.Uint64()]
		switch n := w.random.IntN(100); {
		case k == about:
			word = w.brands[w.random.IntN(len(w.brands))]
		case n < 3:
			word = "#Gran_" + word + "Ciclista"
		case n < 5:
			word = "@" + w.common[w.random.IntN(100)] + ".bsky.example"
		case n < 6:
			word = "https://" + w.common[w.random.IntN(50)] + ".example/" + word
		case n < 8:
			word = []string{"😂", "🚴‍♀️", "👍🏽", "❤️"}[n%4]
		case n < 15:
			word += []string{".", ",", "!", " —", "…", "?"}[n%6]
		}
		b.WriteString(word)
		b.WriteByte(' ')
	}
	return b.String()
}

// event invents an event as Jetstream sends it.
func (w *matchWorld) event(i int) map[string]any {
	identifier := fmt.Sprintf("did:plc:%024x", w.random.Uint64())
	record := map[string]any{
		"$type": "app.bsky.feed.post", "createdAt": "2026-11-22T10:00:00.000Z", "langs": []string{"es"}, "text": w.text(i),
		"reply": map[string]any{
			"parent": map[string]any{"cid": "bafyreib2rxk3rh6kzwq", "uri": "at://" + identifier + "/app.bsky.feed.post/3l3qte3f7zc2k"},
			"root":   map[string]any{"cid": "bafyreib2rxk3rh6kzwq", "uri": "at://" + identifier + "/app.bsky.feed.post/3l3qte3f7zc2k"},
		},
	}
	if i%4 == 0 {
		record["facets"] = []map[string]any{{
			"index":    map[string]any{"byteStart": 0, "byteEnd": 20},
			"features": []map[string]any{{"$type": "app.bsky.richtext.facet#link", "uri": "https://" + w.common[w.random.IntN(100)] + ".example/x"}},
		}}
	}
	return map[string]any{
		"did": identifier, "time_us": 1795341600000000 + i, "kind": "commit",
		"commit": map[string]any{
			"rev": "3l3qo2vutsw2b", "operation": "create", "collection": "app.bsky.feed.post", "rkey": "3l3qo2vuowo2b", "record": record,
			"cid": "bafyreidwaivazkwu67xztlmuobx35hs2lnfh3kolmgfmucldvhd3sgzcqi",
		},
	}
}
