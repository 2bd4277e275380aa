package sentiment

import "strings"

// A class is the set of endings that a stem may have. Words are compared without accents, so "odio" is both the noun and
// what somebody did. A class may allow forms that nobody says; they do no harm.
type class map[string]bool

// endings builds a class from lists.
func endings(lists ...string) class {
	c := class{}
	for _, list := range lists {
		for _, e := range strings.Fields(list) {
			c[strings.Trim(e, "-")] = true
		}
	}
	return c
}

// crossed is every ending of one list followed by every one of another. "-" stands for nothing.
func crossed(first, second string) string {
	var all []string
	for _, f := range strings.Fields(first) {
		for _, s := range strings.Fields(second) {
			all = append(all, "-"+strings.Trim(f, "-")+strings.Trim(s, "-"))
		}
	}
	return strings.Join(all, " ")
}

// genders are the four forms of Spanish adjectives and participles.
const genders = "o a os as"

// clitics are the pronouns that Spanish hangs on infinitives, gerunds and commands.
const clitics = "- me te se lo la los las le les nos os melo mela telo tela selo sela noslo nosla"

// spanishClasses are what may stand behind the hyphen of a Spanish stem.
var spanishClasses = map[string]class{
	"o":  endings(genders, crossed("isim it ill azamente amente", genders), "amente azo aza azos azas ote ota otes otas"),
	"a":  endings("a as ita itas illa illas aza azas ota otas"),
	"e":  endings("e es emente azo aza ote ota ecito ecita", crossed("isim it", genders)),
	"s":  endings("- s"),
	"es": endings("- es a as mente ote azo cito cita", crossed("isim it", genders)),
	"z":  endings("z ces zmente zote", crossed("cisim cit", genders)),
	"on": endings("on ona ones onas"),
	"ar": endings("o as a amos ais an e es emos eis en aste asteis aron ador adora adores adoras",
		crossed("aba", "- s n is")+" abamos", crossed("are aria ara ase", "- s is n mos")+" aremos aran ariamos ariais aran aras",
		crossed("ad", genders), crossed("adisim adit", genders), "adamente",
		crossed("ar ando a e ad", clitics), "ante antes"),
	"er": endings("o es e emos eis en a as amos ais an i iste io imos isteis ieron edor edora edores edoras",
		crossed("ia", "- s n is mos"), crossed("ere eria iera iese", "- s is n mos")+" eremos eran eras eriamos",
		crossed("id", genders), crossed("idisim idit", genders), "idamente",
		crossed("er iendo yendo e a ed", clitics), "yo yeron iente ientes"),
	"ir": endings("o es e imos is en a as amos ais an i iste io isteis ieron idor idora idores idoras",
		crossed("ia", "- s n is mos"), crossed("ire iria iera iese", "- s is n mos")+" iremos iran iras iriamos",
		crossed("id", genders), crossed("idisim idit", genders), "idamente",
		crossed("ir iendo endo e a id", clitics), "o eron era eran ente entes iente ientes"),
}

// englishClasses are what may stand behind the hyphen of an English stem.
var englishClasses = map[string]class{
	"s":  endings("- s"),
	"es": endings("- es"),
	"ed": endings("- s es ed ing ings er ers ingly edly ment ments ive able"),
	"e":  endings("e es ed ing ings er ers ely edly ingly ement ements able eable r rs d"),
	"y":  endings("y ies ied ying ier iest ily iness iful"),
	"er": endings("- er est ly ness ish"),
	"ly": endings("- ly ness"),
	"le": endings("le ly leness"),
	"al": endings("- al ally"),
}
