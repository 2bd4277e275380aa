package invent

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var options = Options{Contacts: 10_000, Events: 60_000, Seed: 1, Until: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}

func TestNewIsDeterministic(t *testing.T) {
	var files [2]bytes.Buffer
	for i := range files {
		p := New(options)
		if err := p.WriteContacts(&files[i]); err != nil {
			t.Fatalf("write contacts: %v", err)
		}
		if err := p.WriteEvents(&files[i]); err != nil {
			t.Fatalf("write events: %v", err)
		}
	}
	if !bytes.Equal(files[0].Bytes(), files[1].Bytes()) {
		t.Error("the same options gave two populations")
	}
}

func TestMorePeopleLeaveTheFirstAsTheyWere(t *testing.T) {
	few := New(Options{Contacts: 50, Seed: options.Seed, Until: options.Until})
	many := New(Options{Contacts: 500, Seed: options.Seed, Until: options.Until})
	if diff := cmp.Diff(csvOf(t, few), csvOf(t, many)[:51]); diff != "" {
		t.Errorf("the first 50 of 500 contacts differ from the 50 (-50 +500):\n%s", diff)
	}
}

func TestNewGivesWhatWasAskedFor(t *testing.T) {
	for name, o := range map[string]Options{
		"the demo":             options,
		"nobody":               {Until: options.Until},
		"people who do little": {Contacts: 1000, Events: 7, Until: options.Until},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(o)
			if len(p.Contacts) != o.Contacts || len(p.Events) != o.Events {
				t.Errorf("%d contacts and %d events, want %d and %d", len(p.Contacts), len(p.Events), o.Contacts, o.Events)
			}
		})
	}
}

func TestEventsAreUniqueAndInThePast(t *testing.T) {
	p := New(options)
	known := make(map[string]bool, len(p.Contacts))
	for _, c := range p.Contacts {
		known[c.ExternalID] = true
	}
	seen := make(map[string]bool, len(p.Events))
	for _, e := range p.Events {
		switch {
		case seen[e.ID]:
			t.Fatalf("two events have the id %s", e.ID)
		case !known[e.Contact]:
			t.Fatalf("event %s is of %s, who does not exist", e.ID, e.Contact)
		case e.At.After(options.Until):
			t.Fatalf("event %s happened at %s, after the end", e.ID, e.At)
		}
		seen[e.ID] = true
	}
}

// TestAddressesReachNobody is a promise to the world: a demo pointed at a real relay by mistake mails no stranger.
func TestAddressesReachNobody(t *testing.T) {
	for _, c := range New(options).Contacts {
		if c.Email == "" {
			continue
		}
		_, domain, _ := strings.Cut(c.Email, "@")
		reserved := strings.HasSuffix(domain, ".example") || domain == "example.com" || domain == "example.org" || domain == "example.net"
		if !reserved {
			t.Fatalf("%s could be somebody's", c.Email)
		}
		if strings.ContainsFunc(c.Email, func(r rune) bool { return r > 127 || r == ' ' || r == '\'' }) {
			t.Fatalf("%q is no plain address", c.Email)
		}
	}
}

// TestShares checks that the demo has something to show: nothing is empty, and nothing is everybody.
func TestShares(t *testing.T) {
	p := New(options)
	shares := sharesOf(p)
	for name, want := range map[string]struct{ least, most int }{
		"no address":                {200, 600},
		"share an address":          {600, 1800},
		"no consent":                {1000, 2500},
		"no first name":             {150, 600},
		"Spanish":                   {5500, 8000},
		"segment lapsed-club":       {700, 2500},
		"segment big-spenders":      {500, 2500},
		"segment recent-buyers":     {200, 1200},
		"audience with its exclude": {1200, 4000},
	} {
		if got := shares[name]; got < want.least || got > want.most {
			t.Errorf("%s: %d of 10000, want between %d and %d", name, got, want.least, want.most)
		}
	}
	t.Log(shares)
}

func sharesOf(p *Population) map[string]int {
	n := map[string]int{}
	count := func(name string, when bool) {
		if when {
			n[name]++
		}
	}
	addresses := map[string]int{}
	for _, c := range p.Contacts {
		addresses[c.Email]++
	}
	type shopping struct {
		ever, within90, within365, within14 int
		cents                               int64
	}
	bought := map[string]shopping{}
	for _, e := range p.Events {
		if e.Name != "purchase" {
			continue
		}
		s := bought[e.Contact]
		s.ever++
		switch days := options.Until.Sub(e.At).Hours() / 24; {
		case days < 14:
			s.within14++
			fallthrough
		case days < 90:
			s.within90++
			fallthrough
		case days < 365:
			s.within365++
			s.cents += centsOf(e.Properties["amount"].(string))
		}
		bought[e.Contact] = s
	}
	for _, c := range p.Contacts {
		s := bought[c.ExternalID]
		lapsed := c.Plan == "club" && s.ever > 0 && s.within90 == 0
		spender := s.cents >= 400_00 && s.within365 >= 2
		count("no address", c.Email == "")
		count("share an address", c.Email != "" && addresses[c.Email] > 1)
		count("no consent", c.Newsletter != "true")
		count("no first name", c.FirstName == "")
		count("Spanish", strings.HasPrefix(c.Locale, "es"))
		count("segment lapsed-club", lapsed)
		count("segment big-spenders", spender)
		count("segment recent-buyers", s.within14 > 0)
		count("audience with its exclude", (lapsed || spender) && s.within14 == 0)
	}
	return n
}

func centsOf(euros string) int64 {
	var cents int64
	for _, digit := range strings.ReplaceAll(euros, ".", "") {
		cents = cents*10 + int64(digit-'0')
	}
	return cents
}

func TestFilesCanBeReadBack(t *testing.T) {
	p := New(Options{Contacts: 300, Events: 900, Seed: 7, Until: options.Until})
	records := csvOf(t, p)
	if len(records) != 301 {
		t.Errorf("%d records, want a header and 300", len(records))
	}
	var events bytes.Buffer
	if err := p.WriteEvents(&events); err != nil {
		t.Fatalf("write events: %v", err)
	}
	in := json.NewDecoder(&events)
	in.DisallowUnknownFields()
	for range 900 {
		var line eventLine
		if err := in.Decode(&line); err != nil {
			t.Fatalf("read events: %v", err)
		}
	}
}

// csvOf is the contacts file, read back.
func csvOf(t *testing.T, p *Population) [][]string {
	t.Helper()
	var file bytes.Buffer
	if err := p.WriteContacts(&file); err != nil {
		t.Fatalf("write contacts: %v", err)
	}
	records, err := csv.NewReader(&file).ReadAll()
	if err != nil {
		t.Fatalf("read contacts: %v", err)
	}
	return records
}
