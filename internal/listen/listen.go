// Package listen is how conversations come in: the port that each network's connector implements, and the form in which
// what they bring is the same for all networks. A connector asks its network and translates. It stores nothing and decides
// nothing: who calls it stores a batch and the cursor behind it in one transaction, so that whatever is killed in between,
// nothing is lost and nothing comes twice.
package listen

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Connector speaks with a network for one source. It implements at least one of Poller, Streamer and WebhookReceiver. It is used by
// one goroutine at a time, but for Receive, which any number may call, in another process than the others.
type Connector interface {
	// Close lets go of connections.
	Close() error
}

// Poller asks for what is new.
type Poller interface {
	// Poll brings what came after the cursor, at most MaxBatch posts, oldest first where the network allows. With an empty cursor it
	// begins where its settings say, or with what is recent. The error is a *Trouble where the network or the settings are to
	// blame. It ends when ctx does.
	Poll(ctx context.Context, after Cursor) (Page, error)
}

// Page is what a Poll brings.
type Page struct {
	Batch
	// More says that the next page can be asked for at once.
	More bool
	// Wait is for how long the network wants to be left alone; the source's own rhythm counts where that is longer.
	Wait time.Duration
	// Moved is the address to which what is read has moved for ever, for who has to write it into the manifest; "" where it has not. It
	// goes into status: what can hold a secret, such as a query, is left out.
	Moved string
}

// Streamer is told what is new as it comes. A connector that is a Poller as well may be polled whenever no stream is read: both move one
// cursor, each its own part of it. What only a poll of its network can tell, Stream looks for by itself while it reads.
type Streamer interface {
	// Stream hands over what comes after the cursor until ctx ends or the connection breaks. A batch has at most MaxBatch posts and is
	// handed over some tenths of a second after its first post at the latest. When take returns nil the batch is stored. When take fails Stream
	// ends with that error.
	// Where the stream cannot go on from the cursor the first batch has a Gap, unless a Poller of the same connector fills it.
	Stream(ctx context.Context, after Cursor, take Take) error
}

// Apart is a Streamer of something else than what it polls for: it streams also while that cannot be polled for, unless a person has to act, and
// asks for it again while it does. What stands in the way is told by the Trouble of its batches.
type Apart interface {
	Streamer
	// Apart tells that it is.
	Apart()
}

// Take stores a batch with its cursor.
type Take func(ctx context.Context, b Batch) error

// WebhookReceiver is called by its network.
type WebhookReceiver interface {
	// Receive reads a request. It changes nothing but what is in the batch: the response is given once that is stored. A request that the
	// network did not sign gives an error that is ErrSignature, one that cannot be read a *Trouble of kind Malformed.
	// A Response that comes with an error and has a Status is given as it is: it repeats nothing that a stranger wrote.
	// Batches of webhooks have no cursor: a network brings the same twice and in any order.
	Receive(ctx context.Context, r Request) (Batch, Response, error)
}

// Request is what a network posts to a source's address.
type Request struct {
	Method string
	Header http.Header
	Query  map[string][]string
	Body   []byte // at most MaxHook bytes
	At     time.Time
}

// Response is what it is answered. The zero value is 200 without a body.
type Response struct {
	Status      int
	ContentType string
	Body        []byte
}

// Bounds of what connectors bring.
const (
	// MaxBatch is how many posts a batch has at most.
	MaxBatch = 500
	// MaxCursor is how many bytes a cursor has at most.
	MaxCursor = 64 << 10
	// MaxHook is how many bytes a request to a source's address has at most.
	MaxHook = 1 << 20
)

// Cursor is how far a source has been read, as its connector writes it: JSON. Nobody else looks into it.
type Cursor = json.RawMessage

// Batch is what came in.
type Batch struct {
	// Network is the instance on which ids are unique, such as "mastodon:social.example", "bluesky" or "feed:blog.example".
	Network string
	Posts   []Post
	Deleted []Deletion
	// Next is where to go on once this is stored; nil leaves the cursor where it is.
	Next Cursor
	// Gaps are times of which nothing can be known any more.
	Gaps []Gap
	// Trouble is what keeps a part of the source from being read just now, while the rest goes on; nil where nothing does.
	Trouble *Trouble
	// Rejected counts what could not be read, by reason, in words that repeat nothing of it.
	Rejected map[string]int
}

// Empty says that there is nothing to store, not even a cursor.
func (b *Batch) Empty() bool {
	return len(b.Posts) == 0 && len(b.Deleted) == 0 && b.Next == nil && len(b.Gaps) == 0 && len(b.Rejected) == 0
}

// Deletion is something that its author took back: a post, or all of an author's. What is deleted is forgotten.
type Deletion struct {
	PostID   string
	AuthorID string // with an empty PostID: the account is gone, and all it wrote
}

// Gap is a time that was missed.
type Gap struct {
	From, To time.Time // From is zero where it is not known since when
	Reason   string    // in words for people
}

// Options are what a connector is made with.
type Options struct {
	// Source is the source's name, and Settings its type's, as JSON.
	Source   string
	Settings json.RawMessage
	// Credentials are the source's, by key of its Secret.
	Credentials map[string]string
	// Callback is the public address of the source, where its network may post; "" where there is none.
	Callback string
	// Key is the source's own, the same in every process and for ever: what a connector asks a network to sign with, and reads in another
	// process, is derived from it. nil where there is none.
	Key []byte
	// Hooked tells when the source's address last took a request that Receive accepted, in whichever process: by it who polls knows
	// whether it is told anything. nil where nobody knows.
	Hooked func() time.Time
	// Languages are those whose posts are wanted, as two letters; none wants all. A post of unknown language is always wanted. A
	// connector may use them to ask for less; who stores sorts out in any case.
	Languages []string
	// UserAgent names us.
	UserAgent string
	// Client makes HTTP connections: bounded, and to public hosts alone unless the operator allows others. See package fetch.
	Client HTTPClient
	// Dial connects by TCP, by the same rules.
	Dial DialFunc
	// Now is the clock.
	Now func() time.Time
}
