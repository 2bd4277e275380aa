package blueskytest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/jetstream"
)

// Firehose invents the posts of a whole network, in the shape and the mixture in which a Jetstream sends them: always the same for a seed, so
// that a stream of any length can be played again from any moment, and takes no memory. It is an http.Handler as Network is: the stream at
// /subscribe, and profiles of its authors.
type Firehose struct {
	// Seed makes another network.
	Seed uint64
	// Start is the moment of the first event, and Rate how many there are in a second after it. A stream never sends what is later than now.
	Start time.Time
	Rate  int
	// Share: one of so many posts has the Keyword; zero: none.
	Share   int
	Keyword string

	once  sync.Once
	posts []invented
}

// invented is a post without its author, time and key, in parts between which they stand.
type invented struct{ plain, matching []byte }

const (
	inventions  = 2048    // different posts
	authors     = 400_000 // who write
	deletedBack = 5000    // a deletion is of the post so many events ago
)

// prepare invents the posts.
func (f *Firehose) prepare() {
	random := rand.New(rand.NewPCG(f.Seed, 7)) //nolint:gosec // posts that are always the same
	vocabulary := make([]string, 5000)
	for i := range vocabulary {
		vocabulary[i] = inventWord(random)
	}
	zipf := rand.NewZipf(random, 1.1, 4, uint64(len(vocabulary)-1))
	for range inventions {
		words := make([]string, 1+random.IntN(45))
		for i := range words {
			words[i] = vocabulary[zipf.Uint64()]
		}
		record := inventRecord(random, words)
		plain := encode(record)
		words[random.IntN(len(words))] = f.Keyword
		record["text"] = strings.Join(words, " ")
		f.posts = append(f.posts, invented{plain: plain, matching: encode(record)})
	}
}

func inventWord(random *rand.Rand) string {
	var b strings.Builder
	for range 1 + random.IntN(3) {
		b.WriteString([]string{"b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "br", "tr", "ll", "ñ", "ch", "st", "th"}[random.IntN(19)])
		b.WriteString([]string{"a", "e", "i", "o", "u", "á", "é", "ó", "an", "er", "ion"}[random.IntN(11)])
	}
	return b.String()
}

// inventRecord gives a post what posts have beside words: half are answers, a quarter have links, hashtags or mentions, a third pictures or cards.
func inventRecord(random *rand.Rand, words []string) map[string]any {
	link := func() map[string]any {
		id := CID(fmt.Appendf(nil, "%d", random.Uint64()))
		return map[string]any{"cid": id, "uri": "at://did:plc:" + id[8:32] + "/" + postCollection + "/3l3qte3f7zc2k"}
	}
	blob := func() map[string]any {
		return map[string]any{
			"$type": "blob", "mimeType": "image/jpeg", "size": 100_000 + random.IntN(800_000),
			"ref": map[string]any{"$link": "bafkrei" + CID(fmt.Appendf(nil, "%d", random.Uint64()))[7:]},
		}
	}
	record := map[string]any{"$type": postCollection, "createdAt": "2026-11-22T10:00:00.000Z", "text": strings.Join(words, " ")}
	if language := []string{"en", "en", "en", "en", "ja", "pt", "es", "de", ""}[random.IntN(9)]; language != "" {
		record["langs"] = []string{language}
	}
	if random.IntN(2) == 0 {
		record["reply"] = map[string]any{"parent": link(), "root": link()}
	}
	if random.IntN(4) == 0 {
		feature := []map[string]any{
			{"$type": "app.bsky.richtext.facet#link", "uri": "https://" + words[0] + ".example/" + words[len(words)-1]},
			{"$type": "app.bsky.richtext.facet#tag", "tag": words[0]},
			{"$type": "app.bsky.richtext.facet#mention", "did": "did:plc:" + CID([]byte(words[0]))[8:32]},
		}[random.IntN(3)]
		record["facets"] = []any{map[string]any{"index": map[string]any{"byteStart": 0, "byteEnd": len(words[0])}, "features": []any{feature}}}
	}
	switch random.IntN(9) {
	case 0, 1:
		record["embed"] = map[string]any{"$type": "app.bsky.embed.images", "images": []any{
			map[string]any{"alt": strings.Join(words[:len(words)/2], " "), "aspectRatio": map[string]any{"height": 1200, "width": 900}, "image": blob()},
		}}
	case 2:
		record["embed"] = map[string]any{"$type": "app.bsky.embed.external", "external": map[string]any{
			"uri": "https://" + words[0] + ".example/", "title": strings.Join(words, " "), "description": strings.Join(words, " "), "thumb": blob(),
		}}
	}
	return record
}

// mix spreads the bits of a number (SplitMix64, by Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

const base32Letters = "abcdefghijklmnopqrstuvwxyz234567"

// did is the author of an event.
func (f *Firehose) did(into []byte, i int64) []byte {
	author := mix(f.Seed^uint64(i)) % authors //nolint:gosec // a number of an event
	into = append(into, "did:plc:"...)
	for part, bits := uint64(0), uint64(0); part < 24; part++ {
		if part%12 == 0 {
			bits = mix(author + part<<40)
		}
		into = append(into, base32Letters[bits&31])
		bits >>= 5
	}
	return into
}

func rkey(into []byte, i int64) []byte {
	into = append(into, '3')
	for shift := 55; shift >= 0; shift -= 5 {
		into = append(into, base32Letters[i>>shift&31])
	}
	return into
}

// timeUS is the moment of an event.
func (f *Firehose) timeUS(i int64) int64 {
	return f.Start.UnixMicro() + i*int64(time.Second/time.Microsecond)/int64(f.Rate)
}

// first is the first event that is not before a moment.
func (f *Firehose) first(timeUS int64) int64 {
	i := max(0, (timeUS-f.Start.UnixMicro())*int64(f.Rate)/int64(time.Second/time.Microsecond))
	for f.timeUS(i) < timeUS {
		i++
	}
	return i
}

// Matches tells whether an event is a post with the keyword.
func (f *Firehose) Matches(i int64) bool {
	return f.Share > 0 && i%int64(f.Share) == 0
}

// Event appends an event to into: of a hundred that have no keyword six are deletions, and one says something about an account.
func (f *Firehose) Event(into []byte, i int64) []byte {
	f.once.Do(f.prepare)
	what := mix(f.Seed+uint64(i)*3) % 100 //nolint:gosec // a number of an event
	matches := f.Matches(i)
	deletion := !matches && what < 6 && i >= deletedBack && !f.Matches(i-deletedBack)
	author := i
	if deletion {
		author = i - deletedBack
	}
	into = append(into, `{"did":"`...)
	into = f.did(into, author)
	into = append(into, `","time_us":`...)
	into = strconv.AppendInt(into, f.timeUS(i), 10)
	switch {
	case deletion:
		into = append(into, `,"kind":"commit","commit":{"rev":"3l3qo2vutsw2b","operation":"delete","collection":"app.bsky.feed.post","rkey":"`...)
		into = rkey(into, author)
		return append(into, `"}}`...)
	case !matches && what == 99:
		into = append(into, `,"kind":"identity","identity":{"did":"`...)
		into = f.did(into, author)
		return append(into, `","handle":"somebody.bsky.example","seq":1409752997,"time":"2026-11-22T10:00:00.000Z"}}`...)
	}
	into = append(into, `,"kind":"commit","commit":{"rev":"3l3qo2vutsw2b","operation":"create","collection":"app.bsky.feed.post","rkey":"`...)
	into = rkey(into, i)
	into = append(into, `","record":`...)
	post := &f.posts[mix(uint64(i)^f.Seed<<1)%inventions] //nolint:gosec // a number of an event
	if matches {
		into = append(into, post.matching...)
	} else {
		into = append(into, post.plain...)
	}
	return append(into, `,"cid":"bafyreidwaivazkwu67xztlmuobx35hs2lnfh3kolmgfmucldvhd3sgzcqi"}}`...)
}

// ServeHTTP implements http.Handler.
func (f *Firehose) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/subscribe":
		f.subscribe(w, r)
	case "/xrpc/app.bsky.actor.getProfiles":
		actors := r.URL.Query()["actors"]
		if len(actors) == 0 || len(actors) > 25 {
			http.Error(w, `{"error":"InvalidRequest"}`, http.StatusBadRequest)
			return
		}
		profiles := []map[string]any{}
		for _, did := range actors {
			profiles = append(profiles, map[string]any{"did": did, "handle": did[len(did)-8:] + ".bsky.example", "followersCount": len(profiles) * 100})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"profiles": profiles})
	default:
		http.NotFound(w, r)
	}
}

func (f *Firehose) subscribe(w http.ResponseWriter, r *http.Request) {
	s, ok := jetstream.Accept(w, r)
	if !ok {
		return
	}
	defer s.Close()
	from := time.Now().UnixMicro()
	if s.Cursor > 0 {
		from = min(from, s.Cursor)
	}
	f.pour(s, f.first(from))
}

// pour sends events as soon as it is their time, some milliseconds' worth at once. All are sent to everybody: they are posts, and what becomes of
// accounts.
func (f *Firehose) pour(s *jetstream.Stream, i int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var message []byte
	for {
		for now := time.Now().UnixMicro(); f.timeUS(i) <= now; i++ {
			message = f.Event(message[:0], i)
			if s.Send(message) != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-s.Done():
			return
		}
	}
}
