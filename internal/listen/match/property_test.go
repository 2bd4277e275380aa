package match

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// pieces are what texts and terms of the property are made of: few, so that they meet.
var (
	plainWords = strings.Fields("velo velos Velo VELO vela camión camion camiones an\u0303o año ano Año ebike bikes e bike m h hm loreal oréal compro compró comprar " +
		"comprado 𝗩𝗲𝗹𝗼 Velo2 2027 no 👍 👍🏽 🚲 東 京 ve\u00ADlo SEAT seat l s d noVelo VeloAño SEATVelo VeloS velo_no")
	between     = []string{" ", " ", " ", " ", "", "-", "_", "'", "’", ".", ". ", ", ", "! ", "\n", "\n\n", " #", " #", " @", "@", "&", "+", "#", "…", " https://", " www.", "/", ".example", "__"}
	termWords   = strings.Fields("velo Velo camión año ano e-bike H&M L'Oréal comprar SEAT 👍 東京 ve\u00ADlo C# m h bike velo-2 Velo+ no d'ano")
	termPhrases = []string{"velo s", "no velo no", "camión no", "velo camión", "no velo", "e-bike velo", "año ano año", "velo velo", "👍 velo", "velo 2027", "h m", "東 velo", "l'oréal no"}
)

func drawText(t *rapid.T) string {
	var b strings.Builder
	for range rapid.IntRange(0, 14).Draw(t, "words") {
		b.WriteString(rapid.SampledFrom(between).Draw(t, "between"))
		b.WriteString(rapid.SampledFrom(plainWords).Draw(t, "word"))
	}
	b.WriteString(rapid.SampledFrom([]string{"", ".", " ", "!", "@", "#", "-"}).Draw(t, "end"))
	return b.String()
}

func drawTerm(t *rapid.T, list int) Term {
	kinds := []string{"word", "word", "phrase", "phrase", "hashtag", "account", "link", "near", "near"}
	if list == ListExcept {
		kinds = kinds[:4]
	}
	kind := rapid.SampledFrom(kinds).Draw(t, "kind")
	term := Term{}
	if kind != "account" && kind != "link" {
		term.Letters = rapid.SampledFrom([]Letters{Folded, Folded, Loose, Strict}).Draw(t, "letters")
		term.Case = rapid.IntRange(0, 4).Draw(t, "case") == 0
	}
	if kind == "word" || kind == "phrase" || kind == "near" {
		term.Forms = rapid.SampledFrom([][]Form{nil, {Exact}, {Plural, Gender}, {Verb}}).Draw(t, "forms")
		term.Language = rapid.SampledFrom([]string{"", "es", "en"}).Draw(t, "language")
	}
	anyOf := rapid.SampledFrom(append(slices.Clone(termWords), termPhrases...))
	switch kind {
	case "word":
		term.Word = rapid.SampledFrom(termWords).Draw(t, "word")
	case "phrase":
		term.Phrase = anyOf.Draw(t, "phrase")
	case "hashtag":
		term.Hashtag = rapid.SampledFrom([]string{"velo", "#Velo", "Velo_no", "año", "ano", "東velo", "velocamión"}).Draw(t, "hashtag")
	case "account":
		term.Account = rapid.SampledFrom([]string{"velo", "velo@velo.example", "no_e"}).Draw(t, "account")
	case "link":
		term.Link = rapid.SampledFrom([]string{"velo.example", "no.example"}).Draw(t, "link")
	case "near":
		term.Near = &Near{
			Words:  rapid.SliceOfN(anyOf, 2, 3).Draw(t, "near"),
			Within: rapid.IntRange(1, 6).Draw(t, "within"), Ordered: rapid.Bool().Draw(t, "ordered"),
		}
	}
	return term
}

func drawTopics(t *rapid.T) []Topic {
	var topics []Topic
	terms := func(list, least, most int) (terms []Term) {
		for range rapid.IntRange(least, most).Draw(t, listNames[list]) {
			terms = append(terms, drawTerm(t, list))
		}
		return terms
	}
	for i := range rapid.IntRange(1, 6).Draw(t, "topics") {
		topics = append(topics, Topic{
			Name: fmt.Sprint("t", i), Any: terms(ListAny, 1, 3), With: terms(ListWith, 0, 1), None: terms(ListNone, 0, 1), Except: terms(ListExcept, 0, 1),
		})
	}
	return topics
}

// judgePlainly tells which topics a text is about. Of hits of a Near it tells that there are some, as a hit without a place.
func judgePlainly(p *plainText, topics []Topic) (matches []Match) {
	for i, topic := range topics {
		var hidden []spot
		for _, term := range topic.Except {
			spots, _ := p.find(term, nil)
			hidden = append(hidden, spots...)
		}
		hitsOf := func(list int, terms []Term, hidden []spot) (hits []Hit) {
			for k, term := range terms {
				spots, combinations := p.find(term, hidden)
				for _, s := range spots[:min(len(spots), MaxHits)] {
					hits = append(hits, Hit{List: list, Term: k, Start: s.start, End: s.end})
				}
				if len(combinations) > 0 {
					hits = append(hits, Hit{List: list, Term: k})
				}
			}
			return hits
		}
		hits := hitsOf(ListAny, topic.Any, hidden)
		with := hitsOf(ListWith, topic.With, hidden)
		if len(hits) > 0 && (len(topic.With) == 0 || len(with) > 0) && len(hitsOf(ListNone, topic.None, nil)) == 0 {
			matches = append(matches, Match{Topic: i, Name: topic.Name, Hits: append(hits, with...)})
		}
	}
	return matches
}

// withoutNear replaces the hits of each Near by one without a place, after it was looked for among all combinations.
func withoutNear(t *rapid.T, p *plainText, topics []Topic, matches []Match) []Match {
	for i := range matches {
		m := &matches[i]
		topic := topics[m.Topic]
		var hidden []spot
		for _, term := range topic.Except {
			spots, _ := p.find(term, nil)
			hidden = append(hidden, spots...)
		}
		var hits []Hit
		for k := 0; k < len(m.Hits); {
			h := m.Hits[k]
			term := [][]Term{topic.Any, topic.With}[h.List][h.Term]
			if term.Near == nil {
				hits, k = append(hits, h), k+1
				continue
			}
			_, combinations := p.find(term, hidden)
			shown := m.Hits[k : k+len(term.Near.Words)]
			if !slices.ContainsFunc(combinations, func(c []spot) bool {
				return slices.EqualFunc(c, shown, func(s spot, h Hit) bool { return s.start == h.Start && s.end == h.End })
			}) {
				t.Fatalf("topic %d: %v is no place where %+v stand together", m.Topic, shown, *term.Near)
			}
			hits, k = append(hits, Hit{List: h.List, Term: h.Term}), k+len(term.Near.Words)
		}
		m.Hits = hits
	}
	return matches
}

func TestLikeAPlainMatcher(t *testing.T) {
	found, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		topics := drawTopics(t)
		m, err := Compile(topics)
		if err != nil {
			t.Fatalf("compile: %v", err)
		}
		for range 8 {
			text := drawText(t)
			p := readPlainly(text)
			want := judgePlainly(&p, topics)
			got := withoutNear(t, &p, topics, m.Match(&Post{Text: text}, nil))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("in %q (-plain +matcher):\n%s", text, diff)
			}
			all++
			if len(got) > 0 {
				found++
			}
		}
	})
	if found*10 < all {
		t.Errorf("only %d of %d texts are about something: the property says little", found, all)
	}
}

// The reader folds as it goes; what is looked up has to be the folding of the whole.
func TestReadingFoldsAsFoldingDoes(t *testing.T) {
	prepare()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		var term reading
		(&reader{term: &term}).read(text)
		if term.other {
			return // what is no word is found by keys of its own
		}
		for _, word := range term.words {
			key := string(appendFolded(nil, word, loosest))
			m := newVocabulary(map[string][]candidate{key: {{symbol: 0}}})
			mm := &Matcher{words: m, trie: newTrie()}
			mm.trie.add([]int32{0}, 0)
			mm.atoms = []atom{{trigger: true}}
			mm.idle.fill(mm)
			r := mm.idle.runs.New().(*run)
			r.read(&Post{Text: text})
			if key != "" && !r.machine.trigger {
				t.Fatalf("%q is not found in %q by %q", word, text, key)
			}
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("velo", "e-bike", "Me gusta #VeloCiclismo, l'e-bike y https://velo.example/x @velo@velo.example")
	f.Add("año", "velo camión", "an\u0303o 𝗩𝗲𝗹𝗼 👍🏽 東京\n\nvelo\xff ana@velo.example")
	f.Fuzz(func(t *testing.T, word, phrase, text string) {
		topics := []Topic{{
			Name: "t", Any: []Term{{Word: word}, {Phrase: phrase, Letters: Strict, Case: true}, {Near: &Near{Words: []string{"a", phrase}, Within: 3}, Letters: Loose}},
			Except: []Term{{Phrase: "de " + word, Forms: []Form{Verb, Gender, Plural}}},
		}}
		m, err := Compile(topics)
		if err != nil {
			return
		}
		post := Post{Text: text, Tags: []string{text}, Mentions: []string{text}, Links: []string{text}, Author: []string{text}}
		first := m.Match(&post, nil)
		for _, match := range first {
			for _, h := range match.Hits {
				if h.Start < 0 || h.Start >= h.End || h.End > len(text) {
					t.Fatalf("a hit at [%d, %d) of %d bytes", h.Start, h.End, len(text))
				}
			}
		}
		if diff := cmp.Diff(first, m.Match(&post, nil)); diff != "" {
			t.Errorf("the second reading differs:\n%s", diff)
		}
	})
}
