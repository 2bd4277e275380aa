package match

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// phrase compiles words in a row: as they are, with what is joined by hyphens and the like in one, and all in one hashtag.
func (c *compiler) phrase(o owner, t *Term, name, text string) error {
	words, err := read(name, text)
	if err != nil {
		return err
	}
	forms := t.Forms
	if len(forms) == 0 {
		forms = []Form{Plural}
	}
	rule := folding{letters: t.Letters, keepCase: t.Case}
	spec := fmt.Sprintf("%s|%v|%s|%s|%t|%q%v", name, forms, t.Language, t.Letters, t.Case, words.words, words.glued)
	id, known := c.atom(spec, o)
	if known {
		return nil
	}
	symbols := make([]int32, 0, len(words.words))
	for _, word := range words.words {
		symbols = append(symbols, c.symbol(word, forms, t.Language, rule))
	}
	c.m.trie.add(symbols, id)
	if joined := join(words); len(joined) < len(words.words) {
		symbols = symbols[:0]
		for _, word := range joined {
			symbols = append(symbols, c.symbol(word, forms, t.Language, rule))
		}
		c.m.trie.add(symbols, id)
	}
	if len(words.words) > 1 {
		c.m.trie.add([]int32{c.tagSymbol(strings.Join(words.words, ""), rule)}, id)
	}
	return nil
}

// join puts words of letters together that only punctuation parts: e-bike is ebike.
func join(t *reading) []string {
	var joined []string
	for i, word := range t.words {
		if i > 0 && t.glued[i] && wordAt(word, 0) && endsInWord(t.words[i-1]) {
			joined[len(joined)-1] += word
			continue
		}
		joined = append(joined, word)
	}
	return joined
}

func endsInWord(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return classOf(r) == classWord
}

// atom numbers words in a row, and tells whether they had a number already.
func (c *compiler) atom(spec string, o owner) (id int32, known bool) {
	id, known = c.atoms[spec]
	if !known {
		id = int32(len(c.m.atoms))
		c.atoms[spec] = id
		c.m.atoms = append(c.m.atoms, atom{})
	}
	a := &c.m.atoms[id]
	a.owners = append(a.owners, o)
	a.trigger = a.trigger || o.list == ListAny
	return id, known
}

// symbol numbers a word with its forms, and writes them into the vocabulary.
func (c *compiler) symbol(word string, forms []Form, language string, rule folding) int32 {
	spec := fmt.Sprintf("%s|%v|%s|%s|%t", word, forms, language, rule.letters, rule.keepCase)
	symbol, known := c.symbols[spec]
	if known {
		return symbol
	}
	symbol = c.newSymbol(spec)
	written := []string{word}
	if !slices.Contains(forms, Exact) {
		written = appendForms(written, word, forms, language)
	}
	for _, form := range written {
		c.write(string(appendFolded(nil, form, loosest)), candidate{symbol: symbol, form: appendFolded(nil, form, rule), folding: rule})
	}
	return symbol
}

func (c *compiler) newSymbol(spec string) int32 {
	symbol := int32(len(c.symbols))
	c.symbols[spec] = symbol
	for len(c.m.trie.first) <= int(symbol) {
		c.m.trie.first = append(c.m.trie.first, 0)
	}
	return symbol
}

// write adds a candidate of a key, once.
func (c *compiler) write(key string, new candidate) {
	for _, old := range c.words[key] {
		if old.symbol == new.symbol && string(old.form) == string(new.form) {
			return
		}
	}
	c.words[key] = append(c.words[key], new)
}

// tagSymbol numbers a whole hashtag.
func (c *compiler) tagSymbol(name string, rule folding) int32 {
	spec := fmt.Sprintf("#%s|%s|%t", name, rule.letters, rule.keepCase)
	symbol, known := c.symbols[spec]
	if known {
		return symbol
	}
	symbol = c.newSymbol(spec)
	c.write(string(appendFolded([]byte{prefixTag}, name, loosest)), candidate{symbol: symbol, form: appendFolded(nil, name, rule), folding: rule})
	return symbol
}

func (c *compiler) hashtag(o owner, t *Term, text string) error {
	name := strings.TrimPrefix(strings.TrimPrefix(text, "#"), "＃")
	for i := 0; i < len(name); {
		class, size := classAt(name, i)
		if class != classWord && class != classSingle && class != classIgnorable && name[i] != '_' {
			return errors.New("a hashtag has letters, digits and _ only: leave the rest out")
		}
		i += size
	}
	if len(appendFolded(nil, name, loosest)) == 0 {
		return errors.New("there is no letter or digit in it: write the hashtag's name")
	}
	id, known := c.atom(fmt.Sprintf("#%s|%s|%t", name, t.Letters, t.Case), o)
	if !known {
		c.m.trie.add([]int32{c.tagSymbol(name, folding{letters: t.Letters, keepCase: t.Case})}, id)
	}
	return nil
}

// account compiles who is mentioned, or who wrote.
func (c *compiler) account(o owner, kind, text string) error {
	name := strings.ToLower(strings.TrimPrefix(text, "@"))
	if name == "" || strings.ContainsAny(name, " \t<>\"") {
		return errors.New("write the name of an account, as in @velo or @velo@mastodon.example")
	}
	if strings.HasSuffix(name, "@") || strings.HasPrefix(name, "@") {
		return errors.New("a name or a host is missing: write @name, or @name@host")
	}
	prefix := string(rune(prefixAccount))
	if kind == "author" {
		prefix = string(rune(prefixAuthor))
	}
	c.opaque(o, prefix+name)
	return nil
}

func (c *compiler) host(o owner, text string) error {
	host := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(text), "https://"), "http://"))
	host = strings.TrimSuffix(strings.TrimPrefix(host, "www."), "/")
	if nameEnd(host, 0) != len(host) || !strings.Contains(host, ".") || strings.HasPrefix(host, ".") {
		return errors.New("write a host alone, as in velo.example")
	}
	c.opaque(o, string(rune(prefixLink))+host)
	return nil
}

// opaque compiles what is compared as it is.
func (c *compiler) opaque(o owner, key string) {
	id, known := c.atom(key, o)
	if known {
		return
	}
	symbol := c.newSymbol(key)
	c.write(key, candidate{symbol: symbol})
	c.m.trie.add([]int32{symbol}, id)
}

func (c *compiler) near(o owner, t *Term) error {
	n := t.Near
	switch {
	case o.list == ListExcept:
		return errors.New("except takes words and phrases: near is for any, with and none")
	case len(n.Words) < 2 || len(n.Words) > MaxNear:
		return fmt.Errorf("near has %d words: write 2 to %d", len(n.Words), MaxNear)
	case n.Within < 1 || n.Within > MaxWithin:
		return fmt.Errorf("within is %d words: write 1 to %d", n.Within, MaxWithin)
	}
	for i, text := range n.Words {
		o.member = uint8(i)
		err := checkText(text)
		if err == nil {
			err = c.phrase(o, t, "phrase", text)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", clip(text), err)
		}
	}
	return nil
}
