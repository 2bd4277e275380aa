// Package post is the port over which posts and answers leave for social networks: what a post is, what is known of it after a publisher was
// asked to publish it, and how what is not known is found out. One folder for each network beside it; all pass the suite in posttest.
//
// # At most once
//
// The caller commits an Intent before it asks for Publish. Where the answer is Unknown, or the caller died before there was one, it asks for
// Find and goes by that: what is there is never published again. Find says Untouched only where the network cannot have what it did not
// show, and then Publish may be asked again with the same Intent and what Find found of it.
package post

import (
	"context"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
)

// Visibility is who sees a post, on networks that know more than one answer.
type Visibility string

// The visibilities, the widest first. The zero value is Public.
const (
	Public    Visibility = "Public"
	Unlisted  Visibility = "Unlisted"
	Followers Visibility = "Followers"
	Direct    Visibility = "Direct" // whom it mentions
)

// Narrower is the one of two that fewer people see.
func Narrower(a, b Visibility) Visibility {
	order := map[Visibility]int{Unlisted: 1, Followers: 2, Direct: 3}
	if order[a] >= order[b] && a != "" {
		return a
	}
	if b == "" {
		return Public
	}
	return b
}

// Post is what is to be published: one post, or a thread of several where the author wrote it so. No text is ever split by itself.
type Post struct {
	Parts      []Part
	Language   string // BCP 47; "" where it is not known
	Visibility Visibility
	// Warning stands before what not everybody wants to see; "" for none.
	Warning string
	// ReplyTo is what the first part answers; nil for a post of its own.
	ReplyTo *Target
	// Mentions are who is spoken to. Networks that tell people only of what names them get the names that the first part lacks.
	Mentions []Mention
}

// Part is one post of a thread. Addresses, #tags and @names in its text become links.
type Part struct {
	Text   string
	Images []Image
}

// Image is a picture with what it shows in words.
type Image struct {
	Data []byte
	Alt  string
}

// Target is a post that is answered.
type Target struct {
	ID         string     // as the network names it: a status of our instance, or an at:// address
	Visibility Visibility // an answer is seen by no more people than what it answers
}

// Mention is somebody by name.
type Mention struct {
	Handle string // without @: ana, ana@social.example, ana.bsky.social
	ID     string // the network's own id (a DID), where it is known
}

// Intent is a post that somebody has decided to publish.
type Intent struct {
	// ID is this intent's alone, and the same at every try. What marks the post on the network follows from it.
	ID string
	// At is when the intent was committed: no post of it is older.
	At time.Time
	// Tried is when it was last handed over; zero where it never was.
	Tried time.Time
	Post  Post
	// Posted are the parts of it that are known to be on the network, in order from the first.
	Posted []Reference
	// Taken tells of a native id whether it is known to be another intent's. Nil: none is. Publishers that mark what they publish do not ask.
	Taken func(id string) bool
}

// Reference is a post that is on the network.
type Reference struct {
	ID  string // native: the one by which listeners know it too
	CID string // the content's hash, where the network answers by that
	URL string // where a person reads it
}

// Result is what is known of an intent.
type Result struct {
	// Outcome: Accepted: every part is there. Refused: the network does not take the rest of it, nor ever will as it is. Deferred: the rest is
	// certainly not there, and may be tried again. Untouched: the same, because the channel is in trouble; of Find: it is not there, and may be
	// published. Unknown: Find has to tell; of Find: it cannot tell, now where RetryIn says when to look again, and a person has to
	// look where it does not.
	deliver.Result
	// Posted are the parts that are there, those of the intent among them.
	Posted []Reference
}

// Account is who posts, as the network says.
type Account struct {
	ID     string // the network's own: of Mastodon the instance's number, of Bluesky a DID
	Handle string // as people write it: @velo@mastodon.example, @velo.example
	Takes  Takes
}

// Takes is what a server takes of one post, so that a post which does not fit is told before its time.
type Takes struct {
	Characters int      `json:"characters"`
	PerURL     int      `json:"perURL,omitempty"` // characters that an address counts as; 0: its own
	Images     int      `json:"images"`
	ImageBytes int      `json:"imageBytes"`
	Pixels     int      `json:"pixels,omitempty"` // of an image; 0: no bound
	Alt        int      `json:"alt,omitempty"`    // characters of an image's description
	MIME       []string `json:"mime,omitempty"`
}

// Publisher publishes by one account of a network. It is safe for concurrent use.
type Publisher interface {
	// Account asks the network whose the credentials are, and publishes nothing. The error is a *deliver.Trouble where only a person can mend
	// what is in the way, or nobody answers; what else keeps the network from answering is any error.
	Account(ctx context.Context) (Account, error)
	// Publish publishes what Posted lacks of an intent. The error is a *deliver.Trouble where the channel as a whole is in trouble, and wraps
	// ctx's cause after a cancel. Cancelling ctx ends what the network cannot have taken; what has come further is completed.
	Publish(ctx context.Context, i *Intent) (Result, error)
	// Find looks on the network for what Posted lacks of an intent that was handed over before, and publishes nothing.
	Find(ctx context.Context, i *Intent) (Result, error)
	// Patience is how long a Publish may go on after its ctx has ended: what the slowest server may take for a request that publishes.
	Patience() time.Duration
	// Close ends the connections in use.
	Close() error
}

// Settle is what a failed look-up or a refusal leaves of an intent: what is there stays there.
func Settle(o deliver.Outcome, words string, posted []Reference) Result {
	return Result{Result: deliver.Result{Outcome: o, Reply: words}, Posted: posted}
}
