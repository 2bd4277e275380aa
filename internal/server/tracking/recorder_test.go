package tracking

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/engagement"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var noon = time.Date(2027, 3, 21, 12, 0, 0, 0, time.UTC)

// fakeStore is a database whose answers a test decides. It knows every message of send 1, and refuses recipient 13.
type fakeStore struct {
	mu      sync.Mutex
	fail    error
	lost    bool // what is written is written, and the answer gets lost
	numbers map[int64]int
	written []engagement.Judged
}

func (f *fakeStore) EngagementFacts(_ context.Context, messages []engagement.Message) (store.EngagementFacts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	facts := store.EngagementFacts{
		Sends: map[int64]store.EngagedSend{1: {Campaign: "spring"}}, Messages: map[engagement.Message]engagement.Facts{},
	}
	for _, m := range messages {
		if m.Send == 1 {
			facts.Messages[m] = engagement.Facts{Untracked: m.Seq == 13}
		}
	}
	if f.lost {
		return facts, nil
	}
	return facts, f.fail
}

func (f *fakeStore) WriteEngagement(_ context.Context, b store.EngagementBatch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil && !f.lost {
		return f.fail
	}
	if f.numbers == nil {
		f.numbers = map[int64]int{}
	}
	if f.numbers[b.Number]++; f.numbers[b.Number] == 1 {
		f.written = append(f.written, b.Events...)
	}
	return f.fail
}

// meter counts what it is told.
type meter struct {
	mu      sync.Mutex
	counted map[engagement.What]int
	dropped map[string]int
	lag     time.Duration
}

func newMeter() *meter {
	return &meter{counted: map[engagement.What]int{}, dropped: map[string]int{}}
}

func (m *meter) Counted(what engagement.What, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counted[what] += n
}

func (m *meter) Dropped(reason string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped[reason] += n
}

func (m *meter) Lag(lag time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag = lag
}

// recording is a recorder that a test turns by hand, at the time that it says.
type recording struct {
	*Recorder
	store *fakeStore
	meter *meter
	now   time.Time
}

func newRecording() *recording {
	r := &recording{store: &fakeStore{}, meter: newMeter(), now: noon}
	r.Recorder = NewRecorder(Options{Store: r.store, Flusher: "test", Observer: r.meter, Clock: func() time.Time { return r.now }})
	return r
}

func (r *recording) click(send, seq int64) {
	r.Record(engagement.Event{At: r.now.UnixNano(), Send: send, Seq: seq, Link: 1, Kind: engagement.Click})
}

func (r *recording) turnAfter(d time.Duration) time.Duration {
	r.now = r.now.Add(d)
	return r.turn(context.Background(), maxHeld)
}

func TestRecorderWaitsBeforeItJudges(t *testing.T) {
	r := newRecording()
	r.click(1, 1)
	if wait := r.turnAfter(engagement.Quiet - time.Second); wait == 0 || len(r.store.written) > 0 || r.meter.lag != engagement.Quiet-time.Second {
		t.Errorf("too early: wait %s, written %d, lag %s", wait, len(r.store.written), r.meter.lag)
	}
	if wait := r.turnAfter(time.Second); wait != 0 || len(r.store.written) != 1 || r.meter.lag != 0 {
		t.Errorf("in time: wait %s, written %d, lag %s", wait, len(r.store.written), r.meter.lag)
	}
	if diff := cmp.Diff(map[engagement.What]int{engagement.Clicked: 1}, r.meter.counted); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRecorderDropsAndSaysSo(t *testing.T) {
	r := newRecording()
	r.click(2, 1)  // no such send
	r.click(1, 13) // refuses to be tracked
	for range 70 {
		r.click(1, 1)
	}
	r.turnAfter(0)
	for i := range maxInbox + 10 {
		r.click(1, int64(i)+100)
	}
	r.now = r.now.Add(time.Hour)
	r.Finish(context.Background())
	want := map[string]int{DroppedUnknown: 1, DroppedUntracked: 1, DroppedExcess: 6, DroppedFull: 10}
	if diff := cmp.Diff(want, r.meter.dropped); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(r.store.written) != 64+maxInbox {
		t.Errorf("%d events are written", len(r.store.written))
	}
}

func TestRecorderKeepsWhatIsRefusedForAWhile(t *testing.T) {
	r := newRecording()
	r.store.fail = context.DeadlineExceeded // as of a database that is away
	r.click(1, 1)
	for range 3 * maxTries {
		if wait := r.turnAfter(time.Minute); wait <= 0 || wait > maxWait {
			t.Fatalf("wait %s", wait)
		}
	}
	r.store.fail = nil
	r.turnAfter(time.Minute)
	if len(r.store.written) != 1 || len(r.meter.dropped) > 0 {
		t.Errorf("after the outage: %d written, dropped %v", len(r.store.written), r.meter.dropped)
	}

	r.store.fail = errors.New("a constraint")
	r.click(1, 2)
	for range maxTries {
		r.turnAfter(time.Minute)
	}
	r.store.fail = nil
	r.click(1, 3)
	r.turnAfter(time.Minute)
	if len(r.store.written) != 2 || r.meter.dropped[DroppedFailed] != 1 {
		t.Errorf("after a refusal: %d written, dropped %v", len(r.store.written), r.meter.dropped)
	}
}

// TestRecorderWritesOnce although the answer to a commit got lost.
func TestRecorderWritesOnce(t *testing.T) {
	r := newRecording()
	r.click(1, 1)
	r.store.fail, r.store.lost = context.DeadlineExceeded, true
	r.turnAfter(time.Minute)
	r.store.fail = nil
	r.turnAfter(time.Minute)
	r.click(1, 2)
	r.turnAfter(time.Minute)
	if diff := cmp.Diff(map[int64]int{1: 2, 2: 1}, r.store.numbers); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(r.store.written) != 2 {
		t.Errorf("%d events are written", len(r.store.written))
	}
}

// TestRecorderEnds although the database is away, and counts what it could not store.
func TestRecorderEnds(t *testing.T) {
	r := newRecording()
	r.store.fail = context.DeadlineExceeded
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	r.click(1, 1)
	r.click(1, 2)
	cancel()
	<-ended
	r.Finish(ctx)
	if r.meter.dropped[DroppedFailed] != 2 {
		t.Errorf("dropped %v", r.meter.dropped)
	}
}

func TestRecordTakesNoMemory(t *testing.T) {
	r := newRecording()
	r.inbox = make([]engagement.Event, 0, 10_000)
	if n := testing.AllocsPerRun(1000, func() { r.click(1, 1) }); n > 0 {
		t.Errorf("%.1f allocations for an event", n)
	}
}
