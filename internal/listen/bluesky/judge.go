package bluesky

import (
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// judge tells which events are wanted. It belongs to one stream.
type judge struct {
	matcher   *match.Matcher
	languages []string // whose posts are wanted; none wants all
	own       string   // the DID of our account, where posts to it are wanted; "" otherwise
	now       func() time.Time

	event event
	post  match.Post
	langs []string
	found []match.Match
	ours  bool // the record at hand speaks to us
}

// verdict is what an event means. At most one of Post and Deletion is set.
type verdict struct {
	time     int64 // of the event; 0 where it could not be read
	size     int   // of the event in bytes
	post     *listen.Post
	deletion listen.Deletion
	renamed  string // an account of which another handle may be known now
	rejected string // why it cannot be used, in words that repeat nothing of it
}

// The reasons for which an event is rejected.
const (
	rejectUnreadable = "an event that cannot be read"
	rejectTooLong    = "an event that is too long"
	rejectFuture     = "an event from the future"
	rejectNoID       = "an event without a usable id"
	rejectRecord     = "a post that cannot be read"
)

// event judges one event.
func (j *judge) judge(message []byte) verdict {
	e := &j.event
	if !readEvent(message, e) {
		return verdict{rejected: rejectUnreadable}
	}
	at := time.UnixMicro(e.timeUS)
	if at.After(j.now().Add(listen.Skew)) {
		// A cursor in the future would be answered with what is new then, and lose what lies between.
		return verdict{rejected: rejectFuture}
	}
	v := verdict{time: e.timeUS, size: len(message)}
	switch string(e.kind) {
	case "commit":
		if string(e.collection) == postCollection {
			j.commit(at, &v)
		}
	case "account":
		if e.isGone() {
			v.deletion = listen.Deletion{AuthorID: string(e.did)}
		}
	case "identity":
		v.renamed = string(e.did)
	}
	return v
}

func (j *judge) commit(at time.Time, v *verdict) {
	e := &j.event
	id := e.postID()
	if id == "" {
		v.rejected = rejectNoID
		return
	}
	switch string(e.operation) {
	case "delete":
		v.deletion = listen.Deletion{PostID: id}
	case "create":
		if j.wants(e.record) {
			v.post, v.rejected = j.translate(at)
		}
	case "update":
		// An edition that is no longer wanted takes back the one that may have been stored.
		if !j.wants(e.record) {
			v.deletion = listen.Deletion{PostID: id}
			return
		}
		if v.post, v.rejected = j.translate(at); v.post != nil {
			v.post.EditedAt = at
		}
	}
}

func (j *judge) translate(at time.Time) (*listen.Post, string) {
	e := &j.event
	p, ok := readRecord(e.record, origin{did: string(e.did), rkey: string(e.rkey), cid: string(e.cid), at: at})
	if !ok {
		return nil, rejectRecord
	}
	return p, ""
}

// wants reads of a record what keywords are compared with, and compares it.
func (j *judge) wants(record []byte) bool {
	if len(record) == 0 {
		return false
	}
	j.ours = false
	j.langs = j.langs[:0]
	p := &j.post
	*p = match.Post{Tags: p.Tags[:0], Mentions: p.Mentions[:0], Links: p.Links[:0], Author: append(p.Author[:0], string(j.event.did))}
	s := scanner{data: record}
	j.readRecord(&s)
	if s.bad {
		return false
	}
	if j.ours {
		return string(j.event.did) != j.own
	}
	if !j.speaksWanted() || j.matcher == nil {
		return false
	}
	j.found = j.matcher.Match(p, j.found[:0])
	return len(j.found) > 0
}

// speaksWanted tells whether a post is in one of the languages that are wanted, or says in none.
func (j *judge) speaksWanted() bool {
	if len(j.languages) == 0 || len(j.langs) == 0 {
		return true
	}
	return slices.ContainsFunc(j.langs, func(tag string) bool {
		base, _, _ := strings.Cut(tag, "-")
		return slices.Contains(j.languages, strings.ToLower(base))
	})
}

func (j *judge) readRecord(s *scanner) {
	if !s.enter('{') {
		return
	}
	p := &j.post
	for name, ok := s.key(); ok; name, ok = s.key() {
		switch string(name) {
		case "text":
			p.Text = s.text()
		case "langs":
			j.langs = texts(s, j.langs)
		case "tags":
			p.Tags = texts(s, p.Tags)
		case "facets":
			j.readFacets(s)
		case "reply", "embed":
			j.readReferences(s, string(name) == "embed", 0)
		default:
			s.skip()
		}
	}
}

func (j *judge) readFacets(s *scanner) {
	if !s.enter('[') {
		return
	}
	for s.element() {
		if !s.enter('{') {
			continue
		}
		for name, ok := s.key(); ok; name, ok = s.key() {
			if string(name) != "features" {
				s.skip()
				continue
			}
			if !s.enter('[') {
				continue
			}
			for s.element() {
				j.readFeature(s)
			}
		}
	}
}

func (j *judge) readFeature(s *scanner) {
	if !s.enter('{') {
		return
	}
	p := &j.post
	for name, ok := s.key(); ok; name, ok = s.key() {
		switch string(name) {
		case "did":
			did := s.text()
			j.ours = j.ours || j.own != "" && did == j.own
			p.Mentions = appendFew(p.Mentions, did)
		case "uri":
			p.Links = appendFew(p.Links, s.text())
		case "tag":
			p.Tags = appendFew(p.Tags, s.text())
		default:
			s.skip()
		}
	}
}

// maxReferences is how deep references lie in a post: {"record": {"record": {"uri"}}}, with room for one more.
const maxReferences = 3

// readReferences looks, in what a post answers or holds, for addresses of posts of ours, and for the page that a card leads to.
func (j *judge) readReferences(s *scanner, embed bool, depth int) {
	if depth > maxReferences {
		s.skip()
		return
	}
	if !s.enter('{') {
		return
	}
	for name, ok := s.key(); ok; name, ok = s.key() {
		switch string(name) {
		case "root", "parent", "record", "external", "media":
			j.readReferences(s, embed, depth+1)
		case "uri":
			switch uri := s.text(); {
			case j.own != "" && strings.HasPrefix(uri, "at://"+j.own+"/"):
				j.ours = true
			case embed && strings.HasPrefix(uri, "http"):
				j.post.Links = appendFew(j.post.Links, uri)
			}
		default:
			s.skip()
		}
	}
}

// texts reads a list of strings.
func texts(s *scanner, into []string) []string {
	if !s.enter('[') {
		return into
	}
	for s.element() {
		into = appendFew(into, s.text())
	}
	return into
}

// appendFew appends as many as a matcher looks at.
func appendFew(list []string, s string) []string {
	if s == "" || len(list) >= match.MaxItems {
		return list
	}
	return append(list, s)
}
