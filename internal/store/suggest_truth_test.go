package store_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var (
	givenNames = strings.Fields(`Maria Carmen Ana Isabel Dolores Laura Cristina Marta Lucia Paula Elena Sara Raquel Julia Irene Alba Rosa Teresa Beatriz Silvia
		Antonio Manuel Jose Francisco David Juan Javier Daniel Carlos Miguel Alejandro Rafael Pedro Pablo Sergio Fernando Jorge Luis Alberto Alvaro
		Emma Olivia Grace Charlotte Oliver Harry George William Thomas Robert Edward Matthew Nicholas Ines Vega Candela Hugo Mateo Leo Nuria Montserrat
		Margarita Susana Patricia Victoria Catalina Rosario Mercedes Enrique Ignacio Joaquin Guillermo Vicente Ramon Ricardo Roberto Eduardo Santiago`)
	surnames = strings.Fields(`Garcia Rodriguez Gonzalez Fernandez Lopez Martinez Sanchez Perez Gomez Martin Jimenez Ruiz Hernandez Diaz Moreno Alvarez
		Romero Alonso Gutierrez Navarro Torres Dominguez Vazquez Ramos Gil Ramirez Serrano Blanco Molina Morales Suarez Ortega Delgado Castro Ortiz Rubio
		Marin Sanz Iglesias Medina Cortes Castillo Garrido Santos Lozano Guerrero Cano Prieto Mendez Cruz Gallego Vidal Leon Herrera Marquez Cabrera Flores
		Campos Reyes Fuentes Carrasco Diez Nieto Aguilar Pascual Santana Herrero Lorenzo Hidalgo Montero Ibanez Gimenez Ferrer Duran Vicente Benitez Mora
		Smith Jones Taylor Brown Wilson Evans Johnson Roberts Walker Wright Thompson White Hughes Green Hall Clarke Harrison Turner Parker Bennett Shaw
		Bakker Visser Meijer Schmidt Schneider Fischer Weber Wagner Becker Hoffmann Koch Richter Klein Wolf Krause Rossi Ferrari Esposito Bianchi Ricci`)
	// Rarer ones are put together: most people have a name that few have.
	surnameHeads = strings.Fields("Aran Beto Calde Domi Echa Fuste Gori Huer Iri Jova Lando Mira Nava Olme Pala Quin Riba Sala Tala Urru Vale Zaba")
	surnameTails = strings.Fields("beitia lles rriaga gorri mendi nza quela rena steguy vilar zuri ndez llosa nyola rda ques")
	cities       = strings.Fields(`Madrid Barcelona Valencia Sevilla Zaragoza Malaga Murcia Palma Bilbao Alicante Cordoba Valladolid Vigo Gijon Granada Elche Oviedo Cartagena
		Jerez Mostoles London Leeds Bristol Porto Lisboa Berlin`)
	familiar = map[string]string{
		"Francisco": "Paco", "Jose": "Pepe", "Dolores": "Lola", "Isabel": "Isa", "Manuel": "Manolo", "Antonio": "Toni", "Enrique": "Quique", "Ignacio": "Nacho",
		"Robert": "Bob", "William": "Bill", "Edward": "Ted", "Matthew": "Matt", "Nicholas": "Nick", "Thomas": "Tom", "Guillermo": "Guille", "Rosario": "Charo",
		"Rafael": "Rafa", "Eduardo": "Edu", "Beatriz": "Bea", "Susana": "Susi", "Patricia": "Patri", "Montserrat": "Montse", "Charlotte": "Lottie", "Javier": "Javi",
	}
)

// crowd makes people with known truth: names as unevenly spread as they are, and of some of them a second record that says the same otherwise.
type crowd struct{ r *rand.Rand }

func (c crowd) pick(list []string) string {
	// As Zipf has it: the first are far more frequent than the last.
	return list[int(float64(len(list))*math.Pow(c.r.Float64(), 1.7))]
}

func (c crowd) human(i int) human {
	h := human{first: c.pick(givenNames), city: c.pick(cities), locale: "es"}
	switch {
	case c.r.Float64() < 0.35:
		h.last = c.pick(surnames)
	case c.r.Float64() < 0.5:
		h.last = c.pick(surnames) + " " + c.pick(surnames)
	default:
		h.last = c.pick(surnameHeads) + c.pick(surnameTails)
	}
	if c.r.Float64() < 0.3 {
		h.birthday = time.Date(1940+c.r.IntN(65), time.Month(1+c.r.IntN(12)), 1+c.r.IntN(28), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	}
	local := fmt.Sprintf("rider%d", i)
	if c.r.Float64() < 0.6 {
		local = strings.ToLower(strings.ReplaceAll(h.first+"."+h.last, " ", "")) + fmt.Sprint(c.r.IntN(100))
	}
	h.email = local + "@mail.example"
	if c.r.Float64() < 0.4 {
		h.phone = fmt.Sprintf("+346%08d", i)
	}
	return h
}

func (c crowd) misspell(s string) string {
	if len(s) < 4 {
		return s + "a"
	}
	at := 1 + c.r.IntN(len(s)-2)
	switch c.r.IntN(4) {
	case 0:
		return s[:at] + s[at+1:]
	case 1:
		return s[:at] + s[at:at+1] + s[at:]
	case 2:
		return s[:at] + string(s[at+1]) + string(s[at]) + s[min(at+2, len(s)):]
	}
	return s[:at] + string("aeiourstln"[c.r.IntN(10)]) + s[at+1:]
}

// again is what another source says of the same person, who left little unchanged.
func (c crowd) again(h human, i int) (second human, how string) {
	second = h
	second.phone, second.email = "", fmt.Sprintf("other%d@post.example", i)
	if c.r.Float64() < 0.3 {
		second.email = strings.Split(h.email, "@")[0] + "@post.example"
	}
	if c.r.Float64() < 0.2 {
		second.city = ""
	}
	if c.r.Float64() < 0.1 {
		second.city = c.pick(cities)
	}
	switch how = []string{"misspelt", "misspelt", "familiar", "swapped", "same", "initial", "accents"}[c.r.IntN(7)]; how {
	case "misspelt":
		if c.r.IntN(2) == 0 {
			second.first = c.misspell(h.first)
		} else {
			second.last = c.misspell(h.last)
		}
	case "familiar":
		if nick, ok := familiar[h.first]; ok {
			second.first = nick
		}
	case "swapped":
		second.first, second.last = h.last, h.first
	case "initial":
		second.first, second.phone = h.first[:1]+".", h.phone
	case "accents":
		second.last = strings.NewReplacer("a", "á", "n", "ñ").Replace(strings.ToUpper(second.last[:1]) + second.last[1:])
	}
	return second, how
}

// TestSuggestionsAgainstTruth says how many of the pairs that are suggested are one person, and how many of those who are one are suggested.
func TestSuggestionsAgainstTruth(t *testing.T) {
	const people = 2500
	floors := map[float64][2]float64{0.5: {0.85, 0.8}, 0.8: {0.95, 0.6}} // precision and recall, by the least score
	db := suggestDB(t)
	c := crowd{rand.New(rand.NewPCG(1, 2))}
	first, second := make([]human, people), []human{}
	kinds, owner := []string{}, []int{}
	for i := range people {
		first[i] = c.human(i)
		if c.r.Float64() < 0.15 {
			h, how := c.again(first[i], i)
			second, kinds, owner = append(second, h), append(kinds, how), append(owner, i)
		}
	}
	began := time.Now()
	a, b := putHumans(t, db, "shop", first...), putHumans(t, db, "web", second...)
	truth, how := map[[2]int64]bool{}, map[[2]int64]string{}
	for i, id := range b {
		truth[[2]int64{a[owner[i]], id}], how[[2]int64{a[owner[i]], id}] = true, kinds[i]
	}
	written := time.Since(began)
	looked := look(t, db)
	t.Logf("%d contacts were written in %v and looked at in %v: %d pairs", looked.Contacts, written, time.Since(began)-written, looked.Pairs)

	rows, err := db.Pool.Query(context.Background(), "select a, b, score from suggestion")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[[2]int64]float64{}
	for rows.Next() {
		var pair [2]int64
		var score float64
		if err := rows.Scan(&pair[0], &pair[1], &score); err != nil {
			t.Fatal(err)
		}
		found[pair] = score
	}
	for _, least := range []float64{0.5, 0.6, 0.7, 0.8, 0.9, 0.95} {
		listed, right := 0, 0
		for pair, score := range found {
			if score >= least {
				listed++
				if truth[pair] {
					right++
				}
			}
		}
		precision, recall := float64(right)/float64(max(1, listed)), float64(right)/float64(len(truth))
		t.Logf("from %.2f on: %4d suggested, precision %.3f, recall %.3f", least, listed, precision, recall)
		if floor, ok := floors[least]; ok && (precision < floor[0] || recall < floor[1]) {
			t.Errorf("from %.2f on: precision %.3f, recall %.3f; want %v at least", least, precision, recall, floor)
		}
	}
	missed, all := map[string]int{}, map[string]int{}
	for pair := range truth {
		all[how[pair]]++
		if _, ok := found[pair]; !ok {
			missed[how[pair]]++
		}
	}
	t.Logf("missed, by how the second record differs: %v of %v", missed, all)
}
