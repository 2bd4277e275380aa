package listentest

import (
	"context"
	"errors"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// streamTests are of Streamers alone.
var streamTests = map[string]func(*bench, *streaming){
	"brings what is published":            streamBrings,
	"brings many in batches":              streamMany,
	"goes on from every cursor":           streamEveryCursor,
	"goes on after a break":               streamBreaks,
	"ends where nothing can be stored":    streamNotStored,
	"follows edits":                       streamEdits,
	"follows deletions":                   streamDeletions,
	"tells what it cannot know any more":  streamGap,
	"makes what strangers write harmless": streamHostile,
}

// prompt is how soon what is published has to be handed over, on a machine that does much else.
const prompt = 15 * time.Second

func streamBrings(b *bench, s *streaming) {
	running := s.start()
	began := time.Now()
	ids := b.publish(5)
	b.awaitAll(ids)
	if took := time.Since(began); took > prompt {
		b.t.Errorf("it took %s", took)
	}
	if !b.n.Unordered {
		b.store.expectOrder(b.t, ids)
	}
	for _, id := range ids {
		b.checkPost(id, b.clock.Now().Add(-time.Hour))
	}
	running.stop()
}

func (b *bench) awaitAll(ids []string) {
	b.t.Helper()
	b.store.await(b.t, "what was published", func() bool { return b.store.lacks(ids) == "" })
}

func streamMany(b *bench, s *streaming) {
	running := s.start()
	ids := b.publish(b.n.Many)
	b.awaitAll(ids)
	if !b.n.Unordered {
		b.store.expectOrder(b.t, ids)
	}
	running.stop()
}

func streamEveryCursor(b *bench, s *streaming) {
	var ids []string
	for range 4 {
		running := s.start()
		more := b.publish(3)
		b.awaitAll(more)
		ids = append(ids, more...)
		running.stop()
		s.renew()
	}
	whole := b.store
	for _, then := range whole.snapshots() {
		b.store = whole.at(then)
		s.take = b.store.take
		s.renew()
		s.catchUp(ids)
	}
}

func streamBreaks(b *bench, s *streaming) {
	b.can(b.n.Server != nil, "cut connections")
	running := s.start()
	ids := b.publish(3)
	b.awaitAll(ids)
	b.n.Server.Cut()
	if err := running.wait(); err == nil || errors.Is(err, context.Canceled) {
		b.t.Errorf("the connection broke, and the stream ends with: %v", err)
	} else {
		_ = troubleOf(b.t, err)
	}
	ids = append(ids, b.publish(3)...)
	s.renew()
	s.catchUp(ids)
}

var errNotStored = errors.New("the database is away")

// streamNotStored: whatever could not be stored comes again.
func streamNotStored(b *bench, s *streaming) {
	running := s.start()
	ids := b.publish(3)
	b.awaitAll(ids)
	running.stop()
	s.renew()
	s.take = func(context.Context, listen.Batch) error { return errNotStored }
	running = s.start()
	ids = append(ids, b.publish(3)...)
	if err := running.wait(); !errors.Is(err, errNotStored) {
		b.t.Errorf("nothing can be stored, and the stream ends with: %v", err)
	}
	s.take = b.store.take
	s.renew()
	s.catchUp(ids)
}

func streamEdits(b *bench, s *streaming) {
	b.can(b.n.Edit != nil, "edit")
	running := s.start()
	ids := b.publish(3)
	b.awaitAll(ids)
	b.edit(ids[1], "Velo, in other words")
	b.awaitAll(ids)
	running.stop()
}

func streamDeletions(b *bench, s *streaming) {
	b.can(b.n.Delete != nil, "take anything back")
	running := s.start()
	ids := b.publish(3)
	b.awaitAll(ids)
	b.n.Delete(ids[1])
	b.store.await(b.t, "the deletion", func() bool { _, there := b.store.get(ids[1]); return !there })
	running.stop()
	b.store.expect(b.t, []string{ids[0], ids[2]})
}

func streamGap(b *bench, s *streaming) {
	b.can(b.n.Forget != nil, "forget")
	running := s.start()
	b.awaitAll(b.publish(3))
	running.stop()
	b.publish(3)
	b.clock.Advance(time.Hour)
	b.n.Forget()
	s.renew()
	running = s.start()
	b.awaitAll(b.publish(1))
	running.stop()
	if poller, ok := s.streamer.(listen.Poller); ok && len(b.store.allGaps()) == 0 {
		(&polling{b: b, poller: poller}).drain()
	}
	if len(b.store.allGaps()) == 0 {
		b.t.Error("the network forgot what nobody had read, and no gap is reported")
	}
}

func streamHostile(b *bench, s *streaming) {
	running := s.start()
	ids := b.publishHostile()
	b.store.await(b.t, "what strangers write", func() bool {
		for _, id := range ids {
			if _, ok := b.store.get(id); !ok {
				return false
			}
		}
		return true
	})
	running.stop()
	b.expectHarmless(ids)
}
