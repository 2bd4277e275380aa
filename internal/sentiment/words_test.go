package sentiment

import (
	"fmt"
	"strings"
	"testing"
)

// TestWordsAreInOrderAndStandOnce keeps the files fit to be reviewed: a change is one line, and it has one place.
func TestWordsAreInOrderAndStandOnce(t *testing.T) {
	for name, classes := range map[string]map[string]class{"es.txt": spanishClasses, "en.txt": englishClasses, "signs.txt": nil} {
		lines, err := readLines(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(lines) < 100 {
			t.Errorf("%s has only %d entries", name, len(lines))
		}
		for _, problem := range reviewWords(name, lines, classes) {
			t.Error(problem)
		}
	}
}

// reviewWords finds entries that stand twice, out of order, out of range, or that another one covers with the same value.
func reviewWords(name string, lines []line, classes map[string]class) (problems []string) {
	seen := map[string]int{}
	sectionSeen := map[string]bool{}
	last := line{}
	for _, l := range lines {
		at := fmt.Sprintf("%s:%d: ", name, l.number)
		if first, twice := seen[l.pattern]; twice {
			problems = append(problems, fmt.Sprintf("%s%q stands in line %d too", at, l.pattern, first))
		}
		seen[l.pattern] = l.number
		switch {
		case l.section != last.section && sectionSeen[l.section]:
			problems = append(problems, fmt.Sprintf("%s[%s] begins a second time", at, l.section))
		case l.section == last.section && l.pattern < last.pattern:
			problems = append(problems, fmt.Sprintf("%s%q belongs before %q", at, l.pattern, last.pattern))
		}
		sectionSeen[l.section], last = true, l
		e, err := entryOf(name, l)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		if e.role == rolePolar && e.value == 0 {
			problems = append(problems, fmt.Sprintf("%s%q has the value 0: [void] is for what says nothing", at, l.pattern))
		}
		if classes == nil {
			continue
		}
		if fold(l.pattern) != l.pattern {
			problems = append(problems, fmt.Sprintf("%s%q should be written %q", at, l.pattern, fold(l.pattern)))
		}
	}
	return problems
}

func TestTheReviewOfWordsSeesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		lines []line
		says  string
	}{
		"twice":          {[]line{{1, "polar", "a", "1"}, {2, "polar", "a", "2"}}, "too"},
		"out of order":   {[]line{{1, "polar", "b", "1"}, {2, "polar", "a", "2"}}, "before"},
		"second begin":   {[]line{{1, "polar", "a", "1"}, {2, "negate", "no", ""}, {3, "polar", "b", "2"}}, "second time"},
		"out of range":   {[]line{{1, "polar", "a", "5"}}, "outside"},
		"not a number":   {[]line{{1, "polar", "a", "NaN"}}, "outside"},
		"no value":       {[]line{{1, "polar", "a", ""}}, "needs a value"},
		"a value":        {[]line{{1, "negate", "no", "1"}}, "no value"},
		"zero":           {[]line{{1, "polar", "a", "0"}}, "[void]"},
		"no section":     {[]line{{1, "polr", "a", "1"}}, "no section"},
		"an accent":      {[]line{{1, "polar", "mál", "1"}}, `"mal"`},
		"a praised hate": {[]line{{1, "swear", "a", "1"}}, "outside"},
	} {
		if problems := reviewWords("x.txt", c.lines, spanishClasses); !strings.Contains(strings.Join(problems, "\n"), c.says) {
			t.Errorf("%s: %q, want something with %q", name, problems, c.says)
		}
	}
}

func TestLanguagesListsNoWordTwice(t *testing.T) {
	lines, err := readSections("languages.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[2]string]bool{}
	for _, l := range lines {
		if key := [2]string{l.section, l.pattern}; seen[key] {
			t.Errorf("languages.txt:%d: %q stands in [%s] twice", l.number, l.pattern, l.section)
		} else {
			seen[key] = true
		}
	}
}

func TestStemsServeForTheFormsOfAWord(t *testing.T) {
	vocabularies := map[string]*vocabulary{}
	for language, classes := range map[string]map[string]class{Spanish: spanishClasses, English: englishClasses} {
		v, err := loadVocabulary(language, classes)
		if err != nil {
			t.Fatal(err)
		}
		vocabularies[language] = v
	}
	for _, c := range []struct{ language, forms string }{
		{Spanish, "decepciona decepcionado decepcionadas decepcionándome decepcionó decepcionarán decepcionábamos decepcionante decepción decepciones"},
		{Spanish, "bonito bonita bonitos bonitas bonitísimo bonitamente feliz felices felicísima felizmente genial geniales"},
		{Spanish, "pierdo perdí perdiendo perderíamos mentiroso mintió mientes mentían roto rotas"},
		{English, "disappoint disappoints disappointed disappointing disappointingly disappointment annoy annoyed annoyingly"},
		{English, "happy happier happiest happily happiness amazing amazingly hate hates hated hating terrible terribly"},
	} {
		for _, form := range strings.Fields(c.forms) {
			if e := vocabularies[c.language].find(fold(form)); e == nil || e.value == 0 {
				t.Errorf("%s: %q is not found", c.language, form)
			}
		}
	}
	for _, c := range []struct{ language, words string }{
		{Spanish, "casa mesa pedido bici tienda talla calle mañana rueda azul correo año"},
		{English, "house table order bike shop size street tomorrow wheel blue mail may"},
	} {
		for _, word := range strings.Fields(c.words) {
			if e := vocabularies[c.language].find(word); e != nil {
				t.Errorf("%s: %q means nothing, but has the value %g", c.language, word, e.value)
			}
		}
	}
}
