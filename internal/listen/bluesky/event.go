package bluesky

import (
	"bytes"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// The collection of a repository that holds posts.
const postCollection = "app.bsky.feed.post"

// event is what is read of every event of a Jetstream. Its members are parts of the message and are gone with it.
type event struct {
	did, kind                        []byte
	timeUS                           int64
	operation, collection, rkey, cid []byte
	record                           []byte // as it is written
	status                           []byte // of an account that is not active
	active                           bool
}

// readEvent reads an event, and tells whether it is one.
func readEvent(message []byte, e *event) bool {
	*e = event{}
	s := scanner{data: message}
	if s.peek() != '{' {
		return false
	}
	s.enter('{')
	for name, ok := s.key(); ok; name, ok = s.key() {
		switch string(name) {
		case "did":
			e.did = s.raw()
		case "time_us":
			e.timeUS = s.number()
		case "kind":
			e.kind = s.raw()
		case "commit":
			e.readCommit(&s)
		case "account":
			e.readAccount(&s)
		default:
			s.skip()
		}
	}
	return !s.bad && e.timeUS > 0 && len(e.kind) > 0 && isDID(e.did)
}

func (e *event) readCommit(s *scanner) {
	if !s.enter('{') {
		return
	}
	for name, ok := s.key(); ok; name, ok = s.key() {
		switch string(name) {
		case "operation":
			e.operation = s.raw()
		case "collection":
			e.collection = s.raw()
		case "rkey":
			e.rkey = s.raw()
		case "cid":
			e.cid = s.raw()
		case "record":
			e.record = s.value()
		default:
			s.skip()
		}
	}
}

func (e *event) readAccount(s *scanner) {
	if !s.enter('{') {
		return
	}
	for name, ok := s.key(); ok; name, ok = s.key() {
		switch string(name) {
		case "active":
			e.active = s.isTrue()
		case "status":
			e.status = s.raw()
		default:
			s.skip()
		}
	}
}

// isGone tells that an account was deleted, or taken down by who hosts it. Who is suspended, or has deactivated an account, may come back, and
// with the account what was written.
func (e *event) isGone() bool {
	return !e.active && (string(e.status) == "deleted" || string(e.status) == "takendown")
}

// postID is the address of the record, by which the network knows a post, or "" where it can be none.
func (e *event) postID() string {
	if !isRecordKey(e.rkey) {
		return ""
	}
	return postID(string(e.did), string(e.rkey))
}

func postID(did, rkey string) string { return "at://" + did + "/" + postCollection + "/" + rkey }

// splitPostID takes the address of a post apart. What is no address of a post gives false.
func splitPostID(uri string) (did, rkey string, ok bool) {
	rest, ok := strings.CutPrefix(uri, "at://")
	if !ok || len(uri) > listen.MaxID {
		return "", "", false
	}
	did, rest, _ = strings.Cut(rest, "/")
	collection, rkey, _ := strings.Cut(rest, "/")
	if collection != postCollection || !isDID([]byte(did)) || !isRecordKey([]byte(rkey)) {
		return "", "", false
	}
	return did, rkey, true
}

// maxDID and maxRecordKey leave room for both in an id.
const (
	maxDID       = 255
	maxRecordKey = 220
)

// isDID tells whether something is a decentralised identifier as the AT Protocol has them: did:plc:… or did:web:….
func isDID(id []byte) bool {
	rest, ok := bytes.CutPrefix(id, []byte("did:"))
	if !ok || len(id) > maxDID {
		return false
	}
	method, specific, ok := bytes.Cut(rest, []byte(":"))
	if !ok || len(method) == 0 || len(specific) == 0 {
		return false
	}
	for _, c := range method {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return onlyOf(specific, "._:%-")
}

// isRecordKey tells whether something names a record of a collection.
func isRecordKey(key []byte) bool {
	return len(key) > 0 && len(key) <= maxRecordKey && string(key) != "." && string(key) != ".." && onlyOf(key, "._:~-")
}

// onlyOf tells whether a text has letters, digits and the given marks alone.
func onlyOf(text []byte, marks string) bool {
	for _, c := range text {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}
