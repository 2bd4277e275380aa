package monitor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// usualTexts are what is said on other days, each by somebody else.
func usualTexts(n int) (texts []Text) {
	about := []string{
		"La tienda de Velo no contesta, el servicio va fatal", "Otra vez el pedido tarde, qué lentos son en Velo", "El precio del casco es un robo",
		"Velo support is slow, the shop never answers", "La tienda cierra pronto y el servicio tarda", "Pedido cancelado sin aviso",
	}
	for i := range n {
		texts = append(texts, Text{Author: int64(1000 + i), Text: about[i%len(about)], Names: []string{fmt.Sprintf("Persona%d", i)}})
	}
	return texts
}

func termNames(terms []Term) (names []string) {
	for _, t := range terms {
		names = append(names, t.Term)
	}
	return names
}

func TestRisingTermsSayWhatDrivesABurst(t *testing.T) {
	var now []Text
	for i := range 30 {
		now = append(now, Text{Author: int64(i + 1), Text: []string{
			"La batería explota mientras carga, cuidado con la tienda de Velo", "Mi BATERÍA ardió anoche. La batería explota, de verdad",
			"The battery caught fire, the shop says nothing #VeloArde", "cuidado: la bateria explota #veloarde https://velo.example/bateria",
		}[i%4]})
	}
	terms := Rising(now, usualTexts(300), TermOptions{})
	names := termNames(terms)
	for _, want := range []string{"bateria explota", "#veloarde", "cuidado"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is not among %v", want, names)
		}
	}
	for _, unwanted := range []string{"tienda", "shop", "the", "mientras", "velo", "example", "bateria"} {
		if slices.Contains(names, unwanted) {
			t.Errorf("%q is among %v", unwanted, names)
		}
	}
	if len(terms) > 10 || !slices.IsSortedFunc(terms, func(a, b Term) int { return int(100 * (b.Score - a.Score)) }) {
		t.Errorf("too many, or not in order: %+v", terms)
	}
	for _, found := range terms {
		if found.Authors < 3 || found.Mentions < found.Authors || found.Usual > float64(found.Mentions) {
			t.Errorf("%+v", found)
		}
	}
}

// Whoever reads an incident must not learn from its terms who said it, or of whom it was said.
func TestTermsAreNeverPersons(t *testing.T) {
	said := func(text string, authors int, names ...string) (texts []Text) {
		for i := range authors {
			texts = append(texts, Text{Author: int64(i + 1), Text: text, Names: names})
		}
		return texts
	}
	for name, tt := range map[string]struct {
		now   []Text
		names []string
		want  []string
	}{
		"a word that many write":         {now: said("que vergüenza de retrasos", 12), want: []string{"vergüenza", "retrasos"}},
		"one person, many times":         {now: slices.Repeat(said("que vergüenza de retrasos", 1), 12)},
		"two persons":                    {now: slices.Repeat(said("que vergüenza de retrasos", 2), 12)},
		"a handle":                       {now: said("ojo con @ana_ruiz y @ana@social.example y ana@people.example", 12), want: []string{"ojo"}},
		"somebody's name, capitalised":   {now: said("dice que Manolita Pérez roba", 12), want: []string{"roba"}},
		"at the beginning":               {now: said("Manolita dice que roba. Manolita", 12), want: []string{"roba"}},
		"in small letters, of an author": {now: said("dice manolita que roba", 12, "Manolita Pérez"), want: []string{"roba"}},
		"in small letters, a given name": {now: said("dice manolita que roba", 12), names: []string{"manolita"}, want: []string{"roba"}},
		"in a hashtag":                   {now: said("roba #DimisionManolita", 12, "manolita"), want: []string{"roba"}},
		"a number, a price and a link":   {now: said("roba 612345678 y 30€ www.velo.example velo.example/x", 12), want: []string{"roba"}},
		"a shouted word is no name":      {now: said("ESTAFA TOTAL DE EMPRESA", 12), want: []string{"empresa", "estafa", "estafa total", "total"}},
		"stop words and laughter":        {now: said("pero es que jajajaja the and no", 12)},
		"nobody knows who":               {now: slices.Repeat([]Text{{Text: "que vergüenza de retrasos"}}, 12)},
	} {
		t.Run(name, func(t *testing.T) {
			got := termNames(Rising(tt.now, usualTexts(200), TermOptions{Names: tt.names, Limit: 50}))
			slices.Sort(got)
			want := slices.Clone(tt.want)
			// Two words hide those that they are made of.
			want = slices.DeleteFunc(want, func(w string) bool {
				return !strings.Contains(w, " ") && slices.ContainsFunc(got, func(g string) bool {
					return strings.HasPrefix(g, foldWord(w)+" ") || strings.HasSuffix(g, " "+foldWord(w))
				})
			})
			for i := range want {
				want[i] = foldWord(want[i])
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFoldWord(t *testing.T) {
	for in, want := range map[string]string{
		"Batería": "bateria", "AÑO": "año", "An\u0303o": "año", "pingüino": "pinguino", "Velo’s": "velos", "ＶＥＬＯ": "velo", "": "",
	} {
		if got := foldWord(in); got != want {
			t.Errorf("foldWord(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzTerms throws texts at the terms: what comes out is bounded, and never what must not.
func FuzzTerms(f *testing.F) {
	f.Add("La batería #explota @ana https://x.example/a?b=c \xff\xfe", "Ana")
	f.Add(strings.Repeat("#", 5000)+"ñ\u0303", "")
	f.Fuzz(func(t *testing.T, text, name string) {
		people := namesOf([]string{name}, nil)
		for _, term := range termsOf(text, people, spellings{}) {
			if strings.ContainsAny(term, "@/") || len([]rune(term)) > 2*maxTermWord+1 || people[term] {
				t.Errorf("%q of %q", term, text)
			}
		}
	})
}
