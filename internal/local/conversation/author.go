package conversation

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// How often something follows from a post, in a hundred.
const (
	answered  = 12 // by somebody else
	helped    = 30 // a complaint about the shop, by the shop
	regretted = 1  // and deleted
)

// author invents the posts of one slot.
type author struct {
	random *rand.Rand
	start  time.Time
	events []Event
	serial uint16
}

// moment is a time within the slot.
func (a *author) moment() time.Time {
	return a.start.Add(time.Duration(a.random.Int64N(int64(slot/time.Millisecond))) * time.Millisecond)
}

// later is a time soon after another one: most follow within some minutes.
func (a *author) later(after time.Time) time.Time {
	wait := time.Duration(float64(9*time.Minute) * (0.1 + a.random.ExpFloat64()))
	return after.Add(min(wait, latest-slot)).Truncate(time.Millisecond)
}

func (a *author) happens(inHundred int) bool { return a.random.IntN(100) < inHundred }

// write adds a post. Its serial number is in its time too, as microseconds: the network's cursor is a time.
func (a *author) write(p Post) *Post {
	a.serial++
	p.serial = a.serial
	p.At = p.At.Add(time.Duration(p.serial) * time.Microsecond)
	a.events = append(a.events, Event{At: p.At, Post: &p})
	if a.happens(regretted) {
		a.events = append(a.events, Event{At: a.later(p.At), Post: &p, Deleted: true})
	}
	return &p
}

// writeAbout has somebody say something about a brand, and others answer.
func (a *author) writeAbout(brand string) {
	mood := Neutral
	switch draw := a.random.IntN(100); {
	case draw < 20:
		mood = Negative
	case draw < 55:
		mood = Positive
	}
	who := a.somebody()
	text := a.compose(who.Language, brand, phrasesOf(who.Language).about[mood])
	post := a.write(Post{At: a.moment(), Author: who, Language: who.Language, Text: text, Mood: mood, About: brand})
	a.follow(post)
}

// writeOther has somebody talk of something else.
func (a *author) writeOther() {
	who := a.somebody()
	text := a.compose(who.Language, "", phrasesOf(who.Language).other)
	a.write(Post{At: a.moment(), Author: who, Language: who.Language, Text: text, Mood: Neutral})
}

// complain has somebody say that they were charged twice.
func (a *author) complain() {
	who := a.somebody()
	mood, cores := Negative, phrasesOf(who.Language).crisis
	if a.happens(15) {
		mood, cores = Neutral, phrasesOf(who.Language).rumour
	}
	post := a.write(Post{At: a.moment(), Author: who, Language: who.Language, Text: a.compose(who.Language, Brand, cores), Mood: mood, About: Brand})
	a.follow(post)
}

// follow has others answer a post.
func (a *author) follow(post *Post) {
	words := phrasesOf(post.Language)
	answer := func(who *Person, text string) {
		a.write(Post{At: a.later(post.At), Author: who, Language: post.Language, Text: text, Mood: Neutral, Parent: post})
	}
	if a.happens(answered) {
		answer(a.somebodyOf(post.Language), pick(a.random, words.answers))
	}
	if post.About == Brand && post.Mood == Negative && a.happens(helped) {
		answer(theShop, pick(a.random, words.help))
	}
}

// compose makes a text of one of some cores: with the places filled in, and often with a beginning and an end.
func (a *author) compose(language, brand string, cores []string) string {
	words := phrasesOf(language)
	text := pick(a.random, cores)
	rival := pick(a.random, []string{Brand, Rival, Second})
	for rival == brand {
		rival = pick(a.random, []string{Brand, Rival, Second})
	}
	text = strings.NewReplacer(
		"{b}", brand, "{o}", rival, "{p}", pick(a.random, words.products), "{c}", pick(a.random, cities),
		"{n}", strconv.Itoa(2+a.random.IntN(12)), "{km}", strconv.Itoa(20+5*a.random.IntN(30)),
	).Replace(text)
	text = capital(text)
	if a.happens(20) {
		text = pick(a.random, words.openers) + " " + text
	}
	if brand != "" && a.happens(25) {
		text += " " + pick(a.random, words.closers)
	}
	switch {
	case a.happens(8):
		text = strings.ToLower(text)
	case a.happens(8):
		text = strings.TrimRight(text, ".")
	}
	return text
}

// capital begins a text with a capital.
func capital(text string) string {
	for i, r := range text {
		return strings.ToUpper(string(r)) + text[i+len(string(r)):]
	}
	return text
}

func (a *author) somebody() *Person { return &people[a.random.IntN(len(people))] }

// somebodyOf is somebody who writes in a language.
func (a *author) somebodyOf(language string) *Person {
	for {
		if who := a.somebody(); who.Language == language {
			return who
		}
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
