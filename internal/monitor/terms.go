package monitor

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Text is what somebody wrote, of which terms are taken.
type Text struct {
	Author int64 // whoever has the same number is the same; 0 is all together whom nobody knows
	Text   string
	Names  []string // of the author and of whom it mentions: names and handles, which are never terms
}

// Term is a word or two that more people write than usual.
type Term struct {
	Term     string  `json:"term"` // in lower case, without accents; a hashtag with its #
	Mentions int     `json:"mentions"`
	Authors  int     `json:"authors"`
	Usual    float64 `json:"usual"` // mentions, if it were said as often as before
	Score    float64 `json:"score"` // by how many standard deviations its log-odds are higher
}

// TermOptions say which terms are told. The zero value works.
type TermOptions struct {
	// Authors is how many people have to write a term at least: 3, and never fewer.
	Authors int
	// Limit is how many are told at most: 10.
	Limit int
	// Names are words by which people are called. They are no terms, and neither are names that the texts come with.
	Names []string
}

const (
	// fewestAuthors keeps a term from telling what one person said.
	fewestAuthors = 3
	// clearScore is from which score on a term rises, and not by chance.
	clearScore = 2.5
	// priorTexts is how many texts what is usual for all weighs, against what is found in either pile.
	priorTexts = 50
)

// use is how a term is used in a pile of texts.
type use struct {
	texts   int
	authors map[int64]bool
}

// Rising tells the terms that stand in more of the texts of now than in the usual ones: by their log-odds with a prior of both piles
// together, over its standard deviation (after Monroe, Colaresi and Quinn 2008, "Fightin' words"). Each text counts once for a term.
// Stop words of Spanish and English, handles, addresses, numbers and names of persons are no terms.
func Rising(now, usual []Text, o TermOptions) []Term {
	o.Authors = max(o.Authors, fewestAuthors)
	if o.Limit <= 0 {
		o.Limit = 10
	}
	people := namesOf(o.Names, now)
	spelled := spellings{}
	after, before := count(now, people, spelled), count(usual, people, spelled)
	var terms []Term
	for term, u := range after {
		if len(u.authors) < o.Authors || spelled.proper(term) {
			continue
		}
		was := 0
		if b := before[term]; b != nil {
			was = b.texts
		}
		if score := logOdds(u.texts, len(now), was, len(usual)); score >= clearScore {
			terms = append(terms, Term{
				Term: term, Mentions: u.texts, Authors: len(u.authors), Score: math.Round(score*100) / 100,
				Usual: math.Round(100*float64(was)*float64(len(now))/float64(max(len(usual), 1))) / 100,
			})
		}
	}
	slices.SortFunc(terms, func(a, b Term) int { return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Term, b.Term)) })
	terms = withoutParts(terms)
	return terms[:min(len(terms), o.Limit)]
}

// logOdds is by how many standard deviations a term's log-odds are higher in one pile than in the other.
func logOdds(now, texts, usual, usualTexts int) float64 {
	prior := priorTexts * (float64(now+usual) + 0.5) / (float64(texts+usualTexts) + 1)
	odds := func(n, all int) (value, variance float64) {
		with, without := float64(n)+prior, float64(all-n)+priorTexts-prior
		return math.Log(with / max(without, 0.5)), 1 / with
	}
	a, va := odds(now, texts)
	b, vb := odds(usual, usualTexts)
	return (a - b) / math.Sqrt(va+vb)
}

// withoutParts drops words that are nearly always a part of two words that are told.
func withoutParts(terms []Term) []Term {
	return slices.DeleteFunc(slices.Clone(terms), func(t Term) bool {
		return !strings.Contains(t.Term, " ") && slices.ContainsFunc(terms, func(o Term) bool {
			first, second, two := strings.Cut(o.Term, " ")
			return two && (first == t.Term || second == t.Term) && 5*o.Mentions >= 4*t.Mentions
		})
	})
}

// count finds in how many texts each term stands.
func count(texts []Text, people map[string]bool, spelled spellings) map[string]*use {
	uses := map[string]*use{}
	for i := range texts {
		t := &texts[i]
		seen := map[string]bool{}
		for _, term := range termsOf(t.Text, people, spelled) {
			if seen[term] {
				continue
			}
			seen[term] = true
			u := uses[term]
			if u == nil {
				u = &use{authors: map[int64]bool{}}
				uses[term] = u
			}
			u.texts++
			u.authors[t.Author] = true
		}
	}
	return uses
}

// namesOf are the words by which people are called, in the texts of now and besides.
func namesOf(names []string, texts []Text) map[string]bool {
	people := map[string]bool{}
	add := func(name string) {
		for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return !isWordRune(r) }) {
			if word = foldWord(word); len(word) > 1 {
				people[word] = true
			}
		}
	}
	for _, name := range names {
		add(name)
	}
	for i := range texts {
		for _, name := range texts[i].Names {
			add(name)
		}
	}
	return people
}

// spelling is how a word is written inside of sentences and at their beginning.
type spelling struct{ inside, insideCapital, capital, lower int }

type spellings map[string]spelling

func (s spellings) note(word string, begins, capital, lower bool) {
	w := s[word]
	if capital {
		w.capital++
	}
	if lower {
		w.lower++
	}
	if !begins && (capital || lower) {
		w.inside++
		if capital {
			w.insideCapital++
		}
	}
	s[word] = w
}

// proper tells whether a term has a word that is written as names are: with a capital inside of sentences, or nowhere without one.
func (s spellings) proper(term string) bool {
	for word := range strings.SplitSeq(term, " ") {
		w := s[word]
		if w.inside >= 2 && 2*w.insideCapital >= w.inside || w.capital > 0 && w.lower == 0 {
			return true
		}
	}
	return false
}
