package match

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Matcher holds compiled topics. It is immutable and safe for many goroutines.
type Matcher struct {
	topics []compiled
	words  *vocabulary
	trie   *trie
	atoms  []atom
	idle   pool
}

// atom is words in a row that terms look for; terms of many topics may look for the same.
type atom struct {
	trigger bool // one of them is of an Any
	owners  []owner
}

// owner is a term, or a member of its Near, that looks for an atom.
type owner struct {
	topic        int32
	list, member uint8
	term         int32
}

// compiled is a topic as posts are judged by it.
type compiled struct {
	name  string
	terms [4][]Term
}

// maxErrors is how many errors are told at once.
const maxErrors = 20

// Compile makes a matcher. The error names each topic and term that cannot be compiled and says how to mend it.
func Compile(topics []Topic) (*Matcher, error) {
	prepare()
	if len(topics) > MaxTopics {
		return nil, fmt.Errorf("%d topics: write at most %d", len(topics), MaxTopics)
	}
	c := &compiler{
		m: &Matcher{trie: newTrie()}, words: map[string][]candidate{}, symbols: map[string]int32{}, atoms: map[string]int32{}, names: map[string]bool{},
	}
	for i := range topics {
		c.topic(i, &topics[i])
	}
	if c.total > MaxTotalTerms {
		c.fail(fmt.Errorf("%d terms in all topics: write at most %d", c.total, MaxTotalTerms))
	}
	if len(c.errs) > maxErrors {
		c.errs = append(c.errs[:maxErrors], fmt.Errorf("and %d errors more", len(c.errs)-maxErrors))
	}
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	c.m.words = newVocabulary(c.words)
	c.m.idle.fill(c.m)
	return c.m, nil
}

type compiler struct {
	m       *Matcher
	words   map[string][]candidate
	symbols map[string]int32
	atoms   map[string]int32
	names   map[string]bool
	total   int
	errs    []error
}

func (c *compiler) fail(err error) { c.errs = append(c.errs, err) }

func (c *compiler) topic(index int, t *Topic) {
	told := fmt.Sprintf("topic %q", clip(t.Name))
	if t.Name == "" {
		told = fmt.Sprintf("topic %d", index+1)
		c.fail(fmt.Errorf("%s has no name: give it one", told))
	}
	if c.names[t.Name] && t.Name != "" {
		c.fail(fmt.Errorf("%s is there twice: give one of them another name", told))
	}
	c.names[t.Name] = true
	if len(t.Any) == 0 {
		c.fail(fmt.Errorf("%s has no terms: write at least one under any", told))
	}
	lists := [4][]Term{t.Any, t.With, t.None, t.Except}
	compiledTopic := compiled{name: t.Name}
	count := len(t.Any) + len(t.With) + len(t.None) + len(t.Except)
	c.total += count
	if count > MaxTerms {
		c.fail(fmt.Errorf("%s has %d terms: write at most %d, or make two topics of it", told, count, MaxTerms))
		return
	}
	if c.total > MaxTotalTerms {
		return
	}
	for list, terms := range lists {
		compiledTopic.terms[list] = slices.Clone(terms)
		for i := range terms {
			if err := c.term(owner{topic: int32(index), list: uint8(list), term: int32(i)}, &terms[i]); err != nil {
				c.fail(fmt.Errorf("%s: %s %d, %s: %w", told, listNames[list], i+1, Label(&terms[i]), err))
			}
		}
	}
	c.m.topics = append(c.m.topics, compiledTopic)
}

// Label names a term for people: phrase "velo ciclismo".
func Label(t *Term) string {
	name, text, count := t.kind()
	switch {
	case count == 0:
		return "an empty term"
	case name == "near":
		return fmt.Sprintf("near %q", clip(strings.Join(t.Near.Words, ", ")))
	}
	return fmt.Sprintf("%s %q", name, clip(text))
}

func clip(s string) string {
	if len(s) <= 60 {
		return s
	}
	i := 57
	for !utf8.RuneStart(s[i]) {
		i--
	}
	return s[:i] + "…"
}

func (c *compiler) term(o owner, t *Term) error {
	name, text, count := t.kind()
	switch {
	case count == 0:
		return errors.New("say what to find: word, phrase, hashtag, account, author, link or near")
	case count > 1:
		return errors.New("it says more than one thing: make a term of each")
	}
	if err := checkOptions(name, t); err != nil {
		return err
	}
	if name != "near" {
		if err := checkText(text); err != nil {
			return err
		}
	}
	switch name {
	case "word", "phrase":
		return c.phrase(o, t, name, text)
	case "near":
		return c.near(o, t)
	case "hashtag":
		return c.hashtag(o, t, text)
	case "link":
		return c.host(o, text)
	}
	return c.account(o, name, text)
}

func checkOptions(name string, t *Term) error {
	if t.Language != "" && t.Language != Spanish && t.Language != English {
		return fmt.Errorf("language %q has no forms here: write es, en, or none", clip(t.Language))
	}
	if t.Letters != Folded && t.Letters != Loose && t.Letters != Strict {
		return fmt.Errorf("letters %q: write Loose (ñ is n), Strict (accents count), or nothing", clip(string(t.Letters)))
	}
	if err := checkForms(t.Forms); err != nil {
		return err
	}
	return checkApplies(name, t)
}

// checkApplies refuses options that mean nothing for what is found.
func checkApplies(name string, t *Term) error {
	inflected := name == "word" || name == "phrase" || name == "near"
	if !inflected && (len(t.Forms) > 0 || t.Language != "") {
		return errors.New("forms and language are of words, phrases and near: leave them out")
	}
	if !inflected && name != "hashtag" && (t.Letters != "" || t.Case) {
		return errors.New("letters and case are of words, phrases, near and hashtags: leave them out")
	}
	return nil
}

func checkForms(forms []Form) error {
	for _, f := range forms {
		if !slices.Contains([]Form{Exact, Plural, Gender, Verb}, f) {
			return fmt.Errorf("forms %q: write Exact, Plural, Gender or Verb", clip(string(f)))
		}
	}
	if slices.Contains(forms, Exact) && len(forms) > 1 {
		return errors.New("forms Exact stands alone: it means no other forms")
	}
	return nil
}

func checkText(text string) error {
	switch {
	case len(text) > MaxTermBytes:
		return fmt.Errorf("it has %d bytes: write at most %d", len(text), MaxTermBytes)
	case !utf8.ValidString(text):
		return errors.New("it is not UTF-8: write it anew")
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("it has a control character or an end of line: take that out")
	}
	return nil
}

// read takes a term's text apart as a post's text is.
func read(name, text string) (*reading, error) {
	var t reading
	(&reader{term: &t}).read(text)
	switch {
	case t.other:
		return nil, errors.New("a # or @ name, a link or an address is no word: write it as hashtag, account or link")
	case len(t.words) == 0:
		return nil, errors.New("there is no letter, digit or emoji in it: write what people write")
	case len(t.words) > MaxWords:
		return nil, fmt.Errorf("it has %d words: write at most %d, or use near", len(t.words), MaxWords)
	case t.breaks:
		return nil, errors.New("a sentence ends in it, and phrases do not go beyond that: make two terms, or use near")
	}
	if name == "word" && slices.Contains(t.glued[1:], false) {
		return nil, errors.New("it has a space: write it as phrase")
	}
	return &t, nil
}
