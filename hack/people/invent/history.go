package invent

import (
	"fmt"
	"math/rand/v2"
	"time"
)

const day = 24 * time.Hour

// habit is how the members of a plan shop.
type habit struct {
	never  float64 // share that has not bought anything
	lapsed float64 // share of the buyers whose last order is more than 90 days old
	gap    float64 // mean days between two orders
}

var habits = map[string]habit{
	"free": {never: 0.34, lapsed: 0.68, gap: 260},
	"club": {never: 0.08, lapsed: 0.52, gap: 150},
	"pro":  {never: 0.04, lapsed: 0.30, gap: 95},
}

// orders invents a contact's purchases and the carts left behind between them, the newest first, and sums up what was spent.
func orders(r *rand.Rand, c *Contact, until time.Time) []Event {
	h := habits[c.Plan]
	if r.Float64() < h.never {
		return nil
	}
	since := r.Float64() * 88 // days
	if r.Float64() < h.lapsed {
		since = 92 + r.ExpFloat64()*200
	}
	var events []Event
	for n := 0; n < 8; n++ {
		at := until.Add(-time.Duration(since * float64(day)))
		if n > 0 && at.Before(c.memberSince) {
			break
		}
		events = append(events, purchase(r, n, c, at))
		if r.Float64() < 0.2 {
			events = append(events, cart(r, n, c, at.Add(-time.Duration(1+r.IntN(9))*day)))
		}
		since += 5 + r.ExpFloat64()*h.gap
	}
	return events
}

func purchase(r *rand.Rand, n int, c *Contact, at time.Time) Event {
	article := pick(r, catalogue)
	items := 1 + min(r.IntN(2)*r.IntN(4), 3)
	cents := article.cents
	for range items - 1 {
		cents += pick(r, catalogue[:smallArticles]).cents
	}
	c.SpentCents += cents
	return Event{
		ID: fmt.Sprintf("%s-order-%d", c.ExternalID, n+1), Name: "purchase", Contact: c.ExternalID, At: at.Truncate(time.Second),
		Properties: map[string]any{"amount": euros(cents), "items": items, "sku": article.sku, "gift": r.Float64() < 0.06},
	}
}

func cart(r *rand.Rand, n int, c *Contact, at time.Time) Event {
	return Event{
		ID: fmt.Sprintf("%s-cart-%d", c.ExternalID, n+1), Name: "cart-abandoned", Contact: c.ExternalID, At: at.Truncate(time.Second),
		Properties: map[string]any{"amount": euros(pick(r, catalogue).cents)},
	}
}

// visit is the n-th event of the population: a look at the site, more often of late.
func visit(r *rand.Rand, n int, c Contact, until time.Time) Event {
	ago := time.Duration(min(r.ExpFloat64()*60, 700) * float64(day))
	return Event{
		ID: fmt.Sprintf("visit-%d", n+1), Name: "site-visit", Contact: c.ExternalID, At: until.Add(-ago).Truncate(time.Second),
		Properties: map[string]any{"page": pick(r, pages), "seconds": 4 + r.IntN(400)},
	}
}

// euros writes cents as a decimal text: a float would not be exact.
func euros(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
