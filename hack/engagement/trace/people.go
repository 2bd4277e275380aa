package trace

import "time"

// browsers are agents that people have.
var browsers = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)", // Mail itself, with its protection off
	"Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17928; Pro)",
}

const (
	gmailProxy   = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
	gmailPreview = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) " +
		"Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
	yahooProxy = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
	appleProxy = "Mozilla/5.0"
)

// behaviour is a way in which mails are treated, and how often it occurs.
type behaviour struct {
	name    string
	share   int
	machine bool // what the actor does by itself; asMachine says otherwise
	act     func(*actor)
}

var behaviours = append(peopleBehaviours, machineBehaviours...)

var peopleBehaviours = []behaviour{
	{name: "never seen", share: 300, act: func(*actor) {}},
	{name: "reads at a desk", share: 150, act: func(a *actor) {
		a.arrive()
		a.linger(3*time.Hour, 1.6)
		a.read(30)
	}},
	{name: "reads in Gmail", share: 200, act: func(a *actor) {
		agent, origin := a.agent, a.origin
		a.arrive()
		if a.chance(25) { // loaded on delivery, before anybody reads
			a.asMachine("Gmail on delivery", gmailPreview, func() { a.open() })
		}
		a.linger(2*time.Hour, 1.8)
		a.agent, a.origin = gmailProxy, "66.249.84.1"
		a.open()
		a.agent, a.origin = agent, origin
		a.follow(25)
	}},
	{name: "reads in Yahoo", share: 30, act: func(a *actor) {
		agent := a.agent
		a.arrive()
		a.linger(2*time.Hour, 1.8)
		a.agent = yahooProxy
		a.open()
		a.agent = agent
		a.follow(20)
	}},
	{name: "reads in Apple Mail", share: 180, act: func(a *actor) {
		a.arrive()
		a.linger(5*time.Minute, 1.5)
		a.asMachine("Apple's privacy proxy", appleProxy, func() { a.open() })
		if a.chance(50) { // reads it; the picture is there already, so that nobody hears of it
			a.linger(3*time.Hour, 1.5)
			a.agent = browsers[6]
			a.follow(30)
		}
	}},
	{name: "jumps at every mail", share: 15, act: func(a *actor) {
		a.agent = browsers[4]
		a.arrive()
		a.linger(9*time.Second, 0.6) // from the sound to the mail
		a.read(60)
	}},
	{name: "opens many in tabs", share: 12, act: func(a *actor) {
		a.arrive()
		a.linger(3*time.Hour, 1.4)
		a.open()
		a.linger(25*time.Second, 0.7)
		for link := 1 + a.IntN(2); link <= Links && !a.chance(12); link += 1 + a.IntN(2) {
			a.click(link)
			a.linger(1500*time.Millisecond, 0.5)
		}
	}},
	{name: "clicks twice", share: 12, act: func(a *actor) {
		a.arrive()
		a.linger(2*time.Hour, 1.5)
		a.open()
		a.linger(15*time.Second, 0.8)
		link := a.interesting()
		a.click(link)
		a.wait(150*time.Millisecond, 900*time.Millisecond)
		a.click(link)
	}},
	{name: "reads behind a check at the click", share: 45, act: func(a *actor) {
		a.arrive()
		a.linger(2*time.Hour, 1.5)
		a.open()
		if !a.chance(40) {
			return
		}
		a.linger(20*time.Second, 0.9)
		link := a.interesting()
		check := a.browser()
		if a.chance(40) {
			check = ""
		}
		a.asMachine("check at the click", check, func() {
			if a.chance(50) {
				a.head(link)
			}
			a.click(link)
		})
		a.wait(400*time.Millisecond, 3*time.Second)
		a.click(link)
	}},
	{name: "is read over by a scanner first", share: 40, act: func(a *actor) {
		arrived := a.now
		a.asMachine("gateway, all links", a.browser(), func() { a.scanAll(true, 30*time.Millisecond, 250*time.Millisecond) })
		a.now = arrived
		a.arrive()
		a.linger(2*time.Hour, 1.6)
		a.read(30)
	}},
}

// read opens a mail and perhaps follows links.
func (a *actor) read(percent int) {
	a.open()
	a.follow(percent)
}

// follow follows a link or some, one after the other, as somebody who reads.
func (a *actor) follow(percent int) {
	for ; a.chance(percent); percent /= 2 {
		a.linger(12*time.Second, 0.9)
		a.click(a.interesting())
	}
}

// asMachine does something as a program, from an address of its own.
func (a *actor) asMachine(behaviour, agent string, do func()) {
	before := *a
	a.behaviour, a.agent, a.origin, a.machine = behaviour, agent, a.address(), true
	do()
	now := a.now
	*a = before
	a.now = now
}
