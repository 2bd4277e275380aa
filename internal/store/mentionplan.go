package store

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// maxRevisions is how many editions of a post are kept beside the one that counts.
const maxRevisions = 50

// edition tells the editions of a post apart.
type edition struct {
	revision string
	at       int64 // when it was edited, in microseconds; 0 for the first
}

func editionOf(p *listen.Post) edition {
	if p.EditedAt.IsZero() {
		return edition{revision: p.Revision}
	}
	return edition{p.Revision, p.EditedAt.UnixMicro()}
}

// is tells whether two are the same. A network that names its editions does not date them alike each time.
func (e edition) is(o edition) bool {
	return e.revision == o.revision && (e.revision != "" || e.at == o.at)
}

// knownMention is what is stored of a post that comes again.
type knownMention struct {
	key        nativeKey
	id         int64
	authorID   *int64
	createdAt  time.Time
	current    edition
	label      string
	engagement listen.Engagement
	counted    bool // the network told an engagement
	forgotten  bool
	sources    []int64         // that brought it, the first one first
	topics     map[int64]int64 // the source for which it counts, by topic
	older      []edition
}

// gathered is what is known before a batch is written.
type gathered struct {
	source  int64
	oldest  time.Time // what is older is not kept
	now     time.Time
	known   map[nativeKey]*knownMention
	ids     []int64 // for posts that are new, ascending
	authors map[nativeKey]*knownAuthor
	topics  map[int64]bool   // that there are
	version int64            // of the topics in force
	named   map[string]int64 // sources for which some topics count alone
}

// countsFor is the source for which a match counts, of those that brought a mention: the one for which it does already, else the first. It is
// false where it counts for none of them.
func (g *gathered) countsFor(t TopicMatch, sources []int64, already int64) (source int64, ok bool) {
	if !g.topics[t.Topic] {
		return 0, false
	}
	for _, s := range sources {
		if len(t.Sources) > 0 && !slices.ContainsFunc(t.Sources, func(name string) bool { return g.named[name] == s }) {
			continue
		}
		if s == already {
			return s, true
		}
		if !ok {
			source, ok = s, true
		}
	}
	return source, ok
}

// arrived is a post that is written, with the row that it is written to.
type arrived struct {
	*Judged
	id     int64
	key    nativeKey
	author int64 // 0 for somebody whom the network does not name
	named  []int64
}

// mentionPlan is what is to be written.
type mentionPlan struct {
	taken   TakenMentions
	added   []arrived
	revised []arrived
	counted []arrived     // whose engagement was read anew, and nothing else
	older   []arrived     // editions that do not count
	prune   []int64       // mentions that have too many of these
	seen    []seenMention // that this source brings for the first time

	topicRows    []topicRow
	topicDropped []topicRow
	tally        []tallyChange

	authors authorPlan

	forgotten []int64     // mentions
	bereft    []int64     // authors who wrote or are named in them
	tombs     []nativeKey // of posts that are deleted before they came
}

type seenMention struct {
	mention   int64
	createdAt time.Time
}

type topicRow struct {
	mention, topic, source int64
	createdAt              time.Time
	terms                  []string
}

// arrival is a batch with the keys of what is in it.
type arrival struct {
	keys     mentionKeys
	network  string
	posts    []Judged
	postKeys []nativeKey // of each post
	deleted  map[nativeKey]bool
	gone     map[nativeKey]bool // accounts
	hooked   bool               // it may come in any order
}

func newArrival(keys mentionKeys, b listen.Batch, posts []Judged, hooked bool) *arrival {
	a := &arrival{
		keys: keys, network: b.Network, posts: posts, postKeys: make([]nativeKey, len(posts)), hooked: hooked,
		deleted: map[nativeKey]bool{}, gone: map[nativeKey]bool{},
	}
	for i := range posts {
		a.postKeys[i] = keys.post(b.Network, posts[i].ID)
	}
	for _, d := range b.Deleted {
		if d.PostID != "" {
			a.deleted[keys.post(b.Network, d.PostID)] = true
		} else if key, ok := keys.account(b.Network, listen.Account{ID: d.AuthorID}); ok {
			a.gone[key] = true
		}
	}
	return a
}

// plan decides what is written. It is pure.
func (a *arrival) plan(g *gathered) *mentionPlan {
	p := &mentionPlan{}
	ids := g.ids
	groups, order := a.groups()
	for _, key := range order {
		group := groups[key]
		known := g.known[key]
		post, others, doubled := a.newest(group)
		if a.refuses(g, key, post) || known != nil && (known.forgotten || a.goneWrote(g, known)) {
			p.taken.Refused += len(group)
			continue
		}
		if known == nil {
			id := ids[0]
			ids = ids[1:]
			known = p.add(a, g, key, id, post)
		} else {
			p.again(a, g, known, post)
		}
		for _, other := range others {
			p.keepOlder(known, other)
		}
		p.taken.Doubled += doubled
	}
	p.forget(a, g)
	p.authors.finish()
	p.sort()
	return p
}

// groups are the posts by key, in the order in which they came.
func (a *arrival) groups() (groups map[nativeKey][]int, order []nativeKey) {
	groups = make(map[nativeKey][]int, len(a.posts))
	for i, key := range a.postKeys {
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], i)
	}
	return groups, order
}

// refuses tells whether a post is not to be stored: it is deleted, it is too old, or its author was forgotten and it is from before.
func (a *arrival) refuses(g *gathered, key nativeKey, post *Judged) bool {
	if a.deleted[key] || post.CreatedAt.Before(g.oldest) {
		return true
	}
	writer, ok := a.keys.account(a.network, post.Author)
	if !ok {
		return false
	}
	if a.gone[writer] {
		return true
	}
	author := g.authors[writer]
	return author != nil && author.forgottenAt != nil && !post.CreatedAt.After(*author.forgottenAt)
}

// goneWrote tells whether what is stored is an account's that is gone, whoever a post says that it is by.
func (a *arrival) goneWrote(g *gathered, known *knownMention) bool {
	if known.authorID == nil {
		return false
	}
	for key := range a.gone {
		if author := g.authors[key]; author != nil && author.id == *known.authorID {
			return true
		}
	}
	return false
}

// newest finds the edition that counts of those of a post in a batch: the one that was edited last, and of several the last that came.
// The others are in the order in which they came; each edition is there once.
func (a *arrival) newest(group []int) (best *Judged, others []*Judged, doubled int) {
	best = &a.posts[group[0]]
	seen := []edition{editionOf(&best.Post)}
	for _, i := range group[1:] {
		post := &a.posts[i]
		e := editionOf(&post.Post)
		if slices.ContainsFunc(seen, e.is) {
			doubled++
			continue
		}
		seen = append(seen, e)
		if e.at >= editionOf(&best.Post).at {
			best, post = post, best
		}
		others = append(others, post)
	}
	return best, others, doubled
}

// add plans a post that is new.
func (p *mentionPlan) add(a *arrival, g *gathered, key nativeKey, id int64, post *Judged) *knownMention {
	m := p.arrive(a, g, key, id, post)
	p.added, p.seen = append(p.added, m), append(p.seen, seenMention{id, m.CreatedAt})
	p.taken.Stored++
	known := &knownMention{
		key: key, id: id, createdAt: m.CreatedAt, current: editionOf(&post.Post), sources: []int64{g.source}, topics: map[int64]int64{},
	}
	known.judged(m)
	for _, t := range m.Topics {
		p.about(g, known, t, 0)
	}
	return known
}

// judged takes over how a mention counts by an edition.
func (k *knownMention) judged(m arrived) {
	k.label = string(m.Sentiment.Label)
	if m.Engagement != nil {
		k.engagement, k.counted = *m.Engagement, true
	}
}

// keepOlder keeps an edition that does not count.
func (p *mentionPlan) keepOlder(known *knownMention, post *Judged) {
	e := editionOf(&post.Post)
	if e.is(known.current) || slices.ContainsFunc(known.older, e.is) || len(known.older) >= maxRevisions {
		p.taken.Doubled++
		return
	}
	known.older = append(known.older, e)
	p.older = append(p.older, arrived{Judged: post, id: known.id})
	p.taken.Revised++
}

// arrive takes in who wrote a post and whom it names.
func (p *mentionPlan) arrive(a *arrival, g *gathered, key nativeKey, id int64, post *Judged) arrived {
	m := arrived{Judged: post, id: id, key: key}
	if writer, ok := a.keys.account(a.network, post.Author); ok {
		m.author = p.authors.wrote(g, writer, &post.Author)
	}
	for i := range post.Mentions {
		if account, ok := a.keys.account(a.network, post.Mentions[i]); ok && !a.gone[account] {
			if named := p.authors.named(g, account, &post.Mentions[i]); named != 0 && !slices.Contains(m.named, named) {
				m.named = append(m.named, named)
			}
		}
	}
	return m
}

// about has a mention count for a topic, unless it does already: for the source for which it did before, where that can be.
func (p *mentionPlan) about(g *gathered, known *knownMention, t TopicMatch, before int64) {
	if _, counts := known.topics[t.Topic]; counts {
		return
	}
	source, ok := g.countsFor(t, known.sources, before)
	if !ok {
		return
	}
	known.topics[t.Topic] = source
	p.topicRows = append(p.topicRows, topicRow{known.id, t.Topic, source, known.createdAt, t.Terms})
	p.tally = append(p.tally, known.tallied(t.Topic, 1))
}

// tallied is its part in the counts of a topic that it is about.
func (k *knownMention) tallied(topic, n int64) tallyChange {
	return tallyChange{topic, k.topics[topic], k.createdAt, k.label, engaged(k.engagementIf()), n}
}

// tallyAll counts a mention for all that it is about (1), or no longer (-1).
func (p *mentionPlan) tallyAll(known *knownMention, n int64) {
	for _, topic := range slices.Sorted(maps.Keys(known.topics)) {
		p.tally = append(p.tally, known.tallied(topic, n))
	}
}

// engaged is what counts as engagement.
func engaged(e *listen.Engagement) int64 {
	if e == nil {
		return 0
	}
	const most = 1e12
	return min(e.Likes, most) + min(e.Reposts, most) + min(e.Replies, most)
}

// again plans a post that is stored.
func (p *mentionPlan) again(a *arrival, g *gathered, known *knownMention, post *Judged) {
	e := editionOf(&post.Post)
	m := arrived{Judged: post, id: known.id, key: known.key}
	mine := slices.Contains(known.sources, g.source)
	if !mine {
		known.sources = append(known.sources, g.source)
		p.seen = append(p.seen, seenMention{known.id, known.createdAt})
		p.taken.Seen++
	}
	switch {
	case e.is(known.current):
		for _, t := range post.Topics {
			p.about(g, known, t, 0)
		}
		p.recount(known, m)
		if mine {
			p.taken.Doubled++
		}
	case e.at >= known.current.at && !slices.ContainsFunc(known.older, e.is):
		p.revise(a, g, known, m)
	default:
		p.keepOlder(known, post)
	}
}

func (k *knownMention) engagementIf() *listen.Engagement {
	if !k.counted {
		return nil
	}
	return &k.engagement
}

// recount takes in what the network counts by now. That is no other edition.
func (p *mentionPlan) recount(known *knownMention, m arrived) {
	if m.Engagement == nil || known.counted && known.engagement == *m.Engagement {
		return
	}
	p.tallyAll(known, -1)
	known.engagement, known.counted = *m.Engagement, true
	p.tallyAll(known, 1)
	p.counted = append(p.counted, m)
}

// revise plans a newer edition: the one that counted until now is kept beside it. What it is about is found anew, for all the sources that
// brought it.
func (p *mentionPlan) revise(a *arrival, g *gathered, known *knownMention, m arrived) {
	if len(known.older) >= maxRevisions {
		p.prune = append(p.prune, known.id)
	}
	known.older, known.current = append(known.older, known.current), editionOf(&m.Post)
	m = p.arrive(a, g, known.key, known.id, m.Judged)
	p.tallyAll(known, -1)
	before := known.topics
	for _, topic := range slices.Sorted(maps.Keys(before)) {
		p.topicDropped = append(p.topicDropped, topicRow{mention: known.id, topic: topic})
	}
	known.topics = map[int64]int64{}
	known.judged(m)
	for _, t := range m.Topics {
		p.about(g, known, t, before[t.Topic])
	}
	p.revised = append(p.revised, m)
	p.taken.Revised++
}

// forget plans what was deleted.
func (p *mentionPlan) forget(a *arrival, g *gathered) {
	for key := range a.deleted {
		if g.known[key] == nil && a.hooked {
			p.tombs = append(p.tombs, key)
		}
	}
	var goneIDs []int64
	for key := range a.gone {
		if known := g.authors[key]; known != nil && (known.stored || a.hooked) {
			goneIDs = append(goneIDs, known.id)
			p.authors.gone = append(p.authors.gone, known)
		}
	}
	for key, known := range g.known {
		of := known.authorID != nil && slices.Contains(goneIDs, *known.authorID)
		if !known.forgotten && (a.deleted[key] || of) {
			p.forgetKnown(known)
		}
	}
	p.taken.Forgotten = len(p.forgotten)
}

// forgetKnown plans that a mention is forgotten.
func (p *mentionPlan) forgetKnown(known *knownMention) {
	p.forgotten = append(p.forgotten, known.id)
	if known.authorID != nil {
		p.bereft = append(p.bereft, *known.authorID)
	}
	p.tallyAll(known, -1)
}

// sort puts rows in the order of their keys, in which everybody writes them: so nobody waits for somebody who waits for them. Ids were
// given in the order in which posts came.
func (p *mentionPlan) sort() {
	slices.SortFunc(p.added, func(a, b arrived) int { return bytes.Compare(a.key[:], b.key[:]) })
	slices.SortFunc(p.tombs, func(a, b nativeKey) int { return bytes.Compare(a[:], b[:]) })
}
