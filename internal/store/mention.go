package store

import (
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// Judged is a post with what is understood of it.
type Judged struct {
	listen.Post
	// Topics are what it is about, whatever source brought it: for which of its sources each counts is found where it is stored.
	Topics []TopicMatch
	// TopicVersion is the version of the topics that it was compared with; 0 where it was compared with none.
	TopicVersion int64
	// Language is what it is written in, as decided: "es", "en", another code, or sentiment.Unknown.
	Language  string
	Sentiment sentiment.Verdict
	Engine    string // which decided
}

// TopicMatch is a topic that a post is about.
type TopicMatch struct {
	Topic   int64
	Terms   []string // that were found, as labels for people
	Sources []string // for which the topic counts, by name; none: all
}

// TakenMentions counts what became of a batch.
type TakenMentions struct {
	Stored    int // had not been seen before
	Revised   int // are newer editions of what was stored
	Seen      int // were stored already, and come by this source for the first time
	Doubled   int // changed nothing: the same edition again, or an older one
	Forgotten int // were deleted
	Refused   int // had been forgotten, or are older than what the source keeps
}
