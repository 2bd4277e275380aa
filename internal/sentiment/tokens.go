package sentiment

// Token is a word or a sign of a text, for engines that learn from posts what the lists do not know.
type Token struct {
	Text     string // folded as the lists are: lower case, without accents; a sign as it stands
	Sign     bool   // an emoji or an emoticon that the lists know
	Negation bool   // a word that turns what follows
	Clause   int
}

// Tokens takes a text apart as Of does, up to so many tokens: accounts and links are none. The language says which words are negations.
func (l *Lexicon) Tokens(text, language string, most int) []Token {
	scanned := scan(text, l.signs)
	vocabulary := l.vocabularies[language]
	tokens := make([]Token, 0, min(len(scanned.tokens), most))
	for i := range scanned.tokens[:min(len(scanned.tokens), most)] {
		t := &scanned.tokens[i]
		tokens = append(tokens, Token{
			Text: t.text, Sign: t.sign != nil, Clause: t.clause,
			Negation: t.sign == nil && vocabulary != nil && vocabulary.negates(t.text),
		})
	}
	return tokens
}
