// Package match finds topics in posts: words in their forms, phrases, accounts, authors, hashtags, links, words near one
// another, and what excludes them. All topics of a tenant are compiled into one immutable Matcher, which reads a post once,
// whatever their number, and says which terms it found and where.
//
// A post's text is read as words (token.go says what a word is). Each is folded (fold.go) and looked up among the forms
// (forms.go) of all terms' words; what is found walks a trie of phrases, all of its suffixes at once, as the automaton of
// Aho and Corasick does with letters. A word that no term has, as most are, costs one look at a filter of bits.
package match

// Topic is what somebody wants to hear about. A post is about it when at least one term of Any is found, and one of With if
// there are any, and none of None. What is found inside of an Except does not count.
type Topic struct {
	// Name tells topics apart, in errors and in what was found.
	Name string `json:"name"`
	// Any are the terms of which one is enough.
	Any []Term `json:"any"`
	// With are terms of which one has to be there too: what a name that means many things is talked of with.
	With []Term `json:"with,omitempty"`
	// None are terms that must not be there.
	None []Term `json:"none,omitempty"`
	// Except are phrases in which words do not count: «velo de novia» for the brand Velo.
	Except []Term `json:"except,omitempty"`
}

// Term is something to find: one of Word, Phrase, Hashtag, Account, Author, Link and Near, and how it is compared.
type Term struct {
	// Word is a word in its basic form, or an emoji. A hyphen or a full stop inside stands for itself, a space, or nothing.
	Word string `json:"word,omitempty"`
	// Phrase is words in a row, within a sentence; a hashtag may hold them without spaces.
	Phrase string `json:"phrase,omitempty"`
	// Hashtag is a whole hashtag, with or without #.
	Hashtag string `json:"hashtag,omitempty"`
	// Account is somebody who is mentioned: name, name@host, or an identifier of the network. A name without a host is that
	// name on any host.
	Account string `json:"account,omitempty"`
	// Author is somebody who wrote the post, written as an Account.
	Author string `json:"author,omitempty"`
	// Link is a host to which the post links, with all below it: velo.example holds shop.velo.example.
	Link string `json:"link,omitempty"`
	// Near is words and phrases that stand close together.
	Near *Near `json:"near,omitempty"`

	// Forms are the forms of a word besides the basic one (default: Plural). Exact finds the word as it is written alone.
	Forms []Form `json:"forms,omitempty"`
	// Language limits forms to those of "es" or "en" (default: both).
	Language string `json:"language,omitempty"`
	// Letters says what is the same letter (default: accents do not count, but ñ is not n).
	Letters Letters `json:"letters,omitempty"`
	// Case, when true, finds only what has the same capitals: SEAT, and not seat.
	Case bool `json:"case,omitempty"`
}

// Near is words and phrases of which the last begins at most Within words after the first.
type Near struct {
	Words []string `json:"words"`
	// Within is a number of words, from 1 to MaxWithin.
	Within int `json:"within"`
	// Ordered, when true, wants them in the order in which they are written.
	Ordered bool `json:"ordered,omitempty"`
}

// Form is a kind of forms that words have.
type Form string

// The forms. Which they are, forms_es.go and forms_en.go tell.
const (
	Exact  Form = "Exact"
	Plural Form = "Plural"
	Gender Form = "Gender"
	Verb   Form = "Verb"
)

// Letters says what is the same letter.
type Letters string

// How letters are compared. Case is a matter of its own.
const (
	// Folded ignores accents: camión is camion, pingüino is pinguino. But ñ is a letter of its own: año is not ano.
	Folded Letters = ""
	// Loose ignores the tilde of ñ too, for what people write on keyboards without it: espana.
	Loose Letters = "Loose"
	// Strict compares accents too: papá is not papa.
	Strict Letters = "Strict"
)

// What is too much. Topics come from manifests, texts from strangers.
const (
	MaxTopics     = 5_000
	MaxTerms      = 1_000  // of a topic
	MaxTotalTerms = 50_000 // of all topics
	MaxTermBytes  = 200
	MaxWords      = 12 // of a phrase
	MaxNear       = 5  // members of a Near
	MaxWithin     = 50
	// MaxText is how many bytes of a text are read. What comes after is not looked at.
	MaxText = 64 << 10
	// MaxItems is how many hashtags, mentions, links and names of the author are looked at, each.
	MaxItems = 64
	// MaxHits is how many places of one term are told.
	MaxHits = 16
)

// The lists of a topic.
const (
	ListAny = iota
	ListWith
	ListNone
	ListExcept
)

var listNames = [...]string{"any", "with", "none", "except"}

// kind is which of its fields a term has, and its text.
func (t *Term) kind() (name, text string, count int) {
	for _, f := range [...]struct{ name, text string }{
		{"word", t.Word}, {"phrase", t.Phrase}, {"hashtag", t.Hashtag}, {"account", t.Account}, {"author", t.Author}, {"link", t.Link},
	} {
		if f.text != "" {
			name, text, count = f.name, f.text, count+1
		}
	}
	if t.Near != nil {
		name, text, count = "near", "", count+1
	}
	return name, text, count
}
