package mastodon

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

const (
	// maxRecent is how many posts are remembered: so as not to bring them twice, and to ask for their edits.
	maxRecent = 512
	// overlap is by how much a timeline is read again. A post of another server gets its place by the time at which it was written, and
	// comes in later: behind what was read last.
	overlap = 10 * time.Minute
	// history is how far a source begins in the past.
	history = 7 * 24 * time.Hour
)

// cursor is how far each timeline was read, and what came last.
type cursor struct {
	Timelines map[string]place `json:"timelines"`
	// Recent are posts by id, revision and counts, in the order in which they came.
	Recent [][3]string `json:"recent,omitempty"`
	// Floor is the highest id that is no longer in Recent.
	Floor string `json:"floor,omitempty"`

	index map[string]edition // of Recent, by id
}

// edition is what is remembered of a post.
type edition struct{ revision, counts string }

// place is how far a timeline was read.
type place struct {
	// Read is the highest id that was read.
	Read string `json:"read"`
	// At is where a reading goes on that did not reach the end; "" where it did.
	At string `json:"at,omitempty"`
}

// readCursor reads a cursor, or begins with an empty one. ok is false where it cannot be read.
func readCursor(raw listen.Cursor, timelines []timeline) (at cursor, ok bool) {
	ok = len(raw) == 0 || json.Unmarshal(raw, &at) == nil
	if !ok {
		at = cursor{}
	}
	if at.Timelines == nil {
		at.Timelines = map[string]place{}
	}
	maps.DeleteFunc(at.Timelines, func(key string, _ place) bool { // what is not listened to any more begins anew one day
		return !slices.ContainsFunc(timelines, func(t timeline) bool { return t.key == key })
	})
	at.index = make(map[string]edition, len(at.Recent))
	for _, r := range at.Recent {
		at.index[r[0]] = edition{r[1], r[2]}
	}
	return at, ok
}

// encode writes a cursor. What would make it too long is what came first.
func (at *cursor) encode() (listen.Cursor, error) {
	for {
		raw, err := json.Marshal(at)
		if err != nil || len(raw) <= listen.MaxCursor || len(at.Recent) == 0 {
			return raw, err
		}
		at.evict(len(at.Recent)/2 + 1)
	}
}

// isNew tells whether an edition of a post has not come yet, or has been counted anew, and remembers it.
func (at *cursor) isNew(id, revision, counts string) bool {
	is := edition{revision, counts}
	known, ok := at.index[id]
	switch {
	case ok && (is == known || revision < known.revision): // times in one form: an older edition comes late
		return false
	case ok:
		i := slices.IndexFunc(at.Recent, func(r [3]string) bool { return r[0] == id })
		at.Recent[i] = [3]string{id, revision, counts}
	default:
		at.Recent = append(at.Recent, [3]string{id, revision, counts})
	}
	at.index[id] = is
	if len(at.Recent) > maxRecent {
		at.evict(len(at.Recent) - maxRecent)
	}
	return true
}

func (at *cursor) evict(n int) {
	for _, r := range at.Recent[:n] {
		delete(at.index, r[0])
		at.Floor = later(at.Floor, r[0])
	}
	at.Recent = slices.Delete(at.Recent, 0, n)
}

// forget drops a post that is gone.
func (at *cursor) forget(id string) {
	if _, ok := at.index[id]; ok {
		delete(at.index, id)
		at.Recent = slices.DeleteFunc(at.Recent, func(r [3]string) bool { return r[0] == id })
	}
}

// start is behind which id a timeline is read: a little before where it was left, but not so far that posts come which are remembered no longer.
func (at *cursor) start(t timeline) string {
	p := at.Timelines[t.key]
	switch {
	case p.At != "":
		return p.At
	case t.notifications: // in the order in which they came
		return p.Read
	}
	from := later(earlier(p.Read, overlap), at.Floor)
	if compareIDs(from, p.Read) > 0 {
		return p.Read
	}
	return from
}

// compareIDs orders ids by age: numbers, and texts of one length.
func compareIDs(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func later(a, b string) string {
	if compareIDs(a, b) < 0 {
		return b
	}
	return a
}

// Mastodon's ids of posts are milliseconds with 16 more bits. Other servers, and notifications, have ids without a time that can be read.
const clockShift = 16

// idTime is the time within an id.
func idTime(id string) (at time.Time, ok bool) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, false
	}
	at = time.UnixMilli(n >> clockShift).UTC()
	return at, at.Year() >= 2016 && at.Year() < 2100
}

// earlier is the least id of a time before an id's; the id itself where it tells no time.
func earlier(id string, by time.Duration) string {
	at, ok := idTime(id)
	if !ok {
		return id
	}
	return strconv.FormatInt(at.Add(-by).UnixMilli()<<clockShift, 10)
}
