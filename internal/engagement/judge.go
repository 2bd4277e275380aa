package engagement

import (
	"cmp"
	"slices"
	"time"
)

// Reason is why an event was taken for a machine's, in a word.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	ByHoneypot     Reason = "honeypot"      // somebody followed the link that no person sees
	ByPrefetch     Reason = "prefetch"      // a header says so, or an agent that loads right after delivery
	ByAgent        Reason = "agent"         // the agent is a program's
	ByPrivacyProxy Reason = "privacy-proxy" // loaded whether somebody reads the mail or not
	ByTiming       Reason = "timing"        // sooner after delivery than a person can
	ByHead         Reason = "head"          // the same visitor asked for heads
	ByBurst        Reason = "burst"         // many links within a second
	ByOrder        Reason = "order"         // one link after the other, faster than a person reads
)

// What a person can do at the quickest. They are chosen so that a person is hardly ever taken for a machine; a machine that takes
// its time is a person to these.
const (
	// A telephone that rings, is unlocked, shows the mail and is tapped on takes longer. The time begins when the relay has the
	// mail, which still has to travel.
	soonestClick = 5 * time.Second
	soonestOpen  = 2 * time.Second

	// Nobody follows three links within a second. Who opens many in tabs takes about as long for each.
	burstLinks = 3
	burstTime  = time.Second

	// Who follows so many links from the top down, and takes no more than a second for each on average, does not read.
	orderLinks = 5
	orderPace  = time.Second
)

// Judge decides whose the events of one message are, as of what is known of all of them, and appends those that count, in the
// order of time: what asks for heads only is a machine, and not counted.
func Judge(judged []Judged, events []Event, facts Facts) []Judged {
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	trapped := slices.ContainsFunc(events, func(e Event) bool { return e.Kind == Click && e.Link == 0 })
	for _, e := range events {
		if e.Signals&SignalHead != 0 {
			continue
		}
		reason := byItself(e, facts)
		switch {
		case trapped:
			// A scanner may come from many addresses under many names. That the person read the mail while it was being scanned is
			// less likely than that this is the scanner too.
			reason = ByHoneypot
		case reason == "":
			reason = byCompany(e, events)
		}
		judged = append(judged, Judged{Event: e, Variant: facts.Variant, What: whatOf(e.Kind, reason), Reason: reason})
	}
	return judged
}

func whatOf(kind Kind, reason Reason) What {
	switch {
	case kind == Open && reason == "":
		return Opened
	case kind == Open:
		return MachineOpened
	case reason == "":
		return Clicked
	}
	return MachineClicked
}

// byItself tells why an event is a machine's whatever else happened; "" where nothing says so.
func byItself(e Event, facts Facts) Reason {
	switch {
	case e.Signals&SignalPrefetch != 0:
		return ByPrefetch
	case e.Signals&SignalProgram != 0:
		return ByAgent
	case e.Signals&SignalPrivacyProxy != 0:
		return ByPrivacyProxy
	case tooSoon(e, facts.HandedOver):
		return ByTiming
	}
	return ""
}

func tooSoon(e Event, handedOver time.Time) bool {
	if handedOver.IsZero() {
		return false
	}
	soonest := soonestOpen
	if e.Kind == Click {
		soonest = soonestClick
	}
	return e.At < handedOver.Add(soonest).UnixNano()
}

// byCompany tells why an event is a machine's by the others of its message. Those of one visitor are looked at together: where a
// mail program has links checked at the moment of the click, a person's click and the check of it belong to one message, and only
// one of them is a machine's. A burst over several visitors is one scanner with several addresses.
func byCompany(e Event, events []Event) Reason {
	if slices.ContainsFunc(events, func(o Event) bool { return o.Signals&SignalHead != 0 && o.Visitor == e.Visitor }) {
		return ByHead
	}
	if e.Kind == Open {
		return byClicks(e, events)
	}
	if inBurst(e, events, func(o Event) bool { return o.Visitor == e.Visitor }, burstLinks) ||
		inBurst(e, events, func(Event) bool { return true }, burstLinks+1) {
		return ByBurst
	}
	if inOrder(e, events) {
		return ByOrder
	}
	return ""
}

// byClicks tells why a visitor who opened a message is a machine by what the same visitor followed: nothing that a person would.
func byClicks(open Event, events []Event) Reason {
	var why Reason
	for _, e := range events {
		if e.Kind == Click && e.Visitor == open.Visitor && e.Signals&SignalHead == 0 {
			if why = byCompany(e, events); why == "" {
				return ""
			}
		}
	}
	return why
}

// inBurst tells whether an event belongs to at least so many different links that are followed within burstTime.
func inBurst(e Event, events []Event, belongs func(Event) bool, links int) bool {
	for first, from := range events {
		if from.At > e.At {
			return false
		}
		if from.Kind != Click || !belongs(from) || e.At-from.At >= int64(burstTime) {
			continue
		}
		if differentLinks(events[first:], from.At+int64(burstTime), belongs, links) >= links {
			return true
		}
	}
	return false
}

// differentLinks counts the links that are followed before a time, up to what is asked for.
func differentLinks(events []Event, before int64, belongs func(Event) bool, enough int) int {
	seen := make([]int64, 0, 8)
	for _, e := range events {
		if e.At >= before || len(seen) == enough {
			break
		}
		if e.Kind == Click && belongs(e) && !slices.Contains(seen, e.Link) {
			seen = append(seen, e.Link)
		}
	}
	return len(seen)
}

// inOrder tells whether an event belongs to a run of links that its visitor follows one after the other, as they stand in the
// message: links are numbered in that order.
func inOrder(e Event, events []Event) bool {
	var run []Event
	within := func() bool {
		if len(run) < orderLinks || run[len(run)-1].At-run[0].At > int64(len(run)-1)*int64(orderPace) {
			return false
		}
		return slices.ContainsFunc(run, func(o Event) bool { return o.At == e.At && o.Link == e.Link })
	}
	for _, o := range events {
		if o.Kind != Click || o.Visitor != e.Visitor || o.Signals&SignalHead != 0 {
			continue
		}
		if len(run) > 0 && o.Link <= run[len(run)-1].Link {
			if within() {
				return true
			}
			run = run[:0]
		}
		run = append(run, o)
	}
	return within()
}
