// Package tracking keeps what a server must have at hand to answer for tracked links and pixels at any rate, whatever the database
// does: where links lead, who presents themselves how, and what happened that is not stored yet. All of it is bounded.
package tracking

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/engagement"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// maxInbox is how many events wait that nobody has looked at, and maxHeld how many are held until they can be judged. Above
	// the one the newest are dropped, above the other the oldest are judged before their time. Together they are seconds of the
	// rate that one server can answer at, and some 50 MB at the most.
	maxInbox = 1 << 18
	maxHeld  = 150_000
	// maxBatch is how many events are written at once, about.
	maxBatch = 1 << 14
	// flushEvery is how often it is looked for what can be written while there is something to write.
	flushEvery = 500 * time.Millisecond
	// writeTimeout bounds a look into the database and a write to it, each.
	writeTimeout = 15 * time.Second
	// maxTries is how often a batch is tried that the database answers and refuses.
	maxTries = 8
	// The waits between two tries while the database is away.
	minWait, maxWait = 500 * time.Millisecond, 10 * time.Second
)

// The reasons for which an event is dropped.
const (
	DroppedFull      = "full"      // the buffer is full: the database is away, or slower than people are
	DroppedExcess    = "excess"    // too much happened to one message within seconds
	DroppedUntracked = "untracked" // forbidden by the tenant, refused by the contact, or over
	DroppedUnknown   = "unknown"   // the database knows no such message
	DroppedFailed    = "failed"    // the database refused it, or the server ended while it was away
)

// DropReasons are all of them.
var DropReasons = []string{DroppedFull, DroppedExcess, DroppedUntracked, DroppedUnknown, DroppedFailed}

// Store is where events end.
type Store interface {
	EngagementFacts(ctx context.Context, messages []engagement.Message) (store.EngagementFacts, error)
	WriteEngagement(ctx context.Context, b store.EngagementBatch) error
}

// Observer is told what becomes of events.
type Observer interface {
	Counted(what engagement.What, n int)
	Dropped(reason string, n int)
	// Lag is how long ago the oldest event came that is not stored.
	Lag(time.Duration)
}

// Options tell where a Recorder writes. All but Log and Clock must be given.
type Options struct {
	Store Store
	// Flusher names this process; no other one ever has the name.
	Flusher  string
	Observer Observer
	Clock    func() time.Time // default: time.Now
	Log      logr.Logger
}

// Recorder takes events from requests and writes them in the background.
type Recorder struct {
	o    Options
	wake chan struct{} // holds one while events may wait

	mu    sync.Mutex
	inbox []engagement.Event

	// Of the goroutine that runs.
	spare   []engagement.Event // the other inbox
	window  engagement.Window
	batch   engagement.Batch
	judged  []engagement.Judged
	number  int64 // of the batch that was written last
	pending bool  // the batch is not written yet
	tries   int
	away    bool // the database was, when it was last tried
}

// NewRecorder makes a recorder; Run makes it write.
func NewRecorder(o Options) *Recorder {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Recorder{o: o, wake: make(chan struct{}, 1)}
}

// Record takes an event. It never waits: where too much waits already the event is dropped, and counted.
func (r *Recorder) Record(e engagement.Event) {
	r.mu.Lock()
	n := len(r.inbox)
	if n < maxInbox {
		r.inbox = append(r.inbox, e)
	}
	r.mu.Unlock()
	switch n {
	case maxInbox:
		r.o.Observer.Dropped(DroppedFull, 1)
	case 0:
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// Run writes events until the context ends. What is left then is for Finish.
func (r *Recorder) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := time.Duration(0); ctx.Err() == nil; {
		if wait == 0 { // nothing is held
			select {
			case <-r.wake:
			case <-ctx.Done():
				continue
			}
			wait = flushEvery
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			continue
		}
		wait = r.turn(ctx, maxHeld)
	}
}

// Finish writes what is left when Run has returned and nothing is recorded any more, without waiting for what may still come. What
// is not written when the context ends is lost, and counted.
func (r *Recorder) Finish(ctx context.Context) {
	for wait := r.turn(ctx, 0); wait > 0 && ctx.Err() == nil; wait = r.turn(ctx, 0) {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	left := r.window.Held() + len(r.inbox)
	if r.pending {
		left += len(r.batch.Events)
	}
	if left > 0 {
		r.o.Observer.Dropped(DroppedFailed, left)
		r.o.Log.Info("Opens and clicks were not stored before the server ended", "events", left)
	}
}

// turn takes in what came and writes what can be. It returns after how long it is to be called again; 0 when nothing is held.
func (r *Recorder) turn(ctx context.Context, keep int) time.Duration {
	r.takeIn()
	if !r.pending {
		r.batch.Events, r.batch.Ends = r.batch.Events[:0], r.batch.Ends[:0]
		r.window.Due(r.o.Clock(), keep, maxBatch, &r.batch)
		r.pending, r.tries = len(r.batch.Events) > 0, 0
	}
	full := len(r.batch.Events) >= maxBatch
	if r.pending {
		if wait := r.flush(ctx); wait > 0 {
			return wait
		}
	}
	r.tellLag()
	switch {
	case full, keep == 0 && r.window.Held() > 0:
		return time.Nanosecond
	case r.window.Held() > 0 || r.waiting():
		return flushEvery
	}
	return 0
}

func (r *Recorder) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.inbox) > 0
}

// takeIn moves the inbox into the window, unless that holds enough: then the inbox fills up, and what is too much is dropped.
func (r *Recorder) takeIn() {
	if r.window.Held() > maxHeld {
		return
	}
	r.mu.Lock()
	r.inbox, r.spare = r.spare[:0], r.inbox
	r.mu.Unlock()
	excess := 0
	for _, e := range r.spare {
		if !r.window.Add(e) {
			excess++
		}
	}
	if excess > 0 {
		r.o.Observer.Dropped(DroppedExcess, excess)
	}
	if len(r.spare) < maxBatch && cap(r.spare) > 4*maxBatch {
		r.spare = nil // a rush is over
	}
}

func (r *Recorder) tellLag() {
	oldest := r.window.Oldest()
	if r.pending {
		oldest = r.batch.Events[0].At
	}
	if oldest == 0 {
		r.o.Observer.Lag(0)
		return
	}
	r.o.Observer.Lag(r.o.Clock().Sub(time.Unix(0, oldest)))
}

// flush writes the batch. It returns after how long it is to be tried again; 0 when the batch is done with.
func (r *Recorder) flush(ctx context.Context) time.Duration {
	err := r.write(ctx)
	if err == nil {
		if r.away {
			r.o.Log.Info("Opens and clicks are stored again")
		}
		r.away, r.pending = false, false
		return 0
	}
	r.tries++
	if !r.away {
		// The text of an error may hold values: it is told in one word.
		r.o.Log.Info("Opens and clicks cannot be stored; they are kept, and tried again", "error", store.Brief(err).Error())
	}
	r.away = true
	r.tellLag()
	if away := store.IsUnavailable(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled); !away && r.tries >= maxTries {
		r.o.Observer.Dropped(DroppedFailed, len(r.batch.Events))
		r.pending = false
		r.number++ // which may have been written after all
	}
	return min(minWait<<min(r.tries-1, 5), maxWait)
}

// write judges the batch by what the database knows of its messages, and writes it. A batch that nobody knows to be written keeps its number.
func (r *Recorder) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*writeTimeout)
	defer cancel()
	messages := make([]engagement.Message, 0, len(r.batch.Ends))
	r.batch.Messages(func(m engagement.Message, _ []engagement.Event) { messages = append(messages, m) })
	facts, err := r.o.Store.EngagementFacts(ctx, messages)
	if err != nil {
		return err
	}
	dropped := r.judge(facts)
	campaigns := make(map[int64]string, len(facts.Sends))
	for id, send := range facts.Sends {
		campaigns[id] = send.Campaign
	}
	err = r.o.Store.WriteEngagement(ctx, store.EngagementBatch{
		Flusher: r.o.Flusher, Number: r.number + 1, Events: r.judged, Campaigns: campaigns,
	})
	if err != nil {
		return err
	}
	r.number++
	r.tell(dropped)
	return nil
}

// judge decides about the batch's messages and tells how many events are not kept, by reason.
func (r *Recorder) judge(facts store.EngagementFacts) map[string]int {
	dropped := map[string]int{}
	r.judged = r.judged[:0]
	r.batch.Messages(func(m engagement.Message, events []engagement.Event) {
		known, found := facts.Messages[m]
		send, sent := facts.Sends[m.Send]
		switch {
		case !found || !sent:
			dropped[DroppedUnknown] += len(events)
		case known.Untracked || send.Untracked:
			dropped[DroppedUntracked] += len(events)
		default:
			r.judged = engagement.Judge(r.judged, events, known)
		}
	})
	return dropped
}

func (r *Recorder) tell(dropped map[string]int) {
	counted := map[engagement.What]int{}
	for i := range r.judged {
		counted[r.judged[i].What]++
	}
	for what, n := range counted {
		r.o.Observer.Counted(what, n)
	}
	for reason, n := range dropped {
		r.o.Observer.Dropped(reason, n)
	}
}
