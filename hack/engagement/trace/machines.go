package trace

import (
	"time"

	"github.com/tertulia-crm/tertulia/internal/engagement"
)

// named are agents of programs that say what they are.
var named = []string{
	"Barracuda Sentinel (EE)", "Mozilla/5.0 (compatible; proofpoint-urldefense)", "Mozilla/5.0 (compatible; Mimecast)", "curl/8.5.0", "python-requests/2.32.3",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36", "Go-http-client/2.0",
	"Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b",
}

var previews = []string{
	"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "WhatsApp/2.23.20.0", "TelegramBot (like TwitterBot)", "facebookexternalhit/1.1",
}

var machineBehaviours = []behaviour{
	{name: "gateway, all links", share: 25, machine: true, act: func(a *actor) {
		// While the mail is being handed over, or right after.
		a.now += time.Duration((a.Float64()*21 - 1) * float64(time.Second))
		a.scanAll(true, 20*time.Millisecond, 300*time.Millisecond)
	}},
	{name: "gateway that knows hidden links", share: 15, machine: true, act: func(a *actor) {
		a.wait(time.Second, 20*time.Second)
		a.scanAll(false, 20*time.Millisecond, 300*time.Millisecond)
	}},
	{name: "gateway from many addresses", share: 12, machine: true, act: func(a *actor) {
		a.wait(time.Second, 60*time.Second)
		for link := 1; link <= Links; link++ {
			a.agent, a.origin = a.browser(), a.address()
			a.click(link)
			a.wait(10*time.Millisecond, 200*time.Millisecond)
		}
	}},
	{name: "scanner that takes its time", share: 12, machine: true, act: func(a *actor) {
		a.wait(2*time.Second, 5*time.Minute)
		a.scanAll(true, 500*time.Millisecond, 4*time.Second)
	}},
	{name: "scanner, one link after the other", share: 10, machine: true, act: func(a *actor) {
		a.wait(2*time.Second, 5*time.Minute)
		a.scanAll(false, 300*time.Millisecond, 1500*time.Millisecond)
	}},
	{name: "scanner that asks for heads first", share: 10, machine: true, act: func(a *actor) {
		a.wait(time.Second, 30*time.Second)
		for link := 1; link <= Links; link++ {
			a.head(link)
			a.wait(20*time.Millisecond, 200*time.Millisecond)
			if a.chance(30) {
				a.click(link)
			}
		}
	}},
	{name: "program that says its name", share: 12, machine: true, act: func(a *actor) {
		a.agent = named[a.IntN(len(named))]
		a.wait(time.Second, 10*time.Minute)
		if a.chance(50) {
			a.open()
		}
		for range 1 + a.IntN(3) {
			a.click(1 + a.IntN(Links))
			a.wait(time.Second, time.Minute)
		}
	}},
	{name: "program without an agent", share: 8, machine: true, act: func(a *actor) {
		a.agent = ""
		a.wait(time.Second, 10*time.Minute)
		a.click(1 + a.IntN(Links))
	}},
	{name: "preview in a chat", share: 8, machine: true, act: func(a *actor) {
		a.agent = previews[a.IntN(len(previews))]
		a.linger(5*time.Hour, 1.5)
		a.click(a.interesting())
	}},
	{name: "prefetch by a browser", share: 6, machine: true, act: func(a *actor) {
		a.linger(5*time.Hour, 1.5)
		a.headers = engagement.Headers{SecPurpose: "prefetch;prerender", Purpose: "prefetch"}
		a.click(a.interesting())
	}},
	{name: "mailbox scanned again at night", share: 6, machine: true, act: func(a *actor) {
		a.now = 14*time.Hour + time.Duration(a.IntN(3600))*time.Second
		a.agent = browsers[0]
		a.scanAll(false, 50*time.Millisecond, 400*time.Millisecond)
	}},
	// It looks like a person in every respect that reaches the server.
	{name: "sandbox that follows one link", share: 8, machine: true, act: func(a *actor) {
		a.wait(20*time.Second, 15*time.Minute)
		if a.chance(50) {
			a.open()
			a.wait(time.Second, 10*time.Second)
		}
		a.click(1 + a.IntN(Links))
	}},
}

// scanAll loads the picture, sometimes, and follows all links as they stand in the mail, the hidden one among them or not.
func (a *actor) scanAll(hidden bool, least, most time.Duration) {
	if a.chance(50) {
		a.open()
	}
	first := 1
	if hidden {
		first = 0
	}
	for link := first; link <= Links; link++ {
		a.wait(least, most)
		a.click(link)
	}
}
