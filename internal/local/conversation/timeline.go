package conversation

import (
	"cmp"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Timeline is what is said, as a function of time: whoever asks twice, or another day, is told the same.
type Timeline struct {
	// Seed makes one conversation differ from another.
	Seed uint64
	// Crisis is when customers begin to be charged twice; with the zero time they never are.
	Crisis time.Time
	// Complaint is when a customer who was wronged writes to the shop; with the zero time nobody does.
	Complaint time.Time
}

// Event is that somebody wrote something, or took it back.
type Event struct {
	At   time.Time
	Post *Post
	// Deleted says that Post, which was written before, is gone.
	Deleted bool
}

// Post is something that somebody wrote.
type Post struct {
	At       time.Time
	Author   *Person
	Language string // es or en
	Text     string
	Mood     Mood
	// About is the brand that it is about; "" for the many posts that are about something else.
	About string
	// Parent is what it answers; nil for most.
	Parent *Post
	serial uint16 // tells posts of one moment apart
}

// Mood is how a post is meant.
type Mood string

// The moods.
const (
	Negative Mood = "negative"
	Neutral  Mood = "neutral"
	Positive Mood = "positive"
)

// Brands that are talked of: the shop of the example, and two that it competes with.
const (
	Brand  = "Velo"
	Rival  = "Pedalia"
	Second = "Rodamar"
)

// How much is said in an hour, on average over a week.
const (
	brandRate  = 8
	rivalRate  = 5
	secondRate = 2
	otherRate  = 12
)

// The crisis.
const (
	crisisRate  = 120 // complaints in an hour while it is at its worst
	crisisRises = 20 * time.Minute
	crisisLasts = 3 * time.Hour // until then nobody does anything about it
	crisisHalf  = time.Hour     // in which it halves from then on
	crisisEnds  = 12 * time.Hour
)

const (
	// slot is the time that is invented at once.
	slot = 5 * time.Minute
	// latest is after which time nobody answers or deletes a post any more.
	latest = 55 * time.Minute
	// lookBack is how many slots before one have posts that are answered in it.
	lookBack = int64(latest/slot) + 1
)

// home is where the shop's customers live, without its summer time: it only says when they sleep.
var home = time.FixedZone("CET", 3600)

// hours are how much is said in each hour of the day, of what is said on average.
var hours = [24]float64{
	0.25, 0.12, 0.08, 0.06, 0.08, 0.2, 0.5, 0.9, 1.2, 1.3, 1.3, 1.3, 1.3, 1.3, 1.2, 1.1, 1.2, 1.4, 1.6, 1.9, 2.0, 1.8, 1.3, 0.6,
}

// Events are what happens after a moment and up to another one, in order.
func (t *Timeline) Events(after, until time.Time) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		w := writer{timeline: t, slots: map[int64][]Event{}}
		for at := slotOf(after); !startOf(at).After(until); at++ {
			for _, e := range w.slot(at) {
				if e.At.After(after) && !e.At.After(until) && !yield(e) {
					return
				}
			}
		}
	}
}

// writer remembers what was begun in the slots before.
type writer struct {
	timeline *Timeline
	slots    map[int64][]Event // what was begun in a slot, with what follows from it, which may lie in later ones
}

func slotOf(at time.Time) int64     { return at.Unix() / int64(slot/time.Second) }
func startOf(index int64) time.Time { return time.Unix(index*int64(slot/time.Second), 0).UTC() }

// slot is what happens in a slot.
func (w *writer) slot(index int64) []Event {
	delete(w.slots, index-lookBack-1)
	var events []Event
	for i := index - lookBack; i <= index; i++ {
		begun, ok := w.slots[i]
		if !ok {
			begun = w.timeline.begin(i)
			w.slots[i] = begun
		}
		for _, e := range begun {
			if slotOf(e.At) == index {
				events = append(events, e)
			}
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Post.serial, b.Post.serial))
	})
	return events
}

// begin invents the posts of a slot, and what follows from them.
func (t *Timeline) begin(index int64) []Event {
	r := rand.New(rand.NewPCG(t.Seed, uint64(index))) //nolint:gosec // invention, no secret; an index is never negative here
	a := author{random: r, start: startOf(index)}
	usual := t.usual(index)
	for _, about := range []struct {
		brand string
		rate  float64
	}{{Brand, brandRate}, {Rival, rivalRate}, {Second, secondRate}} {
		for range poisson(r, about.rate*usual*slot.Hours()) {
			a.writeAbout(about.brand)
		}
	}
	for range poisson(r, otherRate*usual*slot.Hours()) {
		a.writeOther()
	}
	for range poisson(r, t.trouble(startOf(index))*slot.Hours()) {
		a.complain()
	}
	if !t.Complaint.IsZero() && slotOf(t.Complaint) == index {
		a.events = append(a.events, Event{At: t.Complaint, Post: t.demand()})
	}
	return a.events
}

// Demand is what the customer writes at Complaint, behind the name of the shop.
const Demand = "Tres semanas esperando mi pedido de Velo y nadie contesta. Una vergüenza, estoy harta: no vuelvo a comprar."

func (t *Timeline) demand() *Post {
	return &Post{
		At: t.Complaint, Author: &people[0], Language: "es", Mood: Negative, About: Brand,
		Text: "@" + theShop.Handle + " " + Demand,
	}
}

// usual is by how much more is said in a slot than on average: by the hour, the weekend, and the day, of which some are livelier.
func (t *Timeline) usual(index int64) float64 {
	at := startOf(index).In(home)
	factor := hours[at.Hour()]
	if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		factor *= 1.25
	}
	day := uint64(at.Unix() / 86_400)                  //nolint:gosec // since 1970
	r := rand.New(rand.NewPCG(t.Seed^0x9e3779b9, day)) //nolint:gosec // invention, no secret
	return factor * math.Exp(0.18*r.NormFloat64()-0.0162)
}

// trouble is how many people complain in an hour that they were charged twice.
func (t *Timeline) trouble(at time.Time) float64 {
	since := at.Sub(t.Crisis)
	switch {
	case t.Crisis.IsZero() || since < 0 || since > crisisEnds:
		return 0
	case since < crisisRises:
		return crisisRate * float64(since+slot) / float64(crisisRises+slot)
	case since < crisisLasts:
		return crisisRate
	}
	return crisisRate * math.Exp2(-float64(since-crisisLasts)/float64(crisisHalf))
}

// poisson draws how many there are of what happens so often (Knuth, The Art of Computer Programming, 3.4.1).
func poisson(r *rand.Rand, mean float64) int {
	limit, n := math.Exp(-mean), 0
	for product := r.Float64(); product > limit; product *= r.Float64() {
		n++
	}
	return n
}
