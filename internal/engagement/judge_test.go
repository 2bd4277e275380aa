package engagement_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/engagement"
)

var noon = time.Date(2027, 3, 21, 12, 0, 0, 0, time.UTC)

// at is an event of message 1 so long after its hand-over.
func at(after time.Duration, kind engagement.Kind, link int64, visitor uint64, signals engagement.Signals) engagement.Event {
	return engagement.Event{At: noon.Add(after).UnixNano(), Send: 1, Seq: 1, Link: link, Visitor: visitor, Kind: kind, Signals: signals}
}

func click(after time.Duration, link int64, visitor uint64) engagement.Event {
	return at(after, engagement.Click, link, visitor, 0)
}

const minute = time.Minute

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		events []engagement.Event
		want   []engagement.Reason // "" is a person
	}{
		"a reader":         {"opens and follows a link", []engagement.Event{at(minute, engagement.Open, 0, 1, 0), click(minute+time.Second, 3, 1)}, []engagement.Reason{"", ""}},
		"a double click":   {"one link twice", []engagement.Event{click(minute, 3, 1), click(minute+time.Millisecond, 3, 1), click(minute+2*time.Millisecond, 3, 1)}, []engagement.Reason{"", "", ""}},
		"too soon":         {"before a telephone has rung", []engagement.Event{click(4*time.Second, 3, 1), at(time.Second, engagement.Open, 0, 1, 0)}, []engagement.Reason{engagement.ByTiming, engagement.ByTiming}},
		"just not":         {"as fast as people can", []engagement.Event{at(2*time.Second, engagement.Open, 0, 1, 0), click(5*time.Second, 3, 1)}, []engagement.Reason{"", ""}},
		"before hand-over": {"scanned while the relay takes it", []engagement.Event{click(-time.Second, 3, 1)}, []engagement.Reason{engagement.ByTiming}},
		"prefetched":       {"a header says so", []engagement.Event{at(minute, engagement.Click, 3, 1, engagement.SignalPrefetch)}, []engagement.Reason{engagement.ByPrefetch}},
		"a program":        {"its agent says so", []engagement.Event{at(minute, engagement.Click, 3, 1, engagement.SignalProgram)}, []engagement.Reason{engagement.ByAgent}},
		"a privacy proxy":  {"nobody knows whether somebody reads", []engagement.Event{at(minute, engagement.Open, 0, 1, engagement.SignalPrivacyProxy)}, []engagement.Reason{engagement.ByPrivacyProxy}},
		"a late trap": {
			"what came before the link that no person sees is a machine's too",
			[]engagement.Event{click(minute, 3, 1), click(minute+3*time.Second, 4, 2), click(minute+6*time.Second, 0, 3)},
			[]engagement.Reason{engagement.ByHoneypot, engagement.ByHoneypot, engagement.ByHoneypot},
		},
		"heads": {
			"who asks for heads is not counted, and what else the same visitor does is a machine's",
			[]engagement.Event{at(minute, engagement.Click, 3, 1, engagement.SignalHead), click(minute+time.Second, 3, 1)},
			[]engagement.Reason{engagement.ByHead},
		},
		"a check at the click": {
			"the person whose link is checked is another visitor",
			[]engagement.Event{at(minute, engagement.Click, 3, 1, engagement.SignalHead), click(minute+time.Second, 3, 2)},
			[]engagement.Reason{""},
		},
		"a burst": {
			"three links within a second, and the picture",
			[]engagement.Event{at(minute, engagement.Open, 0, 1, 0), click(minute, 5, 1), click(minute+400*time.Millisecond, 3, 1), click(minute+900*time.Millisecond, 7, 1)},
			[]engagement.Reason{engagement.ByBurst, engagement.ByBurst, engagement.ByBurst, engagement.ByBurst},
		},
		"two links": {"somebody who follows two at once", []engagement.Event{click(minute, 5, 1), click(minute+400*time.Millisecond, 3, 1)}, []engagement.Reason{"", ""}},
		"a burst beside a reader": {
			"a person who reads while another visitor scans",
			[]engagement.Event{click(minute, 5, 1), click(minute+time.Millisecond, 3, 1), click(minute+2*time.Millisecond, 7, 1), click(minute+20*time.Second, 3, 2)},
			[]engagement.Reason{engagement.ByBurst, engagement.ByBurst, engagement.ByBurst, ""},
		},
		"a burst from many addresses": {
			"four links within a second, each from another address",
			[]engagement.Event{click(minute, 1, 1), click(minute+100*time.Millisecond, 2, 2), click(minute+200*time.Millisecond, 3, 3), click(minute+300*time.Millisecond, 4, 4)},
			[]engagement.Reason{engagement.ByBurst, engagement.ByBurst, engagement.ByBurst, engagement.ByBurst},
		},
		"in order": {
			"five links from the top down, each after less than a second",
			[]engagement.Event{click(minute, 1, 1), click(minute+900*time.Millisecond, 2, 1), click(minute+1800*time.Millisecond, 3, 1), click(minute+2700*time.Millisecond, 4, 1), click(minute+3600*time.Millisecond, 5, 1)},
			[]engagement.Reason{engagement.ByOrder, engagement.ByOrder, engagement.ByOrder, engagement.ByOrder, engagement.ByOrder},
		},
		"tabs": {
			"somebody who opens five links in tabs",
			[]engagement.Event{click(minute, 1, 1), click(minute+1400*time.Millisecond, 2, 1), click(minute+2800*time.Millisecond, 3, 1), click(minute+4*time.Second, 4, 1), click(minute+6*time.Second, 5, 1)},
			[]engagement.Reason{"", "", "", "", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []engagement.Reason
			for _, j := range engagement.Judge(nil, c.events, engagement.Facts{Variant: 2, HandedOver: noon}) {
				got = append(got, j.Reason)
				want := map[bool]map[engagement.Kind]engagement.What{
					true:  {engagement.Open: engagement.Opened, engagement.Click: engagement.Clicked},
					false: {engagement.Open: engagement.MachineOpened, engagement.Click: engagement.MachineClicked},
				}[j.Reason == ""][j.Kind]
				if j.What != want || j.Variant != 2 {
					t.Errorf("%+v", j)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.reason, diff)
			}
		})
	}
}

func TestJudgeWithoutATimeOfHandOver(t *testing.T) {
	if got := engagement.Judge(nil, []engagement.Event{click(-time.Hour, 1, 1)}, engagement.Facts{}); got[0].Reason != "" {
		t.Errorf("got %q", got[0].Reason)
	}
}

func TestReadAgent(t *testing.T) {
	for agent, want := range map[string]engagement.Signals{
		"":                        engagement.SignalProgram,
		"Mozilla/5.0":             engagement.SignalPrivacyProxy,
		"curl/8.5.0":              engagement.SignalProgram,
		"Barracuda Sentinel (EE)": engagement.SignalProgram,
		"SomeBot/1.0":             engagement.SignalProgram,
		"somebot":                 engagement.SignalProgram,
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                    engagement.SignalProgram,
		"Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36":                     0,
		"Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)":                                                   0,
		"YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html":                                                                    0,
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                      0,
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0": engagement.SignalPrefetch,
	} {
		if got := engagement.ReadAgent(agent); got != want {
			t.Errorf("%q: got %b, want %b", agent, got, want)
		}
	}
}

func TestReadHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		headers engagement.Headers
		want    engagement.Signals
	}{
		"none":        {engagement.Headers{}, 0},
		"a prefetch":  {engagement.Headers{SecPurpose: "prefetch"}, engagement.SignalPrefetch},
		"a prerender": {engagement.Headers{SecPurpose: "Prefetch;prerender"}, engagement.SignalPrefetch},
		"the old one": {engagement.Headers{Purpose: "prefetch"}, engagement.SignalPrefetch},
		"a preview":   {engagement.Headers{XPurpose: "preview"}, engagement.SignalPrefetch},
		"Gecko's":     {engagement.Headers{XMoz: "prefetch"}, engagement.SignalPrefetch},
		"another":     {engagement.Headers{Purpose: "navigate"}, 0},
	} {
		if got := engagement.ReadHeaders(c.headers); got != c.want {
			t.Errorf("%s: got %b", name, got)
		}
	}
}
