package listentest

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// pollTests are of Pollers alone.
var pollTests = map[string]func(*bench, *polling){
	"brings what is published":               pollBrings,
	"begins with what is there":              pollBegins,
	"brings many in batches":                 pollMany,
	"goes on from every cursor":              pollEveryCursor,
	"loses nothing to kills":                 pollKilled,
	"brings nothing where nothing is new":    pollIdle,
	"follows edits":                          pollEdits,
	"follows deletions":                      pollDeletions,
	"ends with its context":                  pollContext,
	"takes a cursor that is none of its own": pollStrangeCursor,
	"tells what it cannot know any more":     pollGap,
	"makes what strangers write harmless":    pollHostile,
	"never brings what was taken back early": pollDeletedEarly,
}

func pollBrings(b *bench, p *polling) {
	p.begin()
	ids := b.publish(5)
	p.drain()
	b.store.expect(b.t, ids)
	if !b.n.Unordered {
		b.store.expectOrder(b.t, ids)
	}
	for i, id := range ids {
		b.checkPost(id, b.clock.Now().Add(-time.Duration(len(ids)-i)*time.Second-time.Hour))
	}
}

// checkPost finds what a post lacks that every network tells.
func (b *bench) checkPost(id string, after time.Time) {
	b.t.Helper()
	p, ok := b.store.get(id)
	if !ok {
		return // told already
	}
	if p.CreatedAt.Before(after) || p.CreatedAt.After(b.clock.Now()) {
		b.t.Errorf("%q was written at %s, it says; now is %s", id, p.CreatedAt, b.clock.Now())
	}
	if !p.EditedAt.IsZero() {
		b.t.Errorf("%q was edited at %s, it says, and was not", id, p.EditedAt)
	}
}

func pollBegins(b *bench, p *polling) {
	b.can(!b.n.FromNow, "begin with what is there")
	ids := b.publish(3)
	p.drain()
	b.store.expect(b.t, ids)
}

func pollMany(b *bench, p *polling) {
	p.begin()
	ids := b.publish(b.n.Many)
	p.drain()
	b.store.expect(b.t, ids)
	if !b.n.Unordered {
		b.store.expectOrder(b.t, ids)
	}
}

func pollEveryCursor(b *bench, p *polling) {
	p.begin()
	var ids []string
	for range 4 {
		ids = append(ids, b.publish(3)...)
		p.drain()
	}
	whole := b.store
	for _, then := range whole.snapshots() {
		b.store = whole.at(then)
		p.renew()
		p.drain()
		b.store.expect(b.t, ids)
	}
}

// pollKilled: of every page that was read the first is lost, with the worker that read it.
func pollKilled(b *bench, p *polling) {
	p.begin()
	ids := b.publish(max(b.n.Many/4, 10))
	quiet := 0
	for polls := 0; quiet < 2; polls++ {
		if polls == maxPolls {
			b.t.Fatalf("%d polls, and there is always more", maxPolls)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if _, err := p.poller.Poll(ctx, b.store.now()); err != nil {
			b.t.Errorf("poll: %v", err)
		}
		p.renew()
		page, err := p.page(ctx)
		if err != nil {
			b.t.Fatalf("poll again: %v", err)
		}
		cancel()
		p.renew()
		if quiet++; len(page.Posts) > 0 || page.More {
			quiet = 0
		}
		b.clock.Advance(max(page.Wait, time.Minute))
	}
	b.store.expect(b.t, ids)
}

func pollIdle(b *bench, p *polling) {
	p.begin()
	ids := b.publish(5)
	p.drain()
	b.store.expect(b.t, ids)
	p.renew()
	before := b.store.repetitions()
	p.drain()
	if again := b.store.repetitions() - before; again > 0 {
		b.t.Errorf("nothing is new, and %d posts come again", again)
	}
}

// pollStrangeCursor: a cursor that an older or a newer program wrote is no reason to break.
func pollStrangeCursor(b *bench, p *polling) {
	p.begin()
	for _, cursor := range []string{"null", "17", `"x"`, "[]", "{}", `{"unknown":{"a":[1,2,3]}}`, `[[[[]]]]`, `{"seen":17,"after":-1,"id":"\u0000"}`} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		page, err := p.poller.Poll(ctx, listen.Cursor(cursor))
		cancel()
		if err != nil {
			_ = troubleOf(b.t, err)
		} else if page.Next != nil && !json.Valid(page.Next) {
			b.t.Errorf("from %s on the cursor is %.100s", cursor, page.Next)
		}
		p.renew()
	}
}

func pollEdits(b *bench, p *polling) {
	b.can(b.n.Edit != nil && !b.n.StreamOnly, "tell a poll of edits")
	p.begin()
	ids := b.publish(3)
	p.drain()
	b.edit(ids[1], "Velo, in other words")
	p.drain()
	b.store.expect(b.t, ids)
	b.edit(ids[1], "Velo, in other words again")
	p.renew()
	p.drain()
	b.store.expect(b.t, ids)
}

func (b *bench) edit(id, text string) {
	b.clock.Advance(time.Minute)
	b.n.Edit(id, text, b.clock.Now())
	b.store.expectText(id, text)
}

func pollDeletions(b *bench, p *polling) {
	b.can(b.n.Delete != nil && !b.n.StreamOnly, "tell a poll of deletions")
	p.begin()
	ids := b.publish(3)
	p.drain()
	b.clock.Advance(time.Minute)
	b.n.Delete(ids[1])
	p.renew()
	p.drain()
	b.expectGone(ids[1])
	b.store.expect(b.t, []string{ids[0], ids[2]})
}

func (b *bench) expectGone(id string) {
	b.t.Helper()
	if _, ok := b.store.get(id); ok {
		b.t.Errorf("%q was taken back, and is remembered", id)
	}
}

func pollDeletedEarly(b *bench, p *polling) {
	b.can(b.n.Delete != nil, "take anything back")
	p.begin()
	ids := b.publish(3)
	b.clock.Advance(time.Minute)
	b.n.Delete(ids[1])
	p.drain()
	b.expectGone(ids[1])
	b.store.expect(b.t, []string{ids[0], ids[2]})
}

func pollContext(b *bench, p *polling) {
	p.begin()
	b.publish(1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.poller.Poll(ctx, b.store.now()); !errors.Is(err, context.Canceled) {
		b.t.Errorf("the context has ended, and the poll ends with: %v", err)
	}
	p.drain()
}

func pollGap(b *bench, p *polling) {
	b.can(b.n.Forget != nil, "forget")
	p.begin()
	b.publish(3)
	p.drain()
	if gaps := b.store.allGaps(); len(gaps) > 0 {
		b.t.Fatalf("nothing was forgotten, and a gap is reported: %+v", gaps)
	}
	b.publish(3)
	b.clock.Advance(time.Hour)
	b.n.Forget()
	ids := b.publish(3)
	p.renew()
	p.drain()
	if len(b.store.allGaps()) == 0 {
		b.t.Error("the network forgot what nobody had read, and no gap is reported")
	}
	b.store.expect(b.t, ids)
}

func pollHostile(b *bench, p *polling) {
	p.begin()
	ids := b.publishHostile()
	p.drain()
	b.expectHarmless(ids)
}
