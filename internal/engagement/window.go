package engagement

import "time"

// How long events are held before they are judged, so that what comes later can say what came before.
const (
	// Quiet is how long nothing more must have come to a message.
	Quiet = 5 * time.Second
	// Longest is how long a message is waited for in all.
	Longest = 30 * time.Second
	// mostEvents bounds what is held of one message: more than a person does, and enough to know a machine.
	mostEvents = 64
	// idleVisits is how many messages room is kept for while nothing happens.
	idleVisits = 4096
)

// Window holds the events of messages until it is time to judge them. It uses its memory again, so that what it holds costs its
// size and no collecting. The zero value is ready to use.
type Window struct {
	open   map[Message]int32 // where in visits
	queue  []int32           // of visits, by when they are to be looked at; those before next have been
	next   int
	visits []visit
	free   []int32 // of visits
	held   int
}

// visit is what happens to a message while it is waited for.
type visit struct {
	message    Message
	first, due int64
	last       int64
	events     []Event
}

// Batch holds the events of messages, one message after the other.
type Batch struct {
	Events []Event
	Ends   []int // behind the last event of each message
}

// Messages calls f with the events of each message.
func (b *Batch) Messages(f func(Message, []Event)) {
	from := 0
	for _, end := range b.Ends {
		f(b.Events[from].Message(), b.Events[from:end])
		from = end
	}
}

// Held is how many events are held.
func (w *Window) Held() int { return w.held }

// Oldest is when the event came that is held for longest, in nanoseconds since 1970; 0 when none is held.
func (w *Window) Oldest() int64 {
	if w.next == len(w.queue) {
		return 0
	}
	return w.visits[w.queue[w.next]].first
}

// Add holds an event. Of a message to which too much happens it holds the first events only, and tells that it does not hold this one.
func (w *Window) Add(e Event) bool {
	if w.open == nil {
		w.open = map[Message]int32{}
	}
	at, known := w.open[e.Message()]
	if !known {
		at = w.take()
		w.open[e.Message()] = at
		w.queue = append(w.queue, at)
		v := &w.visits[at]
		v.message, v.first, v.last, v.due = e.Message(), e.At, e.At, e.At+int64(Quiet)
	}
	v := &w.visits[at]
	v.last = max(v.last, e.At)
	if len(v.events) == mostEvents {
		return false
	}
	v.events = append(v.events, e)
	w.held++
	return true
}

func (w *Window) take() int32 {
	if n := len(w.free); n > 0 {
		at := w.free[n-1]
		w.free = w.free[:n-1]
		return at
	}
	w.visits = append(w.visits, visit{})
	return int32(len(w.visits) - 1)
}

// Due moves the messages into a batch that nothing more is expected of, oldest first, until the batch has about size events.
// Where more than keep events are held the oldest messages go before their time; keep 0 moves everything that fits.
func (w *Window) Due(now time.Time, keep, size int, into *Batch) {
	for w.next < len(w.queue) && len(into.Events) < size {
		at := w.queue[w.next]
		v := &w.visits[at]
		if w.held <= keep {
			if v.due > now.UnixNano() {
				break
			}
			if due := min(v.last+int64(Quiet), v.first+int64(Longest)); due > now.UnixNano() {
				w.next++
				v.due = due
				w.queue = append(w.queue, at)
				continue
			}
		}
		w.next++
		w.give(at, into)
	}
	w.tidy()
}

func (w *Window) give(at int32, into *Batch) {
	v := &w.visits[at]
	into.Events = append(into.Events, v.events...)
	into.Ends = append(into.Ends, len(into.Events))
	delete(w.open, v.message)
	w.held -= len(v.events)
	v.events = v.events[:0]
	w.free = append(w.free, at)
}

// tidy gives memory back: the part of the queue that is over, and everything after a rush.
func (w *Window) tidy() {
	if w.next == len(w.queue) && len(w.visits) > idleVisits {
		*w = Window{}
	}
	if w.next > len(w.queue)/2 {
		w.queue = w.queue[:copy(w.queue, w.queue[w.next:])]
		w.next = 0
	}
}
