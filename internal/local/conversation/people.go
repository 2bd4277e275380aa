package conversation

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

// Person is somebody who writes. All of them are invented, and their addresses end in .example, which nobody can own.
type Person struct {
	DID      string // as the network names accounts
	Handle   string
	Name     string
	Language string // es or en
	// Followers are few for most and many for some.
	Followers int
	Since     time.Time // when the account was made
}

// population is how many people talk.
const population = 900

var (
	firstNames = map[string][]string{
		"es": {
			"Ainhoa", "Bruno", "Candela", "Darío", "Elvira", "Fermín", "Greta", "Hernán", "Irene", "Jacinto", "Leire", "Mateo", "Nerea", "Olmo",
			"Paloma", "Quique", "Rocío", "Saúl", "Tomasa", "Unai", "Valeria", "Xabier", "Yolanda", "Zoe",
		},
		"en": {
			"Alfie", "Bea", "Callum", "Daisy", "Elliot", "Freya", "George", "Hattie", "Isla", "Jude", "Kit", "Lottie", "Milo", "Nell", "Otis", "Poppy",
			"Rory", "Sadie", "Toby", "Una", "Vince", "Willa",
		},
	}
	pastimes = map[string][]string{
		"es": {"pedalea", "cuestarriba", "en ruta", "sin cadena", "de domingo", "gravel", "piñón fijo", "pinchazos", "al puerto", "de ciudad"},
		"en": {"rides", "uphill", "spins", "off road", "on gravel", "commutes", "half wheels", "on Sundays", "flat tyre", "bikepacks"},
	}
)

// people are those who talk. Three in five write Spanish.
var people = func() []Person {
	all := make([]Person, population)
	for i := range all {
		language := "es"
		if i%5 >= 3 {
			language = "en"
		}
		names, likes := firstNames[language], pastimes[language]
		name := names[i/5%len(names)] + " " + likes[i/7%len(likes)]
		all[i] = Person{
			DID: didOf(fmt.Sprint("person ", i)), Handle: fmt.Sprintf("%s-%d.example", slug(name), i+1), Name: name, Language: language,
			Followers: 12 + 40_000/(1+i*7919%population), Since: firstAccount.AddDate(0, 0, i*131%1200),
		}
	}
	return all
}()

// firstAccount is when the first of them was made.
var firstAccount = time.Date(2023, 2, 28, 9, 0, 0, 0, time.UTC)

// theShop is the account of the shop itself.
var theShop = &Person{DID: didOf("the shop"), Handle: ShopHandle, Name: "Velo Ciclismo", Language: "es", Followers: 21_400, Since: firstAccount}

// ShopDID is the shop's account as the network names it.
var ShopDID = theShop.DID

// lower is the alphabet of identifiers on the network (RFC 4648, in lower case).
var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// didOf makes an account's identifier, in the form of those that a directory gives.
func didOf(what string) string {
	sum := sha256.Sum256([]byte(what))
	return "did:plc:" + lower.EncodeToString(sum[:15])
}

// slug writes a name with the letters that host names have.
func slug(name string) string {
	name = strings.NewReplacer("á", "a", "é", "e", "í", "i", "ó", "o", "ú", "u", "ü", "u", "ñ", "n", " ", "-").Replace(strings.ToLower(name))
	return strings.Trim(name, "-")
}

// contentOf makes an identifier of content (CID) for what has an address. It looks like one, and is the hash of the address instead.
func contentOf(uri string) string {
	sum := sha256.Sum256([]byte(uri))
	return "b" + lower.EncodeToString(append([]byte{1, 0x71, 0x12, 0x20}, sum[:]...))
}
