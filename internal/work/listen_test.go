package work_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// streamed declares a source that polls and streams.
func streamed(_ *store.Source, s *squareSettings) { s.Stream = true }

func TestListening(t *testing.T) {
	for name, change := range map[string]func(*store.Source, *squareSettings){
		"polled":              nil,
		"polled and streamed": streamed,
		"streamed":            func(_ *store.Source, s *squareSettings) { s.Only = true },
	} {
		t.Run(name, func(t *testing.T) {
			h, s := newHouse(t, 0), newSquare(t)
			s.chatter(120)
			h.listens(s, change)
			h.worker(h.options())
			h.hears(posted(120))
			s.deletes(123, "post-5")
			s.chatter(3)
			s.post(listen.Post{ID: "post-7", Text: "Otra cosa", Revision: "2", EditedAt: time.Now()}) // the 124th
			s.chatter(1)
			want := posted(125, 5, 124)
			h.hears(want)
			h.eventually("the edition should be the newer one", func() bool {
				var text string
				err := h.db.Pool.QueryRow(context.Background(), "select text from mention where native_id = 'post-7'").Scan(&text)
				return err == nil && text == "Otra cosa"
			})
			h.fares(store.SourceListening, "")
			if state := h.sourceState(); state.Brought != 124 || state.Gaps != 0 {
				t.Errorf("the source counts %d as brought, and %d gaps", state.Brought, state.Gaps)
			}
		})
	}
}

// everyoneOnce checks that nothing is lost, and nothing counted twice.
func (h *house) everyoneOnce(n int) {
	h.t.Helper()
	h.hears(posted(n))
	if state := h.sourceState(); state.Brought != int64(n) {
		h.t.Errorf("the source counts %d as brought, of %d", state.Brought, n)
	}
}

func TestListenersThatAreKilled(t *testing.T) {
	for name, change := range map[string]func(*store.Source, *squareSettings){"polled": nil, "streamed": streamed} {
		t.Run(name, func(t *testing.T) {
			const n = 2000
			h, s := newHouse(t, 0), newSquare(t)
			s.pageSize = 20
			s.chatter(n)
			h.listens(s, change)
			h.process()
			victim := h.process()
			for _, after := range []int{100, 700, 1300} {
				h.eventually("the workers should be in the middle", func() bool { return len(h.stored()) >= after })
				h.send(victim, syscall.SIGKILL)
				_, _ = victim.Process.Wait()
				victim = h.process()
			}
			h.everyoneOnce(n)
		})
	}
}

func TestTheOnlyListenerIsKilled(t *testing.T) {
	const n = 1500
	h, s := newHouse(t, 0), newSquare(t)
	s.pageSize = 10
	s.chatter(n)
	h.listens(s, streamed)
	for _, after := range []int{1, 300, 900} {
		victim := h.process()
		h.eventually("the worker should be in the middle", func() bool { return len(h.stored()) >= after })
		h.send(victim, syscall.SIGKILL)
		_, _ = victim.Process.Wait()
	}
	h.process()
	h.everyoneOnce(n)
}

func TestAListenerIsStoppedPastItsLease(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	s.chatter(100)
	h.listens(s, streamed)
	frozen := h.process()
	h.hears(posted(100))
	var stream int
	h.eventually("the stream should have begun", func() bool {
		_, stream = s.counted()
		return stream > 0 && !s.hasEnded(stream)
	})
	h.send(frozen, syscall.SIGSTOP)
	s.whisper(stream, "a post that only the stopped worker hears of")
	s.chatter(100)
	h.patientProcess() // whose lease does not run out when the machine stands still
	h.hears(posted(200))
	var epoch, now int64
	read := func(into *int64) {
		t.Helper()
		if err := h.db.Pool.QueryRow(context.Background(), "select epoch from social_source_state").Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	read(&epoch)
	h.send(frozen, syscall.SIGCONT)
	// What its stream has brought is the first thing that it finds: it writes nothing, lets go, and the other goes on.
	h.eventually("the stopped worker should let go of its stream", func() bool { return s.hasEnded(stream) })
	s.chatter(100)
	h.everyoneOnce(300)
	if read(&now); now != epoch {
		t.Errorf("the one that was stopped has taken the source back: epoch %d, then %d", epoch, now)
	}
}

func TestAListenerIsTerminated(t *testing.T) {
	for name, change := range map[string]func(*store.Source, *squareSettings){"polled": nil, "streamed": streamed} {
		t.Run(name, func(t *testing.T) {
			const n = 1000
			h, s := newHouse(t, 0), newSquare(t)
			s.pageSize = 10
			s.chatter(n)
			h.listens(s, change)
			for _, after := range []int{50, 400} {
				worker := h.patientProcess()
				h.eventually("the worker should be in the middle", func() bool { return len(h.stored()) >= after })
				h.send(worker, syscall.SIGTERM)
				if state, err := worker.Process.Wait(); err != nil || !state.Success() {
					t.Errorf("the worker should end well: %v, %v", state, err)
				}
				var held bool
				if err := h.db.Pool.QueryRow(context.Background(), "select worker is not null from social_source_state").Scan(&held); err != nil || held {
					t.Errorf("the source is still held: %t, %v", held, err)
				}
			}
			h.patientProcess()
			h.everyoneOnce(n)
		})
	}
}

func TestListeningWhileCommitsAreLost(t *testing.T) {
	const n = 600
	h, s := newHouse(t, 0), newSquare(t)
	p := newProxy(h)
	p.losing(func(n int) fate {
		switch n % 5 {
		case 1:
			return lost
		case 3:
			return unheard
		}
		return delivered
	})
	s.pageSize = 10
	s.chatter(n)
	h.listens(s, streamed)
	h.worker(h.options())
	h.everyoneOnce(n)
}

func TestListeningWhileTheDatabaseCrashes(t *testing.T) {
	const n = 1500
	db, crash := storetest.NewDurable(t)
	h, s := newHouseIn(t, db, 0), newSquare(t)
	h.exec("do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$")
	s.pageSize = 5
	s.chatter(n)
	h.listens(s, streamed)
	h.worker(h.options())
	h.worker(h.options())
	count := func() (n int) {
		_ = h.db.Pool.QueryRow(context.Background(), "select count(*) from mention").Scan(&n)
		return n
	}
	for _, after := range []int{100, 600} {
		h.eventually("the workers should be in the middle", func() bool { return count() >= after })
		crash()
	}
	h.eventually("all should be there", func() bool { return count() >= n })
	h.everyoneOnce(n)
}

func TestANetworkThatIsAskedTooOften(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	s.chatter(10)
	var refusals atomic.Int32
	var seen atomic.Bool
	s.misbehaves(func(w http.ResponseWriter, _ *http.Request) bool {
		if refusals.Add(1) > 2 && seen.Load() {
			return false
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	h.listens(s, nil)
	h.worker(h.options())
	h.fares(store.SourceWaiting, listen.Throttled)
	seen.Store(true)
	h.hears(posted(10))
	h.fares(store.SourceListening, "")
	polls, _ := s.counted()
	for i := range 2 {
		if waited := polls[i+1].Sub(polls[i]); waited < time.Second {
			t.Errorf("request %d came %s after it had been asked to wait a second", i+2, waited)
		}
	}
}

// A page may want to be left alone, too, whatever the source's own rhythm, and whether there is more or not.
func TestANetworkThatWantsToRest(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	s.pageSize = 5
	s.chatter(10)
	s.misbehaves(func(w http.ResponseWriter, r *http.Request) bool {
		after, _ := strconv.Atoi(r.FormValue("after"))
		page, _ := s.page(after)
		_, _ = fmt.Fprintf(w, `{"posts": [], "next": %d, "more": %t, "wait": %d}`, page.Next, page.More, 300*time.Millisecond)
		return true
	})
	h.listens(s, nil)
	h.worker(h.options())
	h.eventually("it should be asked some times", func() bool {
		polls, _ := s.counted()
		return len(polls) >= 4
	})
	polls, _ := s.counted()
	for i := range 3 {
		if waited := polls[i+1].Sub(polls[i]); waited < 300*time.Millisecond {
			t.Errorf("request %d came after %s", i+2, waited)
		}
	}
}

// Where what is read has moved is known of the source, which is read all the same.
func TestASourceThatHasMoved(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	s.chatter(3)
	s.misbehaves(func(w http.ResponseWriter, r *http.Request) bool {
		after, _ := strconv.Atoi(r.FormValue("after"))
		page, _ := s.page(after)
		page.Moved = "https://elsewhere.example/feed"
		return json.NewEncoder(w).Encode(page) == nil
	})
	h.listens(s, nil)
	h.worker(h.options())
	h.hears(posted(3))
	h.eventually("it should be known where it is", func() bool { return h.sourceState().Moved == "https://elsewhere.example/feed" })
	h.fares(store.SourceListening, "")
}

func TestCredentialsAreRotated(t *testing.T) {
	for name, change := range map[string]func(*store.Source, *squareSettings){
		"polled": nil, "streamed": func(_ *store.Source, s *squareSettings) { s.Only = true },
	} {
		t.Run(name, func(t *testing.T) {
			h, s := newHouse(t, 0), newSquare(t)
			h.secret("first")
			s.wants("second")
			s.chatter(10)
			h.listens(s, change)
			h.worker(h.options())
			// It would rest for a quarter of an hour.
			h.fares(store.SourceFailing, listen.Unauthorized)
			h.secret("second")
			h.hears(posted(10))
			h.fares(store.SourceListening, "")
			// A stream that goes on with credentials that are replaced is made anew.
			_, before := s.counted()
			s.wants("third")
			h.secret("third")
			h.eventually("a stream must not go on with credentials that are others", func() bool {
				_, now := s.counted()
				return change == nil || now > before
			})
			s.chatter(10)
			h.hears(posted(20))
		})
	}
}

func TestAStreamThatBreaks(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	var broken atomic.Bool
	broken.Store(true)
	s.misbehaves(func(w http.ResponseWriter, r *http.Request) bool {
		if broken.Load() && r.URL.Path == "/stream" {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	})
	s.chatter(100)
	h.listens(s, streamed)
	h.worker(h.options())
	h.hears(posted(100))
	h.fares(store.SourceFailing, listen.Unreachable)
	h.eventually("the status should say that it is polled", func() bool {
		return strings.HasSuffix(h.sourceState().Message, "The source is polled meanwhile.")
	})
	s.chatter(20)
	h.hears(posted(120)) // polling goes on
	broken.Store(false)
	h.eventually("the stream should be tried again", func() bool {
		polls, streams := s.counted()
		return streams > 1 && len(polls) > 1 && time.Since(polls[len(polls)-1]) > 300*time.Millisecond
	})
	s.chatter(20)
	h.everyoneOnce(140)
}

// What a source streams does not wait for what it polls for, where that is something else; and what stands in the way is told until it is over.
func TestAStreamBesideTrouble(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	s.misbehaves(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/stream" {
			w.WriteHeader(http.StatusBadGateway)
		}
		return r.URL.Path != "/stream"
	})
	s.troubled("The square's other side is away.")
	s.chatter(20)
	h.listens(s, func(_ *store.Source, s *squareSettings) { s.Apart = true })
	h.worker(h.options())
	h.hears(posted(20))
	h.fares(store.SourceFailing, listen.Unreachable)
	h.eventually("the status should say what the stream says", func() bool { return h.sourceState().Message == "The square's other side is away." })
	s.troubled("")
	s.chatter(1)
	h.hears(posted(21))
	h.fares(store.SourceListening, "")
}

func TestAServerThatHangs(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	s.chatter(10)
	var hangs atomic.Bool
	hangs.Store(true)
	s.misbehaves(func(_ http.ResponseWriter, r *http.Request) bool {
		if !hangs.Load() {
			return false
		}
		<-r.Context().Done()
		return true
	})
	h.listens(s, nil)
	other := newSquare(t)
	other.post(listen.Post{ID: "elsewhere", Text: "Hola"})
	h.listens(other, func(s *store.Source, _ *squareSettings) { s.Name = "other" })
	o := h.options()
	o.PollLimit = 300 * time.Millisecond
	h.worker(o)
	h.fares(store.SourceFailing, listen.Unreachable)
	h.hears(map[string]int{"elsewhere": 1}) // nobody waits for it
	hangs.Store(false)
	want := posted(10)
	want["elsewhere"] = 1
	h.hears(want)
	h.fares(store.SourceListening, "")
}

// A post that the database refuses must not stop a source, nor take others along.
func TestAPoisonousPost(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	h.exec("alter table mention add constraint antidote check (text <> 'veneno')")
	s.chatter(30)
	s.says("veneno")
	s.chatter(40)
	s.says("veneno", "veneno")
	s.chatter(10)
	h.listens(s, nil)
	h.worker(h.options())
	h.hears(posted(83, 31, 72, 73))
	h.eventually("they should be counted", func() bool { return h.sourceState().Rejected == 3 })
	h.fares(store.SourceListening, "")
	s.chatter(5)
	h.hears(posted(88, 31, 72, 73))
}

func TestAConnectorThatPanics(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	h.listens(s, func(_ *store.Source, s *squareSettings) { s.Panic = true })
	h.worker(h.options())
	h.fares(store.SourceFailing, listen.Malformed)
	h.listens(s, nil)
	s.chatter(3)
	h.hears(posted(3))
}

func TestASuspendedSource(t *testing.T) {
	for name, change := range map[string]func(*store.Source, *squareSettings){"polled": nil, "streamed": streamed} {
		t.Run(name, func(t *testing.T) {
			h, s := newHouse(t, 0), newSquare(t)
			s.chatter(10)
			source := h.listens(s, change)
			h.worker(h.options())
			h.hears(posted(10))
			source.Suspended = true
			h.declare(source)
			h.eventually("it should be let go", func() bool {
				polls, _ := s.counted()
				return time.Since(polls[len(polls)-1]) > 300*time.Millisecond
			})
			s.chatter(10)
			other := newSquare(t)
			other.post(listen.Post{ID: "elsewhere", Text: "Hola"})
			h.listens(other, func(s *store.Source, _ *squareSettings) { s.Name = "other" })
			want := posted(10)
			want["elsewhere"] = 1
			h.hears(want) // the worker works, and reads nothing of what is suspended
			source.Suspended = false
			h.declare(source)
			want = posted(20)
			want["elsewhere"] = 1
			h.hears(want)
		})
	}
}

func TestPostsOfOtherLanguages(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	s.post(listen.Post{Text: "Hola a todos, ¿qué tal el día?"})
	s.post(listen.Post{Text: "Guten Tag", Language: "de-AT"})
	s.post(listen.Post{Text: "👍"})
	s.post(listen.Post{Text: "Hello", Language: "en"})
	s.post(listen.Post{Text: "Oggi non ho tempo perché devo andare alla riunione con gli altri della squadra"})
	h.listens(s, func(s *store.Source, _ *squareSettings) { s.Languages = []string{"es", "en"} })
	h.worker(h.options())
	h.hears(posted(5, 2, 5))
}

func TestTopicsAreFound(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	h.monitor("velo", "Velo", "velo")
	s.says("Me encanta Velo", "Nada que decir")
	h.listens(s, nil)
	h.worker(h.options())
	found := func() map[string]string {
		rows, err := h.db.Pool.Query(context.Background(), `select m.native_id, t.name || ' ' || array_to_string(mt.terms, ',') from mention_topic mt
			join mention m on m.id = mt.mention_id join topic t on t.id = mt.topic_id`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		got := map[string]string{}
		for rows.Next() {
			var id, topic string
			if err := rows.Scan(&id, &topic); err != nil {
				t.Fatal(err)
			}
			got[id] = topic
		}
		return got
	}
	h.eventually("a topic should be found", func() bool { return cmp.Equal(map[string]string{"post-1": `Velo word "velo"`}, found()) })
	// Topics that are declared later count from then on.
	h.monitor("rivals", "Pedalia", "pedalia")
	h.eventually("a new topic should be found", func() bool {
		s.says("Pedalia es mejor")
		return strings.Contains(fmt.Sprint(found()), "Pedalia")
	})
}

func TestMentionsAreForgottenInTime(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	s.post(listen.Post{Text: "Hace un mes", CreatedAt: time.Now().Add(-30 * 24 * time.Hour)})
	s.says("Hoy")
	source := h.listens(s, nil)
	h.worker(h.options())
	h.hears(posted(2))
	source.Keep = 7 * 24 * time.Hour
	h.declare(source)
	h.hears(posted(2, 1))
}
