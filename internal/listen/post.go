package listen

import "time"

// Kind is what a post is to others.
type Kind string

// The kinds of posts.
const (
	Original Kind = "Post"
	Reply    Kind = "Reply"
	Repost   Kind = "Repost" // without words of its own
	Quote    Kind = "Quote"  // with words of its own
	Review   Kind = "Review"
	Message  Kind = "Message" // a mail, a chat, a call: to us and not to the public
	Article  Kind = "Article" // of a blog or a newspaper
)

// Visibility is who may read a post.
type Visibility string

// The visibilities.
const (
	Public   Visibility = "Public"
	Unlisted Visibility = "Unlisted" // public, and not to be spread
	Private  Visibility = "Private"  // to us, or to followers
)

// Post is something that somebody wrote, as all networks have it. Strings are UTF-8 once Normalize has seen it.
type Post struct {
	// ID is the network's, unique in the batch's Network for ever.
	ID   string
	Kind Kind
	// URL is where people read it; "" where there is none.
	URL    string
	Author Account
	// CreatedAt is when it was written, as the network says.
	CreatedAt time.Time
	// Revision tells editions of a post apart; "" for networks without edits. Of two the one with the later EditedAt counts, and of those
	// that came at one time the last to arrive. EditedAt is zero for the first.
	Revision string
	EditedAt time.Time

	Title string
	Text  string // plain: see PlainText
	// Language is what the network or the author says it is written in (BCP 47); "" where they do not.
	Language   string
	Visibility Visibility

	// Thread is the id of the post that began the conversation, Parent of the one that it answers, Subject of the one that is reposted
	// or quoted; "" where there is none or it is not known. They may never have come in.
	Thread, Parent, Subject string

	// Tags are hashtags without #. Mentions are accounts that it names, with the author of Parent and Subject where the network tells.
	Tags     []string
	Mentions []Account
	Links    []string
	Media    []Media

	// Engagement is what the network counted when it was read; nil where it does not say.
	Engagement *Engagement
	// Rating is of reviews.
	Rating *Rating
}

// Account is who writes on a network.
type Account struct {
	// ID is the network's, which does not change: an actor's URI, a DID, an address of a mailbox, a number. "" for somebody whom the network
	// does not name.
	ID string
	// Identifier is the same as an identifier of people, of a type of package identity ("mastodon", "bluesky", "email", "phone", …), where it is
	// one; the zero value otherwise.
	Identifier Identifier
	Handle     string // as people write it, without a leading @: ana@social.example
	Name       string
	URL        string
	// Followers and CreatedAt are nil and zero where the network does not say.
	Followers *int64
	CreatedAt time.Time
	Bot       bool
}

// Identifier is what somebody is known by across sources.
type Identifier struct{ Type, Value string }

// Media is a picture, a video or a sound. It is a link: we do not copy it.
type Media struct {
	Type        MediaType
	URL         string
	Description string // in words, by the author
}

// MediaType is what a Media is.
type MediaType string

// The types of media.
const (
	Image MediaType = "Image"
	Video MediaType = "Video"
	Audio MediaType = "Audio"
	Other MediaType = "Other"
)

// Engagement is what others did with a post.
type Engagement struct{ Likes, Reposts, Replies, Views int64 }

// Rating is the stars of a review: Value of Best, such as 4 of 5.
type Rating struct{ Value, Best float64 }
