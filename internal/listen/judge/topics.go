package judge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Topics are where a tenant's topics are kept.
type Topics interface {
	TopicVersion(ctx context.Context) (int64, error)
	Topics(ctx context.Context) ([]store.Topic, int64, error)
}

// topics are what posts are compared with.
type topics struct {
	mu      sync.Mutex // of who learns
	current atomic.Pointer[compiled]
}

// compiled are topics of a version, with the id of each.
type compiled struct {
	version int64
	matcher *match.Matcher
	ids     []int64
	sources [][]string // of each topic's monitor; none for all
}

// add takes a topic to those that are compiled.
func (c *compiled) add(t store.Topic) match.Topic {
	c.ids, c.sources = append(c.ids, t.ID), append(c.sources, t.Sources)
	return named(t)
}

// Follow has posts compared from now on with the topics that are in force now. It reads them only where they are others than before. Those that
// cannot be compiled are left out and told to unfit, and the others are in force: who declares a topic learns from the operator what is wrong
// with it, and must not make others deaf. The error is the database's.
func (j *Judge) Follow(ctx context.Context, from Topics, unfit func(error)) error {
	t := &j.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	version, err := from.TopicVersion(ctx)
	if err != nil {
		return err
	}
	if c := t.current.Load(); c != nil && c.version == version {
		return nil
	}
	list, version, err := from.Topics(ctx)
	if err != nil {
		return err
	}
	c, err := compile(list)
	if err != nil {
		unfit(err)
	}
	c.version = version
	t.current.Store(c)
	return nil
}

func compile(list []store.Topic) (*compiled, error) {
	c := &compiled{}
	definitions := make([]match.Topic, 0, len(list))
	for _, t := range list {
		definitions = append(definitions, c.add(t))
	}
	var err error
	if c.matcher, err = match.Compile(definitions); err == nil {
		return c, nil
	}
	// One of them is wrong, or they are too many together: the first that can be compiled with those before them are in force.
	c.ids, c.sources, definitions = nil, nil, nil
	c.matcher, _ = match.Compile(nil)
	told := []error{errors.New("some topics are not in force")}
	for _, t := range list {
		if _, err := match.Compile([]match.Topic{named(t)}); err != nil {
			told = append(told, err)
			continue
		}
		definitions = append(definitions, c.add(t))
	}
	most := fitting(definitions)
	if most < len(definitions) {
		told = append(told, fmt.Errorf("%d topics are too many together: the first %d are in force", len(definitions), most))
	}
	c.ids = c.ids[:most]
	if m, err := match.Compile(definitions[:most]); err == nil {
		c.matcher = m
	} else {
		c.ids, told = nil, append(told, err)
	}
	return c, errors.Join(told...)
}

// fitting is how many of the first topics stay within what one matcher holds.
func fitting(list []match.Topic) int {
	terms := 0
	for i := range list {
		t := &list[i]
		terms += len(t.Any) + len(t.With) + len(t.None) + len(t.Except)
		if i == match.MaxTopics || terms > match.MaxTotalTerms {
			return i
		}
	}
	return len(list)
}

// named is a topic's definition by a name that no other one has: two monitors may have topics of one name.
func named(t store.Topic) match.Topic {
	d := t.Definition
	d.Name = t.Monitor + "/" + t.Name
	return d
}

// find tells which topics posts are about.
func (t *topics) find(posts []store.Judged) {
	c := t.current.Load()
	if c == nil {
		return
	}
	var read match.Post
	var found []match.Match
	for i := range posts {
		posts[i].Topics, posts[i].TopicVersion = nil, c.version
		reading(&posts[i].Post, &read)
		found = c.matcher.Match(&read, found[:0])
		for _, m := range found {
			posts[i].Topics = append(posts[i].Topics, store.TopicMatch{Topic: c.ids[m.Topic], Terms: c.terms(m), Sources: c.sources[m.Topic]})
		}
	}
}

// terms are the terms that were found, each once, as people read them.
func (c *compiled) terms(m match.Match) []string {
	var terms []string
	for _, hit := range m.Hits {
		term := c.matcher.Term(m.Topic, hit)
		if label := match.Label(&term); !slices.Contains(terms, label) {
			terms = append(terms, label)
		}
	}
	return terms
}

// reading is a post as it is compared with topics.
func reading(p *listen.Post, into *match.Post) {
	into.Text, into.Tags, into.Links = textOf(p), p.Tags, p.Links
	into.Mentions, into.Author = into.Mentions[:0], names(into.Author[:0], &p.Author)
	for i := range p.Mentions {
		into.Mentions = names(into.Mentions, &p.Mentions[i])
	}
}

// names are what an account is called.
func names(list []string, a *listen.Account) []string {
	for _, name := range []string{a.Handle, a.ID} {
		if name != "" {
			list = append(list, name)
		}
	}
	return list
}
