package bluesky

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// cursor is how far a source has been read: the stream by the time of its last event, as its server counts it, and notifications by when the
// network took them up. Stream and Poll each move their own part and pass the other on.
type cursor struct {
	// Server is the Jetstream's host. Another one counts time a little differently.
	Server string `json:"server,omitempty"`
	TimeUS int64  `json:"time_us,omitempty"`
	Inbox  *inbox `json:"inbox,omitempty"`
}

// inbox is how far notifications of our account have been read.
type inbox struct {
	DID string `json:"did"` // our account: another one's notifications are others
	// Seen is when the newest was taken up that is stored, with all before it.
	Seen time.Time `json:"seen"`
	// Page is where the walk back to Seen goes on, and Top what Seen will be at its end; zero when there is no walk.
	Page string    `json:"page,omitempty"`
	Top  time.Time `json:"top,omitzero"`
	// Recent are the posts that came last, the oldest first: they are asked for again, to learn what became of them. Turn is whose turn it is.
	Recent []watched `json:"recent,omitempty"`
	Turn   int       `json:"turn,omitempty"`
}

// watched is a post of which edits and deletion are followed.
type watched struct {
	ID     string `json:"id"`
	CID    string `json:"cid"` // its last letters
	Missed int    `json:"missed,omitempty"`
}

// Bounds of a cursor, by which it has less than listen.MaxCursor bytes.
const (
	maxRecent  = 240
	maxWatched = 160  // bytes of an id; longer ones are not followed
	maxPage    = 2048 // bytes of the network's own cursor
	cidTail    = 12
)

func readCursor(c listen.Cursor) (cursor, error) {
	var at cursor
	if len(c) == 0 {
		return at, nil
	}
	if err := json.Unmarshal(c, &at); err != nil {
		return at, &listen.Trouble{Reason: listen.Malformed, Err: err, Message: "How far the source has been read cannot be understood."}
	}
	return at, nil
}

func (c cursor) encode() (listen.Cursor, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write the cursor: %w", err)
	}
	return data, nil
}

func tail(cid string) string { return cid[max(0, len(cid)-cidTail):] }

// find gives a post that is followed, or nil.
func (b *inbox) find(id string) *watched {
	for i := range b.Recent {
		if b.Recent[i].ID == id {
			return &b.Recent[i]
		}
	}
	return nil
}

// watch follows a post, and forgets the oldest for it. What comes in a walk back is older than those that are followed already.
func (b *inbox) watch(id, cid string) {
	if len(id) > maxWatched || b.Page != "" && len(b.Recent) >= maxRecent {
		return
	}
	if b.Page != "" {
		b.Recent, b.Turn = slices.Insert(b.Recent, 0, watched{ID: id, CID: tail(cid)}), b.Turn+1
		return
	}
	if over := len(b.Recent) + 1 - maxRecent; over > 0 {
		b.Recent = append(b.Recent[:0], b.Recent[over:]...)
		b.Turn = max(0, b.Turn-over)
	}
	b.Recent = append(b.Recent, watched{ID: id, CID: tail(cid)})
}

// clone is a copy that can be changed apart.
func (b *inbox) clone() *inbox {
	if b == nil {
		return nil
	}
	c := *b
	c.Recent = slices.Clone(b.Recent)
	return &c
}
