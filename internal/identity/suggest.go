package identity

import (
	"math"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Agreement tells whether two people have the same of something. The zero value says that it is not known of one of them.
type Agreement string

// The kinds of agreement.
const (
	NotKnown Agreement = ""
	Agrees   Agreement = "same"
	Differs  Agreement = "other"
)

// Comparison is what two contacts have in common and what not, without any of it.
type Comparison struct {
	Name NameComparison
	// Shared are the identifiers that both have, though not verified as both's.
	Shared []SharedIdentifier
	// Called are the addresses and accounts of theirs that are called the same elsewhere.
	Called CalledAlike
	// PlacesKnown counts the attributes of a place that both have, and PlacesSame those that are the same.
	PlacesKnown, PlacesSame int
	Birthday, Language      Agreement
	// OneSource tells that a source knows them by two ids.
	OneSource bool
}

// NameComparison compares two names word by word, in any order, a familiar form counting as the name.
type NameComparison struct {
	// Words counts those that both have, and RestA and RestB those that only one has; all are 0 where a name is not known.
	Words, RestA, RestB int
	// Known tells that both names are.
	Known bool
	// Likeness, from 0 to 1, is how much the rests look alike.
	Likeness float64
	// Initial tells that a rest holds the initial of what the other spells out.
	Initial bool
	// Common tells that each rest holds a word that is others' too: then it is a name of its own and no mistake in writing.
	Common bool
	// Holders is how many have the name, or the more frequent of the two.
	Holders int
}

// SharedIdentifier is one that both have.
type SharedIdentifier struct {
	Type    string
	Holders int
}

// CalledAlike tells of the part of an e-mail address before its @, and of names on networks.
type CalledAlike struct {
	// Kind is addresses, accounts or both, or "" where nothing is called the same.
	Kind string
	// Holders is how many have an address or an account of this name.
	Holders int
	// Named tells that it says no more than the person's name does.
	Named bool
}

// Reason is one thing that speaks for two contacts' being one person, or against it.
type Reason struct {
	Signal string `json:"signal"` // name, email, phone, …, called, place, birthday, language, source
	Level  string `json:"level"`
	// Bits is by how much it makes it more or less likely: one more doubles the odds.
	Bits float64 `json:"bits"`
}

// Suggested is the least score of what is put before people.
const Suggested = 0.5

// MostHolders bounds what counts as telling: what more have than this tells nothing, and nobody is looked for by it.
const MostHolders = 50

// The weights, in bits: the binary logarithm of how much more often something is found between two records of one person than between
// records of two. They add up, as Fellegi and Sunter (1969) have it.
const (
	prior = -5.0 // of two who share a key

	nameSame      = 5.0
	nameContained = 4.0 // all words of the shorter, two at least
	nameLike      = 2.0 // and twice the likeness of what differs
	nameInitial   = 2.0
	nameOneWord   = 1.0  // in common, and nothing else is there to compare
	nameFamily    = -5.0 // a word in common, and others that are names of their own
	nameOther     = -6.0

	calledSame      = 5.0
	calledElsewhere = 4.0 // an address and an account

	placeSame, placePartly, placeOther = 2.0, 1.0, -1.5
	birthdaySame, birthdayOther        = 7.0, -7.0
	languageSame, languageOther        = 0.5, -1.0
	oneSource                          = -1.0

	leastLikeness = 0.3
)

var sharedBits = map[string]float64{crm.EmailIdentifier: 6, crm.PhoneIdentifier: 5, Handle: 6, Mastodon: 7, Bluesky: 7}

// Weigh says how likely two contacts are one person, from 0 to 1, and why, what weighs most first. What many have weighs less: of a name, an
// address or an account that n others have, the binary logarithm of n is taken off.
func Weigh(c Comparison) (score float64, reasons []Reason) {
	add := func(signal, level string, bits float64) {
		if bits = math.Round(bits*10) / 10; level != "" {
			reasons = append(reasons, Reason{Signal: signal, Level: level, Bits: bits})
		}
	}
	level, bits := c.Name.weigh()
	add("name", level, bits)
	for _, s := range c.Shared {
		add(s.Type, "shared", sharedBits[s.Type]-rarity(s.Holders-1))
	}
	level, bits = c.Called.weigh()
	add("called", level, bits)
	level, bits = c.weighPlace()
	add("place", level, bits)
	add("birthday", string(c.Birthday), choose(c.Birthday, birthdaySame, birthdayOther))
	add("language", string(c.Language), choose(c.Language, languageSame, languageOther))
	if c.OneSource {
		add("source", "two ids of one", oneSource)
	}
	total := prior
	for _, r := range reasons {
		total += r.Bits
	}
	slices.SortStableFunc(reasons, func(a, b Reason) int {
		switch x, y := math.Abs(a.Bits), math.Abs(b.Bits); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return strings.Compare(a.Signal, b.Signal)
	})
	return math.Round(1000/(1+math.Exp2(-total))) / 1000, reasons
}

// rarity is what is taken off for others who have the same.
func rarity(others int) float64 { return math.Log2(float64(max(1, others))) }

func choose(a Agreement, same, other float64) float64 {
	if a == Agrees {
		return same
	}
	return other
}

func (n NameComparison) weigh() (level string, bits float64) {
	others := rarity(n.Holders - 1)
	like := n.Likeness >= leastLikeness && !n.Common
	switch {
	case !n.Known:
		return "", 0
	case n.RestA == 0 && n.RestB == 0 && n.Words > 1:
		return "same", nameSame - others
	case n.RestA == 0 || n.RestB == 0:
		if n.Words > 1 {
			return "contained", nameContained - rarity(n.Holders)
		}
		return "one word", nameOneWord - others
	case n.Words > 0 && n.Initial:
		return "initial", nameInitial - rarity(n.Holders)
	case like && (n.Words > 0 || n.Likeness > 0.5):
		return "alike", nameLike + 2*n.Likeness - rarity(n.Holders)
	case n.Words > 0:
		return "family", nameFamily
	}
	return "other", nameOther
}

func (c CalledAlike) weigh() (level string, bits float64) {
	switch c.Kind {
	case "":
		return "", 0
	case "both":
		bits = calledElsewhere
	default:
		bits = calledSame
	}
	if c.Named {
		bits /= 2
	}
	return c.Kind, bits - rarity(c.Holders-1)
}

func (c Comparison) weighPlace() (level string, bits float64) {
	switch {
	case c.PlacesKnown == 0:
		return "", 0
	case c.PlacesSame == c.PlacesKnown:
		return "same", placeSame
	case c.PlacesSame > 0:
		return "partly", placePartly
	}
	return "other", placeOther
}
