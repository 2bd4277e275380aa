package v1alpha1

// TermForm is a kind of forms that words have.
// +kubebuilder:validation:Enum=Exact;Plural;Gender;Verb
type TermForm string

// The forms.
const (
	ExactForm  TermForm = "Exact"  // the word as it is written, alone
	PluralForm TermForm = "Plural" // bici, bicis
	GenderForm TermForm = "Gender" // roto, rota
	VerbForm   TermForm = "Verb"   // romper, rompe, rompieron
)

// TermLetters says what is the same letter.
// +kubebuilder:validation:Enum=Loose;Strict
type TermLetters string

// How letters are compared. Without either, accents do not count, but ñ is not n.
const (
	LooseLetters  TermLetters = "Loose"  // ñ is n too
	StrictLetters TermLetters = "Strict" // accents count
)

// LanguageCode is a language in two letters, such as es.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=2
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]{2}$')",message="must be a language in two lower-case letters (ISO 639-1), such as es"
type LanguageCode string

// TopicNear is words and phrases that stand close together.
type TopicNear struct {
	// Words are two to five words or phrases.
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=200
	// +listType=atomic
	Words []string `json:"words"`
	// Within is how many words after the first the last of them begins at most.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	Within int32 `json:"within"`
	// Ordered wants them in the order in which they are written. Default: false.
	// +optional
	Ordered bool `json:"ordered,omitempty"`
}

// TopicTerm is something to find in a post, and how it is compared. Accounts are those of brands and organisations: the handle of a
// private person belongs in no manifest.
// +kubebuilder:validation:XValidation:rule="[has(self.word), has(self.phrase), has(self.hashtag), has(self.account), has(self.author), has(self.link), has(self.near)].filter(given, given).size() == 1",message="a term is one of word, phrase, hashtag, account, author, link and near: write one, and the others as terms of their own"
type TopicTerm struct {
	// Word is a word in its basic form, or an emoji. A hyphen or a full stop inside stands for itself, a space, or nothing.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Word string `json:"word,omitempty"`
	// Phrase is words in a row, within a sentence. A hashtag may hold them without spaces.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Phrase string `json:"phrase,omitempty"`
	// Hashtag is a whole hashtag, with or without #.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Hashtag string `json:"hashtag,omitempty"`
	// Account is somebody who is mentioned: @velo for that name on any host, or @velo@mastodon.example.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Account string `json:"account,omitempty"`
	// Author is somebody who wrote the post, written as an account.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Author string `json:"author,omitempty"`
	// Link is a host to which the post links, with all below it: velo.example holds shop.velo.example.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Link string `json:"link,omitempty"`
	// Near is words and phrases that stand close together.
	// +optional
	Near *TopicNear `json:"near,omitempty"`

	// Forms are the forms of a word that are found besides the basic one: Plural (bici, bicis), Gender (roto, rota), Verb (romper,
	// rompe, rompieron); Exact alone finds the word as it is written. Default: Plural.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	// +listType=set
	Forms []TermForm `json:"forms,omitempty"`
	// Language limits forms to those of es or en. Default: both.
	// +optional
	// +kubebuilder:validation:Enum=es;en
	Language string `json:"language,omitempty"`
	// Letters says what is the same letter: Loose takes ñ for n, and Strict compares accents too. Default: accents do not count, but
	// ñ is not n.
	// +optional
	Letters TermLetters `json:"letters,omitempty"`
	// Case finds only what has the same capitals: SEAT, and not seat. Default: false.
	// +optional
	Case bool `json:"case,omitempty"`
}
