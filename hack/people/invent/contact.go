package invent

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// newContact invents the i-th contact.
func newContact(r *rand.Rand, i int, until time.Time) Contact {
	home := pick(r, homes)
	c := Contact{
		ExternalID:  fmt.Sprintf("C%07d", i+1),
		City:        home.city,
		Country:     home.country,
		TimeZone:    home.timeZone,
		Locale:      home.locale,
		Plan:        weighted(r, []string{"free", "club", "pro"}, []float64{0.58, 0.32, 0.10}),
		Tags:        disciplines(r),
		Newsletter:  weighted(r, []string{"true", "false", ""}, []float64{0.84, 0.05, 0.11}),
		memberSince: until.AddDate(0, 0, -1-r.IntN(1400)),
		activity:    0.2 + r.ExpFloat64(),
	}
	people := spanish
	if strings.HasPrefix(home.locale, "en") {
		people = english
	}
	first, last := pick(r, people.first), pick(r, people.last)
	if people.twoSurnames && r.Float64() < 0.7 {
		last += " " + pick(r, people.last)
	}
	if r.Float64() >= 0.04 {
		c.Email = address(first, last, i, pick(r, mailDomains))
	}
	c.LastName = last
	if r.Float64() >= 0.03 {
		c.FirstName = first // a few only left an address, so that greetings must fall back
	}
	if r.Float64() < 0.6 {
		c.Birthday = time.Date(1950+r.IntN(57), time.January, 1+r.IntN(365), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	}
	if r.Float64() < 0.75 {
		c.JerseySize = weighted(r, []string{"XS", "S", "M", "L", "XL", "XXL"}, []float64{0.05, 0.2, 0.33, 0.27, 0.11, 0.04})
	}
	return c
}

// address composes an address that is unique by the contact's number.
func address(first, last string, i int, domain string) string {
	last, _, _ = strings.Cut(last, " ")
	return fmt.Sprintf("%s.%s%d@%s", ascii.Replace(strings.ToLower(first)), ascii.Replace(strings.ToLower(last)), i+1, domain)
}

// ascii writes names with the letters that addresses have.
var ascii = strings.NewReplacer("á", "a", "é", "e", "í", "i", "ó", "o", "ú", "u", "ü", "u", "ñ", "n", "ç", "c", "'", "", " ", "")

// disciplines are what somebody rides: often one, sometimes two, sometimes unknown.
func disciplines(r *rand.Rand) []string {
	all := []string{"road", "gravel", "mtb", "commuter"}
	first := weighted(r, append(all, ""), []float64{0.44, 0.2, 0.16, 0.1, 0.1})
	if first == "" {
		return nil
	}
	second := weighted(r, append(all, ""), []float64{0.08, 0.15, 0.06, 0.06, 0.65})
	if second == "" || second == first {
		return []string{first}
	}
	return []string{first, second}
}

// pick takes one of a list, each as likely as the others.
func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// weighted takes one of a list by weights that add up to 1.
func weighted[T any](r *rand.Rand, from []T, weights []float64) T {
	at := r.Float64()
	for i, w := range weights {
		if at < w {
			return from[i]
		}
		at -= w
	}
	return from[len(from)-1]
}
