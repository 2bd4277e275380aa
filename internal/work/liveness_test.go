package work_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// stubborn is a transport whose hand-overs end when the test does, whatever its contract says.
type stubborn struct{ end chan struct{} }

func (s stubborn) Deliver(_ context.Context, batch []deliver.Message) ([]deliver.Result, error) {
	<-s.end
	return make([]deliver.Result, len(batch)), nil
}

func (stubborn) Patience(int) time.Duration { return 0 }
func (stubborn) Close() error               { return nil }

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// nervousOptions are those of a worker that soon takes a loop for stuck.
func nervousOptions(h *house) work.Options {
	o := h.options()
	o.Slack, o.StatementLimit, o.EvaluationLimit, o.HandOver = time.Second, 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	o.DatabasePoll = 20 * time.Millisecond
	return o
}

// lockedClock is a clock whose lock somebody keeps after a while.
func lockedClock(end chan struct{}) func() time.Time {
	var lock sync.Mutex
	calls := 0
	return func() time.Time {
		lock.Lock()
		defer lock.Unlock()
		if calls++; calls > 20 {
			<-end
		}
		return time.Now()
	}
}

func TestAStuckLoopIsNotLive(t *testing.T) {
	for name, c := range map[string]struct {
		wedge func(o *work.Options, end chan struct{})
		loops []string
	}{
		"a transport that does not return": {
			wedge: func(o *work.Options, end chan struct{}) {
				o.Transport = func(store.Channel, credentials.Channel, func(time.Time)) (deliver.Transport, error) {
					return stubborn{end}, nil
				}
			},
			loops: []string{"hand-over on channel newsletter"},
		},
		"a lock that is not given back": {
			wedge: func(o *work.Options, end chan struct{}) { o.Now = lockedClock(end) },
			loops: []string{"campaigns", "builds"},
		},
		"one that was never to be had": {
			wedge: func(o *work.Options, end chan struct{}) {
				o.Now = func() time.Time {
					<-end
					return time.Now()
				}
			},
			loops: []string{"begin"},
		},
		"a way to make transports that hangs": {
			wedge: func(o *work.Options, end chan struct{}) {
				o.Transport = func(store.Channel, credentials.Channel, func(time.Time)) (deliver.Transport, error) {
					<-end
					return stubborn{end}, nil
				}
			},
			loops: []string{"chunk on channel newsletter"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 3)
			h.campaign(nil)
			o := nervousOptions(h)
			o.Grace = 50 * time.Millisecond
			end := make(chan struct{})
			c.wedge(&o, end)
			w, stop := h.observed(o)
			t.Cleanup(stop)
			t.Cleanup(func() { close(end) }) // before stop
			g := gomega.NewWithT(t)
			for _, loop := range c.loops {
				g.Eventually(func() string { return words(w.Live()) }).WithTimeout(patience).
					Should(gomega.ContainSubstring(`tenant "` + tenantID + `": the loop "` + loop + `" is stuck`))
			}
		})
	}
}

// lives proves of a worker that it is not stuck for ever, when a loop that is has had more than the time to be found. One that the machine stopped counts
// as stuck, too, until it runs again.
func lives(t *testing.T, w *work.Worker, o work.Options) {
	t.Helper()
	time.Sleep(3 * (o.Slack + o.StatementLimit))
	gomega.NewWithT(t).Eventually(w.Live).WithTimeout(patience).Should(gomega.Succeed())
}

// What a worker waits for, however long, is no reason to restart it.
func TestWaitingIsAlive(t *testing.T) {
	for name, c := range map[string]struct {
		begin   func(h *house, o *work.Options)
		waiting func(h *house, o work.Options) bool
	}{
		"the database is away": {
			begin: func(h *house, o *work.Options) {
				o.DatabaseBackoff = campaign.Backoff{First: time.Hour, Max: time.Hour}
				newProxy(h).goDown()
			},
			waiting: func(h *house, o work.Options) bool { return failures(h.t, o.Metrics) > 0 },
		},
		"the relay is away": {
			begin: func(h *house, o *work.Options) {
				h.relay.Stop()
				o.ChannelBackoff = campaign.Backoff{First: time.Hour, Max: time.Hour}
			},
			waiting: func(h *house, _ work.Options) bool { return h.trouble() != "" },
		},
		"the relay takes the time that a final dot may take": {
			begin: func(h *house, o *work.Options) {
				h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
					if e.Stage == delivertest.Dot {
						return delivertest.Action{Wait: h.gate}
					}
					return delivertest.Action{}
				}})
			},
			waiting: func(h *house, _ work.Options) bool { return h.states()[campaign.RowIntent] > 0 },
		},
		"the channel is suspended": {
			begin: func(h *house, _ *work.Options) { h.exec("update channel set suspended = true") },
			waiting: func(h *house, _ work.Options) bool {
				return h.count("select count(*) from segment where built_at is not null") == 1
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 3)
			h.gate = make(chan struct{})
			h.campaign(nil)
			o := nervousOptions(h)
			o.Metrics = work.NewMetrics()
			c.begin(h, &o)
			w, stop := h.observed(o)
			t.Cleanup(stop)
			t.Cleanup(func() { close(h.gate) })
			h.eventually("the worker should wait", func() bool { return c.waiting(h, o) })
			lives(t, w, o)
		})
	}
}

// A database that vanishes without a word holds no loop for ever, and nothing that was in flight is lost or doubled.
func TestABlackHole(t *testing.T) {
	const n = 1000
	h := newHouse(t, n)
	p := newProxy(h)
	hold := h.hold()
	h.campaign(nil)
	o := nervousOptions(h)
	o.Metrics, o.HandOver, o.EvaluationLimit = work.NewMetrics(), time.Minute, 5*time.Second
	w, _ := h.observed(o)
	h.waitArrived()
	h.eventually("the worker should be ready", func() bool { return w.Ready() == nil })
	p.blackHole()
	// The relay answers while nobody can write it down.
	hold.release()
	h.eventually("the worker should not be ready", func() bool { return strings.Contains(words(w.Ready()), "cannot be used") })
	h.eventually("loops should fail rather than wait", func() bool { return failures(t, o.Metrics) >= 5 })
	lives(t, w, o)
	p.comeUp()
	h.becomes("Completed planned 1000 sent 1000 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(n)...))
	h.eventually("the worker should be ready again", func() bool { return w.Ready() == nil })
}

func TestAWorkerThatStopsIsNotReady(t *testing.T) {
	h := newHouse(t, 100)
	hold := h.hold()
	h.campaign(nil)
	w, stop := h.observed(patientOptions(h))
	h.waitArrived()
	h.eventually("the worker should be ready", func() bool { return w.Ready() == nil })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	// It still waits for the relay.
	h.eventually("the worker should not be ready at once", func() bool { return strings.Contains(words(w.Ready()), "stopping") })
	select {
	case <-stopped:
		t.Error("the worker should finish what it has begun")
	default:
	}
	hold.release()
	<-stopped
}
