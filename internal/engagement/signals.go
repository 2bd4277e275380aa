package engagement

import "strings"

// Signals are what a request itself says about who sends it.
type Signals uint16

// The signals.
const (
	// SignalPrefetch: a header says that nobody looks at the answer yet.
	SignalPrefetch Signals = 1 << iota
	// SignalProgram: the agent names itself as a program, or there is none, which no browser does.
	SignalProgram
	// SignalPrivacyProxy: the agent is that of a mail program's proxy, which loads pictures whether somebody reads the mail or not.
	SignalPrivacyProxy
	// SignalHead: only the head of the answer was asked for. No browser follows a link so; what is asked for so is never counted.
	SignalHead
)

// Headers are those of a request that say whether anybody looks at the answer, "" where there are none.
type Headers struct {
	SecPurpose string // Sec-Purpose, of the Fetch standard
	Purpose    string // of Chromium and WebKit, before that
	XPurpose   string // X-Purpose, of older WebKit
	XMoz       string // X-Moz, of older Gecko
}

// ReadHeaders tells what the headers say. Values may bear parameters: "prefetch;prerender".
func ReadHeaders(h Headers) Signals {
	for _, value := range []string{h.SecPurpose, h.Purpose, h.XPurpose, h.XMoz} {
		if value == "" {
			continue
		}
		first, _, _ := strings.Cut(value, ";")
		switch strings.ToLower(strings.TrimSpace(first)) {
		case "prefetch", "prerender", "preview":
			return SignalPrefetch
		}
	}
	return 0
}

// The agents of the proxies that mail programs load pictures through, as they present themselves.
const (
	// Apple's Mail Privacy Protection says this and nothing else. It loads what a mail shows some time after delivery, whether the
	// mail is read or not, so that nothing is known of a person's opening it.
	applePrivacyProxy = "Mozilla/5.0"
	// Gmail loads pictures for whoever opens a mail by its image proxy, which names itself in the agent: a person's open. This
	// agent, by contrast, loads them right after delivery, before anybody can have opened the mail.
	gmailOnDelivery = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) " +
		"Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)

// imageProxies are parts, in lower case, of the agents of proxies that load a picture when a person opens the mail. They hide
// who it is and keep the picture, so that later opens may not be seen; the first one is a person's.
var imageProxies = []string{"googleimageproxy", "yahoomailproxy"}

// programs are parts, in lower case, of agents that name themselves: scanners of mail, previews of links in chats, tools and
// browsers without a screen. A browser that people use bears none of them.
var programs = []string{
	// scanners of mail and of links
	"barracuda", "proofpoint", "mimecast", "gmail-content-sampling", "trendmicro", "tmes", "ciscosecureemail", "ironport", "bitdefender",
	"fortinet", "fortimail", "sophos", "symantec", "messagelabs", "kaspersky", "virustotal", "urlscan", "checkpoint", "safebrowsing",
	// previews of links
	"bingpreview", "skypeuripreview", "slackbot", "slack-imgproxy", "facebookexternalhit", "whatsapp/", "telegrambot", "twitterbot", "linkedinbot",
	"discordbot", "embedly", "iframely", "google-safety", "google-inspectiontool", "microsoftpreview", "microsoft office existence discovery",
	// tools
	"curl/", "wget/", "python-requests", "python-urllib", "python-httpx", "aiohttp/", "go-http-client", "libwww-perl", "lwp::", "java/",
	"apache-httpclient", "jakarta commons", "guzzlehttp", "node-fetch", "axios/", "undici", "ruby", "php/", "scrapy", "httpie/", "winhttp",
	// browsers without a screen
	"headlesschrome", "phantomjs", "puppeteer", "playwright", "selenium", "cypress/", "electron/", "wkhtmlto", "prerender", "lighthouse",
	// crawlers
	"crawler", "spider", "archiver", "monitoring", "uptime",
}

// ReadAgent tells what a User-Agent says.
func ReadAgent(agent string) Signals {
	switch strings.TrimSpace(agent) {
	case "":
		return SignalProgram
	case applePrivacyProxy:
		return SignalPrivacyProxy
	case gmailOnDelivery:
		return SignalPrefetch
	}
	lower := strings.ToLower(agent)
	for _, proxy := range imageProxies {
		if strings.Contains(lower, proxy) {
			return 0
		}
	}
	for _, program := range programs {
		if strings.Contains(lower, program) {
			return SignalProgram
		}
	}
	if namesBot(lower) {
		return SignalProgram
	}
	return 0
}

// namesBot tells whether an agent in lower case has a word that ends with "bot". The telephones of a maker named Cubot are none.
func namesBot(lower string) bool {
	for rest := lower; ; {
		i := strings.Index(rest, "bot")
		if i < 0 {
			return false
		}
		end := i + len("bot")
		ends := end == len(rest) || rest[end] < 'a' || rest[end] > 'z'
		if ends && !strings.HasSuffix(rest[:i], "cu") {
			return true
		}
		rest = rest[end:]
	}
}
