// Package invent makes up the customers of a maker of cycling clothes and what they did, for demonstrations, tests and
// benchmarks. Nobody in it exists: names are composed, and addresses lie in domains that nobody can own (RFC 2606).
package invent

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Options say how many people to invent. The same options give the same population.
type Options struct {
	Contacts int
	Events   int       // of all contacts together
	Seed     uint64    // another seed gives other people
	Until    time.Time // nothing happened after it
}

// Contact is an invented customer. Empty fields are what the shop does not know.
type Contact struct {
	ExternalID  string // in the shop
	Email       string // some share one, some have none
	FirstName   string
	LastName    string
	Birthday    string // 2006-01-02
	City        string
	Country     string // ISO 3166-1 alpha-2
	Plan        string // free, club or pro
	JerseySize  string
	SpentCents  int64 // all purchases together
	Tags        []string
	Locale      string
	TimeZone    string
	Newsletter  string // true, false, or empty where nobody asked
	memberSince time.Time
	activity    float64 // how often they look at the site, relative to others
}

// Event is something that a contact did.
type Event struct {
	ID         string // for ever the same, so that importing twice counts once
	Name       string
	Contact    string // ExternalID
	At         time.Time
	Properties map[string]any
}

// Population is who was invented and what they did, events in the order of time.
type Population struct {
	Contacts []Contact
	Events   []Event
}

// New invents a population.
func New(o Options) *Population {
	p := &Population{Contacts: make([]Contact, o.Contacts), Events: make([]Event, 0, o.Events)}
	for i := range p.Contacts {
		// A generator for each contact: asking for more people leaves those before them as they were.
		r := rand.New(rand.NewPCG(o.Seed, uint64(i)))
		c := newContact(r, i, o.Until)
		if i > 0 && r.Float64() < 0.06 {
			joinHousehold(&c, p.Contacts[i-1])
		}
		for _, e := range orders(r, &c, o.Until) {
			if len(p.Events) < o.Events {
				p.Events = append(p.Events, e)
			}
		}
		p.Contacts[i] = c
	}
	p.addVisits(rand.New(rand.NewPCG(o.Seed, 1<<63)), o)
	slices.SortStableFunc(p.Events, func(a, b Event) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
	return p
}

// joinHousehold lets a contact live with another and use the same address, as couples do.
func joinHousehold(c *Contact, with Contact) {
	if with.Email == "" {
		return
	}
	c.Email, c.LastName = with.Email, with.LastName
	c.City, c.Country, c.TimeZone, c.Locale = with.City, with.Country, with.TimeZone, with.Locale
}

// addVisits fills up to the number of events that was asked for with visits to the site, more of them by active people.
func (p *Population) addVisits(r *rand.Rand, o Options) {
	if len(p.Contacts) == 0 {
		return
	}
	reach := make([]float64, len(p.Contacts)) // running sums of activity
	sum := 0.0
	for i, c := range p.Contacts {
		sum += c.activity
		reach[i] = sum
	}
	for n := len(p.Events); n < o.Events; n++ {
		i, _ := slices.BinarySearch(reach, r.Float64()*sum)
		c := p.Contacts[min(i, len(p.Contacts)-1)]
		p.Events = append(p.Events, visit(r, n, c, o.Until))
	}
}
