package feed

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// state is how far a feed has been read: what stands in the cursor.
type state struct {
	// URL is the feed's, as it was declared. With another one everything but what was seen is void.
	URL string `json:"url"`
	// Moved is where the feed has gone for ever, as its server says.
	Moved string `json:"moved,omitempty"`
	// ETag and Modified are what the last answer that was read whole is asked for again with, and Body its digest.
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
	Body     string `json:"body,omitempty"`
	// Read is when the feed was read last, to the quarter of an hour: it is written when something else is, or by then.
	Read time.Time `json:"read,omitzero"`
	// Pace is the rhythm that the feed's document wants, in seconds.
	Pace int64 `json:"pace,omitempty"`
	// Seen are the digests of entries and of what they say, the last at the end.
	Seen memory `json:"seen,omitempty"`
	Hub  *hub   `json:"hub,omitempty"`
}

// Sizes of the digests in memory, in bytes: an entry's id, and what it says.
const (
	idSize, saidSize = 8, 6
	// maxSeen is how many entries are remembered, and how many of a feed are read: the newest. Their digests fill most of a cursor.
	maxSeen = 2500
)

// memory is what was seen, in order, and packed when it is written.
type memory []sighting

type sighting struct {
	id   [idSize]byte
	said [saidSize]byte
}

// MarshalJSON implements json.Marshaler.
func (m memory) MarshalJSON() ([]byte, error) {
	packed := make([]byte, 0, len(m)*(idSize+saidSize))
	for _, s := range m {
		packed = append(append(packed, s.id[:]...), s.said[:]...)
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(packed))
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *memory) UnmarshalJSON(text []byte) error {
	var packed []byte
	if err := json.Unmarshal(text, &packed); err != nil {
		return fmt.Errorf("read what was seen: %w", err)
	}
	*m = nil
	for len(packed) >= idSize+saidSize {
		var s sighting
		copy(s.id[:], packed)
		copy(s.said[:], packed[idSize:])
		*m = append(*m, s)
		packed = packed[idSize+saidSize:]
	}
	return nil
}

// sight is what is remembered of an entry.
func sight(e *entry) sighting {
	var s sighting
	id, said := sha256.Sum256([]byte(e.key())), sha256.Sum256([]byte(e.said))
	copy(s.id[:], id[:])
	copy(s.said[:], said[:])
	return s
}

// index finds sightings by id.
func (m memory) index() map[[idSize]byte][saidSize]byte {
	known := make(map[[idSize]byte][saidSize]byte, len(m))
	for _, s := range m {
		known[s.id] = s.said
	}
	return known
}

// with is the memory after these were seen: they stand at the end, each once.
func (m memory) with(seen []sighting) memory {
	again := make(map[[idSize]byte]bool, len(seen))
	for _, s := range seen {
		again[s.id] = true
	}
	next := make(memory, 0, len(m)+len(seen))
	for _, s := range m {
		if !again[s.id] {
			next = append(next, s)
		}
	}
	next = append(next, seen...)
	return next[max(0, len(next)-maxSeen):]
}

// readState reads a cursor. One that is of another address, or that cannot be read, begins anew.
func readState(cursor listen.Cursor, address string) state {
	var s state
	if len(cursor) > 0 && json.Unmarshal(cursor, &s) != nil {
		s = state{}
	}
	if s.URL != address {
		s = state{URL: address, Seen: s.Seen}
	}
	return s
}

// cursor writes it. What would make it too large is forgotten: the oldest sightings.
func (s state) cursor() (listen.Cursor, error) {
	for {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(s); err != nil {
			return nil, fmt.Errorf("write the cursor: %w", err)
		}
		if written := bytes.TrimSpace(b.Bytes()); len(written) <= listen.MaxCursor || len(s.Seen) == 0 {
			return written, nil
		}
		s.Seen = s.Seen[len(s.Seen)/8+1:]
	}
}
