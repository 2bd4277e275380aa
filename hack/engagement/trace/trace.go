// Package trace invents requests for the tracked links and pixels of a campaign's mails, each with the truth about who sent it: people
// with the mail programs that they use, and programs that behave as their makers and those who met them describe it. What is made
// depends on the seed alone.
//
// Shares are invented, as no two audiences are alike: what a behaviour is taken for says more than the sums. There are programs
// among them that nobody can tell from people, and people who are as fast as programs.
package trace

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/engagement"
)

// Links is how many links each mail has, without the one that no person sees, which stands before them.
const Links = 10

// Request is a request as it comes to the server, with the truth about it.
type Request struct {
	At      time.Duration // since the campaign began
	Mail    int
	Kind    engagement.Kind
	Link    int // 1 to Links; 0 is the one that no person sees
	Head    bool
	Agent   string
	Headers engagement.Headers
	Origin  string // the address that it comes from

	Machine   bool
	Behaviour string
}

// Trace is a campaign.
type Trace struct {
	HandedOver []time.Duration // when the relay had taken each mail
	Requests   []Request       // in the order of time
}

// Make invents what happens to a number of mails.
func Make(seed uint64, mails int) Trace {
	random := rand.New(rand.NewPCG(seed, 0x7e27)) //nolint:gosec // it has to be the same every time
	total := 0
	for _, b := range behaviours {
		total += b.share
	}
	var t Trace
	for mail := range mails {
		// Some hundred mails leave a second.
		handedOver := time.Duration(mail) * 5 * time.Millisecond
		t.HandedOver = append(t.HandedOver, handedOver)
		pick := random.IntN(total)
		for _, b := range behaviours {
			if pick -= b.share; pick < 0 {
				a := actor{Rand: random, trace: &t, mail: mail, now: handedOver, behaviour: b.name, machine: b.machine}
				a.agent, a.origin = a.browser(), a.address()
				b.act(&a)
				break
			}
		}
	}
	slices.SortStableFunc(t.Requests, func(a, b Request) int { return cmp.Compare(a.At, b.At) })
	return t
}

// actor does things to a mail.
type actor struct {
	*rand.Rand
	trace         *Trace
	mail          int
	now           time.Duration
	agent, origin string
	headers       engagement.Headers
	behaviour     string
	machine       bool
}

func (a *actor) ask(kind engagement.Kind, link int, head bool) {
	a.trace.Requests = append(a.trace.Requests, Request{
		At: max(a.now, 0), Mail: a.mail, Kind: kind, Link: link, Head: head, Agent: a.agent, Headers: a.headers, Origin: a.origin,
		Machine: a.machine, Behaviour: a.behaviour,
	})
}

func (a *actor) open()          { a.ask(engagement.Open, 0, false) }
func (a *actor) click(link int) { a.ask(engagement.Click, link, false) }
func (a *actor) head(link int)  { a.ask(engagement.Click, link, true) }

// wait lets between so much and so much time pass.
func (a *actor) wait(least, most time.Duration) {
	a.now += least + time.Duration(a.Float64()*float64(most-least))
}

// linger lets time pass of which half of all waits are shorter than the median, and a few are very long.
func (a *actor) linger(median time.Duration, spread float64) {
	a.now += time.Duration(float64(median) * math.Exp(a.NormFloat64()*spread))
}

// arrive is how long a mail travels from the relay to the mailbox.
func (a *actor) arrive() { a.linger(3*time.Second, 0.8) }

// chance is true so often in a hundred times.
func (a *actor) chance(percent int) bool { return a.IntN(100) < percent }

// interesting is a link that a person likes: the first ones more.
func (a *actor) interesting() int { return 1 + min(int(a.ExpFloat64()*2.5), Links-1) }

func (a *actor) browser() string { return browsers[a.IntN(len(browsers))] }

func (a *actor) address() string {
	return "198.51." + decimal(a.IntN(256)) + "." + decimal(a.IntN(256))
}

func decimal(n int) string {
	digits := []byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)}
	return string(digits)
}
