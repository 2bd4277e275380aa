package match_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

func compile(t *testing.T, topics ...match.Topic) *match.Matcher {
	t.Helper()
	m, err := match.Compile(topics)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return m
}

// found are the words of the text in which terms were found, or nothing.
func found(m *match.Matcher, text string) []string {
	var words []string
	for _, topic := range m.Match(&match.Post{Text: text}, nil) {
		for _, h := range topic.Hits {
			words = append(words, text[h.Start:h.End])
		}
	}
	return words
}

func any(terms ...match.Term) match.Topic { return match.Topic{Name: "t", Any: terms} }

func TestFind(t *testing.T) {
	word := func(w string) match.Topic { return any(match.Term{Word: w}) }
	exact := func(w string) match.Topic { return any(match.Term{Word: w, Forms: []match.Form{match.Exact}}) }
	phrase := func(w string) match.Topic { return any(match.Term{Phrase: w}) }
	verb := func(w string) match.Topic { return any(match.Term{Word: w, Forms: []match.Form{match.Verb}}) }
	for name, c := range map[string]struct {
		topic match.Topic
		text  string
		want  []string
	}{
		"a word alone":                         {word("velo"), "Velo", []string{"Velo"}},
		"a word among punctuation":             {word("velo"), "¿Conoces «Velo»? ¡Velo!", []string{"Velo", "Velo"}},
		"not inside of a word":                 {word("velo"), "desarrollo veloz, velocidad, develo", nil},
		"plural":                               {word("bici"), "dos bicis", []string{"bicis"}},
		"plural in -es moves the accent":       {word("camión"), "tres camiones y un camion", []string{"camiones", "camion"}},
		"z becomes c":                          {word("vez"), "muchas veces", []string{"veces"}},
		"English plural":                       {word("battery"), "two batteries", []string{"batteries"}},
		"exact has no plural":                  {exact("Zara"), "Zaras y Zara", []string{"Zara"}},
		"a genitive is the word":               {exact("Velo"), "Velo's new shop, Velo’s", []string{"Velo", "Velo"}},
		"an elided article is not the word":    {exact("Apple"), "l'Apple Store d’Apple", []string{"Apple", "Apple"}},
		"a contraction is one word":            {word("don"), "I don't know, Don Juan", []string{"Don"}},
		"accents do not count":                 {word("Nestlé"), "NESTLE, nestlé, Nestlè", []string{"NESTLE", "nestlé", "Nestlè"}},
		"accents written apart":                {word("camión"), "un camio\u0301n", []string{"camio\u0301n"}},
		"año is not ano":                       {word("ano"), "feliz año", nil},
		"año written apart is not ano":         {word("ano"), "feliz an\u0303o", nil},
		"año is año in capitals":               {word("año"), "FELIZ AÑO, ano", []string{"AÑO"}},
		"loose: españa is espana":              {any(match.Term{Word: "España", Letters: match.Loose}), "viva espana", []string{"espana"}},
		"strict: papá is not papa":             {any(match.Term{Word: "papá", Letters: match.Strict}), "papa frita, mi papá", []string{"papá"}},
		"case: SEAT is no seat":                {any(match.Term{Word: "SEAT", Case: true}), "take a seat in a SEAT or two SEATs", []string{"SEAT", "SEATs"}},
		"bold letters of mathematics":          {word("velo"), "compra 𝗩𝗲𝗹𝗼 ya, ｖｅｌｏ", []string{"𝗩𝗲𝗹𝗼", "ｖｅｌｏ"}},
		"what is not seen":                     {word("velo"), "ve\u00ADlo ve\u200Blo", []string{"ve\u00ADlo", "ve\u200Blo"}},
		"a trade mark":                         {word("velo"), "Velo™ y Velo®", []string{"Velo", "Velo"}},
		"a phrase":                             {phrase("velo ciclismo"), "La tienda Velo Ciclismo abre", []string{"Velo Ciclismo"}},
		"a phrase within a sentence":           {phrase("velo ciclismo"), "Voy a Velo. Ciclismo es vida", nil},
		"a phrase over a comma":                {phrase("velo ciclismo"), "velo, ciclismo", []string{"velo, ciclismo"}},
		"a phrase over the end of a line":      {phrase("velo ciclismo"), "velo\nciclismo", []string{"velo\nciclismo"}},
		"a phrase not over an empty line":      {phrase("velo ciclismo"), "velo\n\nciclismo", nil},
		"a phrase in the plural":               {phrase("bicicleta eléctrica"), "bicicletas electricas", []string{"bicicletas electricas"}},
		"a phrase in a hashtag":                {phrase("velo ciclismo"), "#velociclismo #VeloCiclismo #velo_ciclismo", []string{"#velociclismo", "#VeloCiclismo", "#velo_ciclismo"}},
		"phrases that overlap":                 {any(match.Term{Phrase: "a b a"}), "a b a b a", []string{"a b a", "a b a"}},
		"a phrase that begins twice":           {phrase("muy muy mal"), "muy muy muy mal", []string{"muy muy mal"}},
		"a word in a hashtag in camel case":    {word("velo"), "#MeGustaVelo2027", []string{"Velo"}},
		"capitals in a row in a hashtag":       {word("IA"), "#IANueva", []string{"IA"}},
		"a word that is a hashtag":             {word("OpenAI"), "#OpenAI", []string{"#OpenAI"}},
		"not inside of a hashtag's word":       {word("velo"), "#velocidad", nil},
		"a whole hashtag":                      {any(match.Term{Hashtag: "#VeloFest"}), "#velofest #VELOFEST #VeloFest2027 velofest", []string{"#velofest", "#VELOFEST"}},
		"a hyphen, a space or nothing":         {word("e-bike"), "e-bike, e bikes, ebikes", []string{"e-bike", "e bikes", "ebikes"}},
		"a name with a full stop":              {word("booking.com"), "en Booking.com", []string{"Booking.com"}},
		"EE.UU.":                               {word("EE.UU."), "EE. UU., EEUU y EE.UU.", []string{"EEUU", "EE.UU"}},
		"a name with &":                        {word("H&M"), "H&M, h & m, hm", []string{"H&M", "h & m"}},
		"a name with +":                        {word("Disney+"), "Disney+ no es Disney", []string{"Disney+"}},
		"C# is not C":                          {word("C#"), "C# y C", []string{"C#"}},
		"an apostrophe is not compared":        {word("McDonald's"), "McDonalds, mcdonald’s", []string{"McDonalds", "mcdonald’s"}},
		"L'Oréal":                              {word("L'Oréal"), "L´Oreal", []string{"L´Oreal"}},
		"not in a link":                        {word("velo"), "https://velo.example/velo?velo=velo", nil},
		"not in a mention":                     {word("velo"), "@velo @velo@velo.example", nil},
		"not in an address":                    {word("velo"), "velo@velo.example y yo.velo@velo.example", nil},
		"behind a link":                        {word("velo"), "(https://a.example/x), Velo", []string{"Velo"}},
		"a mention":                            {any(match.Term{Account: "@velo"}), "hola @Velo, @velo_fan y @velo@social.example.", []string{"@Velo", "@velo@social.example"}},
		"a mention by its host":                {any(match.Term{Account: "velo@social.example"}), "@velo @velo@other.example @VELO@social.example", []string{"@VELO@social.example"}},
		"a handle that is a host":              {any(match.Term{Account: "velo.bsky.example"}), "@velo.bsky.example.", []string{"@velo.bsky.example"}},
		"a link":                               {any(match.Term{Link: "velo.example"}), "https://shop.velo.example/x http://velo.example.evil.example www.VELO.example!", []string{"https://shop.velo.example/x", "www.VELO.example"}},
		"a link with a login in it":            {any(match.Term{Link: "velo.example"}), "https://velo.example@evil.example/", nil},
		"an emoji":                             {word("👍"), "bien 👍🏽👍", []string{"👍🏽", "👍"}},
		"an emoji of another gender":           {word("🚴"), "🚴🏾‍♀️!", []string{"🚴🏾‍♀️"}},
		"a flag":                               {word("🇪🇸"), "🇫🇷🇪🇸", []string{"🇪🇸"}},
		"an emoji ends a phrase":               {phrase("velo ciclismo"), "velo 🚲 ciclismo", nil},
		"a word beside an emoji":               {word("velo"), "🚲velo🚲", []string{"velo"}},
		"scripts without spaces":               {word("東京"), "私は東京に住む", []string{"東京"}},
		"verbs in Spanish":                     {verb("comprar"), "compré, compraron, compraría, comprando, compradas, comprarlo", []string{"compré", "compraron", "compraría", "comprando", "compradas", "comprarlo"}},
		"verbs: stem and spelling":             {verb("pensar"), "pienso", []string{"pienso"}},
		"verbs: busqué":                        {verb("buscar"), "busqué", []string{"busqué"}},
		"verbs: conozco":                       {verb("conocer"), "conozco", []string{"conozco"}},
		"verbs: incluye":                       {verb("incluir"), "incluye, incluyó, incluido", []string{"incluye", "incluyó", "incluido"}},
		"verbs: leyó":                          {verb("leer"), "leyó, leyendo, leímos", []string{"leyó", "leyendo", "leímos"}},
		"verbs of voseo":                       {verb("comprar"), "vos comprás", []string{"comprás"}},
		"verbs in English":                     {verb("stop"), "stopped, stopping, stops", []string{"stopped", "stopping", "stops"}},
		"verbs: irregular":                     {verb("buy"), "I bought it", []string{"bought"}},
		"a verb unless it is told is none":     {word("comprar"), "compré", nil},
		"gender":                               {any(match.Term{Word: "español", Forms: []match.Form{match.Gender, match.Plural}}), "española, españolas, españoles", []string{"española", "españolas", "españoles"}},
		"false friend: velo and vela":          {word("velo"), "una vela encendida", nil},
		"false friend: in one language":        {any(match.Term{Word: "pan", Language: "es"}), "pots and pans, panes", []string{"panes"}},
		"false friend: Apple and apple":        {any(match.Term{Word: "Apple", Case: true}), "an apple a day, Apple", []string{"Apple"}},
		"false friend: once is eleven":         {any(match.Term{Word: "ONCE", Case: true}), "once upon a time, la ONCE, las once", []string{"ONCE"}},
		"an exception":                         {match.Topic{Name: "t", Any: []match.Term{{Word: "velo"}}, Except: []match.Term{{Phrase: "velo de novia"}}}, "el velo de novia; mi bici Velo", []string{"Velo"}},
		"nothing but an exception":             {match.Topic{Name: "t", Any: []match.Term{{Word: "velo"}}, Except: []match.Term{{Phrase: "velo de novia"}}}, "el velo de novia #VeloDeNovia", nil},
		"a hashtag and its part are one word":  {phrase("velo s a"), "#VeloS a", []string{"VeloS a"}},
		"an exception that overlaps":           {match.Topic{Name: "t", Any: []match.Term{{Phrase: "velo ciclismo"}}, Except: []match.Term{{Phrase: "ciclismo indoor"}}}, "velo ciclismo indoor", nil},
		"a hashtag with underscores":           {any(match.Term{Hashtag: "VeloFest"}), "#Velo_Fest #VeloFest2027", []string{"#Velo_Fest"}},
		"near over the end of a sentence":      {any(match.Term{Near: &match.Near{Words: []string{"robo", "bici"}, Within: 5}}), "Mi bici. Otro robo", []string{"robo", "bici"}},
		"near, six words further on":           {any(match.Term{Near: &match.Near{Words: []string{"robo", "bici"}, Within: 5}}), "bici a b c d e robo", nil},
		"near, five words further on":          {any(match.Term{Near: &match.Near{Words: []string{"robo", "bici"}, Within: 5}}), "bici a b c d robo", []string{"robo", "bici"}},
		"a form that is another verb's":        {verb("podar"), "no puedo", []string{"puedo"}},
		"lunes stays":                          {word("lunes"), "los lunes", []string{"lunes"}},
		"the feminine's plural":                {any(match.Term{Word: "amigo", Forms: []match.Form{match.Plural, match.Gender}}), "amigas, amiga, amigos", []string{"amigas", "amiga", "amigos"}},
		"the brand Mango":                      {match.Topic{Name: "t", Any: []match.Term{{Word: "Mango"}}, Except: []match.Term{{Phrase: "zumo de mango"}}, None: []match.Term{{Word: "receta"}}}, "un zumo de mango en Mango", []string{"Mango"}},
		"an exclusion":                         {match.Topic{Name: "t", Any: []match.Term{{Word: "velo"}}, None: []match.Term{{Word: "boda"}}}, "Velo para tu boda", nil},
		"what has to be there too":             {match.Topic{Name: "t", Any: []match.Term{{Word: "giant"}}, With: []match.Term{{Word: "bici"}}}, "a giant bici", []string{"giant", "bici"}},
		"what has to be there is not":          {match.Topic{Name: "t", Any: []match.Term{{Word: "giant"}}, With: []match.Term{{Word: "bici"}}}, "a giant step", nil},
		"near":                                 {any(match.Term{Near: &match.Near{Words: []string{"bici", "robar"}, Within: 3}, Forms: []match.Form{match.Verb, match.Plural}}), "me robaron ayer la bici", []string{"bici", "robaron"}},
		"near, but not so near":                {any(match.Term{Near: &match.Near{Words: []string{"bici", "robo"}, Within: 3}}), "robo a las puertas de mi bici", nil},
		"near, in order":                       {any(match.Term{Near: &match.Near{Words: []string{"no", "llega"}, Within: 3, Ordered: true}}), "llega no, no me llega", []string{"no", "llega"}},
		"near, in the other order":             {any(match.Term{Near: &match.Near{Words: []string{"no", "llega"}, Within: 3, Ordered: true}}), "llega y no", nil},
		"near, the same word twice in order":   {any(match.Term{Near: &match.Near{Words: []string{"no", "no"}, Within: 3, Ordered: true}}), "no hay", nil},
		"a zero-width hashtag is no hashtag":   {word("x"), "#_ x", []string{"x"}},
		"an unfinished text":                   {word("velo"), "velo \xff\xfe velo\xc3", []string{"velo", "velo"}},
		"a text that is not UTF-8 cuts a word": {word("velo"), "ve\xfflo", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, found(compile(t, c.topic), c.text)); diff != "" {
				t.Errorf("in %q (-want +got):\n%s", c.text, diff)
			}
		})
	}
}

func TestFields(t *testing.T) {
	m := compile(t,
		match.Topic{Name: "us", Any: []match.Term{{Account: "@velo"}, {Link: "velo.example"}, {Hashtag: "velo"}}, None: []match.Term{{Author: "@velo@social.example"}}},
		match.Topic{Name: "rival", Any: []match.Term{{Author: "did:plc:rival"}, {Word: "rival"}}},
	)
	got := m.Match(&match.Post{
		Text: "x", Tags: []string{"otra", "#VELO"}, Mentions: []string{"@velo@social.example"},
		Links: []string{"https://a.example", "https://www.velo.example/x"}, Author: []string{"rival.example", "did:plc:rival"},
	}, nil)
	want := []match.Match{
		{Topic: 0, Name: "us", Hits: []match.Hit{
			{Term: 0, Field: match.InMentions, End: 20}, {Term: 1, Field: match.InLinks, Item: 1, End: 26}, {Term: 2, Field: match.InTags, Item: 1, End: 5},
		}},
		{Topic: 1, Name: "rival", Hits: []match.Hit{{Field: match.InAuthor, Item: 1, End: 13}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := m.Match(&match.Post{Text: "@velo", Author: []string{"velo@social.example"}}, nil); got != nil {
		t.Errorf("our own post is about %v", got)
	}
	if term := m.Term(0, got[0].Hits[1]); term.Link != "velo.example" {
		t.Errorf("the hit's term is %+v", term)
	}
}

func TestErrors(t *testing.T) {
	word := func(w string) match.Term { return match.Term{Word: w} }
	for name, c := range map[string]struct {
		topics []match.Topic
		want   string
	}{
		"no name":          {[]match.Topic{{Any: []match.Term{word("a")}}}, `topic 1 has no name: give it one`},
		"twice":            {[]match.Topic{any(word("a")), any(word("a"))}, `topic "t" is there twice: give one of them another name`},
		"no terms":         {[]match.Topic{{Name: "t"}}, `topic "t" has no terms: write at least one under any`},
		"empty":            {[]match.Topic{any(match.Term{})}, `topic "t": any 1, an empty term: say what to find: word, phrase, hashtag, account, author, link or near`},
		"two at once":      {[]match.Topic{any(word("b"), match.Term{Word: "a", Link: "b.example"})}, `topic "t": any 2, link "b.example": it says more than one thing: make a term of each`},
		"a space":          {[]match.Topic{any(word("velo ciclismo"))}, `topic "t": any 1, word "velo ciclismo": it has a space: write it as phrase`},
		"a hashtag":        {[]match.Topic{any(word("#velo"))}, `topic "t": any 1, word "#velo": a # or @ name, a link or an address is no word: write it as hashtag, account or link`},
		"no letters":       {[]match.Topic{any(word("«»"))}, `topic "t": any 1, word "«»": there is no letter, digit or emoji in it: write what people write`},
		"too many words":   {[]match.Topic{any(match.Term{Phrase: strings.Repeat("a ", 13)})}, `topic "t": any 1, phrase "a a a a a a a a a a a a a ": it has 13 words: write at most 12, or use near`},
		"two sentences":    {[]match.Topic{any(match.Term{Phrase: "hola. adiós"})}, `topic "t": any 1, phrase "hola. adiós": a sentence ends in it, and phrases do not go beyond that: make two terms, or use near`},
		"too long":         {[]match.Topic{any(word(strings.Repeat("a", 201)))}, `topic "t": any 1, word "` + strings.Repeat("a", 57) + `…": it has 201 bytes: write at most 200`},
		"a control":        {[]match.Topic{any(word("a\x00"))}, `topic "t": any 1, word "a\x00": it has a control character or an end of line: take that out`},
		"not UTF-8":        {[]match.Topic{any(word("a\xff"))}, `topic "t": any 1, word "a\xff": it is not UTF-8: write it anew`},
		"a language":       {[]match.Topic{any(match.Term{Word: "a", Language: "fr"})}, `topic "t": any 1, word "a": language "fr" has no forms here: write es, en, or none`},
		"letters":          {[]match.Topic{any(match.Term{Word: "a", Letters: "x"})}, `topic "t": any 1, word "a": letters "x": write Loose (ñ is n), Strict (accents count), or nothing`},
		"forms":            {[]match.Topic{any(match.Term{Word: "a", Forms: []match.Form{"x"}})}, `topic "t": any 1, word "a": forms "x": write Exact, Plural, Gender or Verb`},
		"exact and plural": {[]match.Topic{any(match.Term{Word: "a", Forms: []match.Form{"Exact", "Plural"}})}, `topic "t": any 1, word "a": forms Exact stands alone: it means no other forms`},
		"forms of a link":  {[]match.Topic{any(match.Term{Link: "a.example", Forms: []match.Form{"Exact"}})}, `topic "t": any 1, link "a.example": forms and language are of words, phrases and near: leave them out`},
		"case of a link":   {[]match.Topic{any(match.Term{Link: "a.example", Case: true})}, `topic "t": any 1, link "a.example": letters and case are of words, phrases, near and hashtags: leave them out`},
		"not a hashtag":    {[]match.Topic{any(match.Term{Hashtag: "#a b"})}, `topic "t": any 1, hashtag "#a b": a hashtag has letters, digits and _ only: leave the rest out`},
		"an empty hashtag": {[]match.Topic{any(match.Term{Hashtag: "#"})}, `topic "t": any 1, hashtag "#": there is no letter or digit in it: write the hashtag's name`},
		"not a host":       {[]match.Topic{any(match.Term{Link: "https://velo.example/shop"})}, `topic "t": any 1, link "https://velo.example/shop": write a host alone, as in velo.example`},
		"not an account":   {[]match.Topic{any(match.Term{Account: "@velo@"})}, `topic "t": any 1, account "@velo@": a name or a host is missing: write @name, or @name@host`},
		"near nothing":     {[]match.Topic{any(match.Term{Near: &match.Near{Words: []string{"a"}, Within: 3}})}, `topic "t": any 1, near "a": near has 1 words: write 2 to 5`},
		"near too far":     {[]match.Topic{any(match.Term{Near: &match.Near{Words: []string{"a", "b"}, Within: 51}})}, `topic "t": any 1, near "a, b": within is 51 words: write 1 to 50`},
		"near a mention":   {[]match.Topic{any(match.Term{Near: &match.Near{Words: []string{"a", "@b"}, Within: 5}})}, `topic "t": any 1, near "a, @b": "@b": a # or @ name, a link or an address is no word: write it as hashtag, account or link`},
		"except near":      {[]match.Topic{{Name: "t", Any: []match.Term{word("a")}, Except: []match.Term{{Near: &match.Near{Words: []string{"a", "b"}, Within: 5}}}}}, `topic "t": except 1, near "a, b": except takes words and phrases: near is for any, with and none`},
		"too many topics":  {make([]match.Topic, 5001), `5001 topics: write at most 5000`},
		"too many terms":   {[]match.Topic{{Name: "t", Any: make([]match.Term, 600), None: make([]match.Term, 600)}}, `topic "t" has 1200 terms: write at most 1000, or make two topics of it`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := match.Compile(c.topics)
			if err == nil {
				t.Fatal("it compiled")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, err := match.Compile([]match.Topic{any(make([]match.Term, 100)...)})
	if err == nil || strings.Count(err.Error(), "\n") != 20 || !strings.HasSuffix(err.Error(), "and 80 errors more") {
		t.Errorf("got %v", err)
	}
	var many []match.Topic
	for i := range 51 {
		topic := match.Topic{Name: fmt.Sprint(i)}
		for k := range 1000 {
			topic.Any = append(topic.Any, match.Term{Hashtag: fmt.Sprint("t", k)})
		}
		many = append(many, topic)
	}
	if _, err := match.Compile(many); err == nil || !strings.Contains(err.Error(), "51000 terms in all topics: write at most 50000") {
		t.Errorf("got %v", err)
	}
}

func TestTopicsAreReadFromJSON(t *testing.T) {
	var topic match.Topic
	err := json.Unmarshal([]byte(`{"name": "velo", "any": [{"phrase": "velo ciclismo"}, {"near": {"words": ["bici", "velo"], "within": 5}, "forms": ["Exact"]}],
		"with": [{"word": "tienda"}], "none": [{"author": "@velo"}], "except": [{"phrase": "velo de novia", "letters": "Strict", "case": true, "language": "es"}]}`), &topic)
	if err != nil {
		t.Fatal(err)
	}
	want := match.Topic{
		Name: "velo", Any: []match.Term{{Phrase: "velo ciclismo"}, {Near: &match.Near{Words: []string{"bici", "velo"}, Within: 5}, Forms: []match.Form{match.Exact}}},
		With: []match.Term{{Word: "tienda"}}, None: []match.Term{{Author: "@velo"}},
		Except: []match.Term{{Phrase: "velo de novia", Letters: match.Strict, Case: true, Language: "es"}},
	}
	if diff := cmp.Diff(want, topic); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNoAllocationWithoutAMatch(t *testing.T) {
	m := compile(t, match.Topic{
		Name: "t", Any: []match.Term{{Word: "ano"}, {Phrase: "velo ciclismo"}, {Word: "SEAT", Case: true}, {Account: "@velo"}, {Link: "velo.example"}},
	}, match.Topic{Name: "u", Any: []match.Term{{Word: "bici"}}, None: []match.Term{{Word: "año"}}})
	post := &match.Post{
		Text: "Un año de velo 🚲🏽 y camio\u0301n, take a seat #MeGustaElCiclismo2027 @veloz https://b.example/velo l'année bici 東京 𝗩𝗲𝗹𝗼",
		Tags: []string{"año"}, Mentions: []string{"@b@c.example"}, Links: []string{"https://c.example"}, Author: []string{"d.example"},
	}
	var matches []match.Match
	if n := testing.AllocsPerRun(1000, func() { matches = m.Match(post, matches[:0]) }); n != 0 || len(matches) != 0 {
		t.Errorf("%v allocations, %v", n, matches)
	}
}

// A long text costs in proportion to its length, also when every word is the beginning of a phrase.
func TestHostileTexts(t *testing.T) {
	m := compile(t, any(
		match.Term{Phrase: "a a a a a a a a a a a b"}, match.Term{Near: &match.Near{Words: []string{"a", "b a", "c"}, Within: 50}}, match.Term{Word: "a"},
	), match.Topic{Name: "u", Any: []match.Term{{Word: "a"}}, Except: []match.Term{{Phrase: "a a"}}})
	for name, text := range map[string]string{
		"one word": strings.Repeat("a ", 1<<19), "one letter": strings.Repeat("a", 1<<20), "dots": strings.Repeat("a.", 1<<19), "at": strings.Repeat("a@", 1<<19),
		"hash": strings.Repeat("#aA", 1<<18), "apostrophes": strings.Repeat("a'", 1<<19), "links": strings.Repeat("http://", 1<<17), "joiners": strings.Repeat("🚲\u200D", 1<<17),
		"marks": "a" + strings.Repeat("\u0303", 1<<19), "nothing": strings.Repeat("\x00", 1<<20), "broken": strings.Repeat("\xf0\x9f", 1<<19),
	} {
		t.Run(name, func(t *testing.T) {
			for _, found := range m.Match(&match.Post{Text: text}, nil) {
				if len(found.Hits) > 2*match.MaxHits {
					t.Errorf("%d hits", len(found.Hits))
				}
			}
		})
	}
	text := strings.Repeat("x ", match.MaxText/2) + "a"
	if got := m.Match(&match.Post{Text: text}, nil); got != nil {
		t.Error("what is after MaxText was read")
	}
	if got := m.Match(&match.Post{Text: text[2:]}, nil); got == nil {
		t.Error("what is before MaxText was not read")
	}
}

// A matcher is read by many at a time, who share what reading needs.
func TestManyReadWithOneMatcher(t *testing.T) {
	m := compile(t, match.Topic{Name: "a", Any: []match.Term{{Word: "uno"}}}, match.Topic{Name: "b", Any: []match.Term{{Word: "dos"}}})
	texts := map[string]int{"uno, dos": 2, "uno": 1, "dos y nada más": 1, "nada": 0}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 500 {
				for text, want := range texts {
					if got := m.Match(&match.Post{Text: text}, nil); len(got) != want {
						t.Errorf("%q: got %v", text, got)
						return
					}
				}
			}
		})
	}
	readers.Wait()
}
