package service

import (
	"slices"
	"time"
)

// Medium is how messages of a network belong together.
type Medium string

// The media.
const (
	Mail Medium = "Mail" // by the ids of the messages that a mail answers
	Post Medium = "Post" // by threads that many people may write in
	Chat Medium = "Chat" // by whom one speaks with: chats, short messages, calls
)

// Inbound is a message from outside, as far as it tells where it belongs. Ids are those of its network.
type Inbound struct {
	Medium  Medium
	Network string // the network with its instance, or the mailbox: in it, ids are unique
	Author  string // who wrote it; "" where the network does not say
	ID      string
	// Thread is the message that began it all and Parent the one that is answered; "" where they are not known.
	Thread, Parent string
	// References are the messages that a mail names as those before it, the oldest first (RFC 5322, 3.6.4).
	References []string
	Subject    string // of a mail
	Chat       string // of a Chat: its id or the telephone number; "" for the author's
	At         time.Time
}

// KeyKind is what a key is.
type KeyKind string

// The kinds of keys, the strongest first.
const (
	KeyMessage KeyKind = "message" // a message by its id
	KeyThread  KeyKind = "thread"  // a thread, of one author
	KeyChat    KeyKind = "chat"    // whom one speaks with
	KeySubject KeyKind = "subject" // what a mail is about, of one author
)

// Key is something by which a conversation is found. It may name a person and stays in the database.
type Key struct {
	Kind    KeyKind
	Network string
	Author  string // of KeyThread and KeySubject
	Value   string
}

// maxKeys is how many messages that a mail names are looked for: the nearest ones, which are the last.
const maxKeys = 50

// Keys are what the message's conversation may be found by, the strongest first. They are at most some fifty, whatever the message says.
func (in Inbound) Keys() []Key {
	var keys []Key
	add := func(kind KeyKind, author, value string) {
		key := Key{Kind: kind, Network: in.Network, Author: author, Value: value}
		if value != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if in.Medium == Chat {
		add(KeyChat, "", in.chat())
		return keys
	}
	add(KeyMessage, "", in.Parent)
	for _, id := range slices.Backward(in.References) {
		if len(keys) == maxKeys {
			break
		}
		add(KeyMessage, "", id)
	}
	if in.Author == "" {
		return keys
	}
	add(KeyThread, in.Author, in.root())
	if about, reply := Subject(in.Subject); in.Medium == Mail && reply && telling(about) {
		add(KeySubject, in.Author, about)
	}
	return keys
}

// Leaves are the keys under which later messages find the conversation that this one belongs to.
func (in Inbound) Leaves() []Key {
	if in.Medium == Chat {
		return in.Keys()
	}
	var keys []Key
	if in.ID != "" {
		keys = append(keys, Sent(in.Network, in.ID))
	}
	if in.Author == "" {
		return keys
	}
	if root := in.root(); root != "" {
		keys = append(keys, Key{Kind: KeyThread, Network: in.Network, Author: in.Author, Value: root})
	}
	if about, _ := Subject(in.Subject); in.Medium == Mail && telling(about) {
		keys = append(keys, Key{Kind: KeySubject, Network: in.Network, Author: in.Author, Value: about})
	}
	return keys
}

// Sent is the key that a message of ours leaves.
func Sent(network, id string) Key {
	return Key{Kind: KeyMessage, Network: network, Value: id}
}

// root is the message that began the thread: itself, where it answers none.
func (in Inbound) root() string {
	switch {
	case in.Thread != "":
		return in.Thread
	case len(in.References) > 0:
		return in.References[0]
	case in.Parent != "":
		return in.Parent
	}
	return in.ID
}

func (in Inbound) chat() string {
	if in.Chat != "" {
		return in.Chat
	}
	return in.Author
}

// Candidate is a conversation that was found by a key.
type Candidate struct {
	ID       int64
	Key      Key
	Author   string // whom it is with
	State    ConversationState
	ClosedAt time.Time
	LastAt   time.Time // of its last message of either side
}

// Placement is where a message belongs.
type Placement struct {
	Conversation int64 // 0: it begins a new one
	Reopens      bool  // a closed one
	// Follows is the conversation after which a new one begins, because that one ended too long ago; 0 for none.
	Follows int64
	By      KeyKind // what it was found by; "" for nothing
	// Stranger tells that another one wrote than those whom the conversation is with, as a colleague in copy does. Nothing proves who they are.
	Stranger bool
}

// Place says which of the conversations that were found by the message's keys it belongs to. The order in which they were found is of no matter.
//
// A mail belongs to whatever it names, also where somebody else answers it. A post belongs to its author's own conversation: in a thread under
// what we publish many people write, each for themselves.
func Place(in Inbound, found []Candidate, bounds Bounds) Placement {
	for _, key := range in.Keys() {
		best := Candidate{}
		for _, c := range found {
			if c.Key == key && in.fits(c, bounds) && (best.ID == 0 || c.before(best)) {
				best = c
			}
		}
		if best.ID != 0 {
			return in.join(best, bounds)
		}
	}
	return Placement{}
}

// fits tells whether a conversation may be the message's at all.
func (in Inbound) fits(c Candidate, bounds Bounds) bool {
	switch {
	case c.Key.Kind == KeySubject:
		return in.At.Sub(c.LastAt) <= bounds.SubjectWithin && (c.State != ConversationClosed || in.recent(c, bounds))
	case in.Medium == Post:
		return in.Author != "" && c.Author == in.Author
	}
	return true
}

func (in Inbound) recent(c Candidate, bounds Bounds) bool {
	return in.At.Sub(c.ClosedAt) <= bounds.ReopenWithin
}

// before orders conversations that were found by the same key: what goes on before what is over, then the latest.
func (c Candidate) before(o Candidate) bool {
	if over := c.State == ConversationClosed; over != (o.State == ConversationClosed) {
		return !over
	}
	if !c.LastAt.Equal(o.LastAt) {
		return c.LastAt.After(o.LastAt)
	}
	return c.ID > o.ID
}

func (in Inbound) join(c Candidate, bounds Bounds) Placement {
	p := Placement{Conversation: c.ID, By: c.Key.Kind, Stranger: in.Author != c.Author}
	switch {
	case c.State == ConversationClosed && in.recent(c, bounds):
		p.Reopens = true
	case c.State == ConversationClosed,
		c.Key.Kind == KeyChat && c.State == ConversationWaiting && in.At.Sub(c.LastAt) > bounds.IdleAfter:
		return Placement{Follows: c.ID, By: c.Key.Kind, Stranger: p.Stranger}
	}
	return p
}
