package listentest

import (
	"context"
	"errors"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
)

// readTests are of Pollers and of Streamers alike: networks in trouble.
var readTests = map[string]func(*bench, driver){
	"leaves alone who was asked too often":        readThrottled,
	"says that credentials are no longer valid":   readRevoked,
	"is not held up by who hangs":                 readHanging,
	"ends with its context where a network hangs": readHangingContext,
	"reads a gigabyte in bounds":                  readFlooded,
	"says that it reads nonsense":                 readGarbled,
	"goes on where a network failed":              readFailed,
	"asks no address that is not public":          readPrivate,
}

// retryAfter is for how long a network wants to be left alone.
const retryAfter = 37 * time.Second

// expectTrouble asks while the network is in trouble, and finds one of these reasons told.
func (b *bench) expectTrouble(d driver, reasons ...listen.Reason) *listen.Trouble {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := d.ask(ctx)
	if ctx.Err() != nil {
		b.t.Fatalf("it ended only with its context: %v", err)
	}
	trouble := troubleOf(b.t, err)
	if !slices.Contains(reasons, trouble.Reason) {
		b.t.Errorf("the trouble is %s, want one of %s: %s", trouble.Reason, reasons, trouble.Message)
	}
	for name, secret := range b.n.Options.Credentials {
		if len(secret) >= 4 && (strings.Contains(err.Error(), secret) || trouble.Err != nil && strings.Contains(trouble.Err.Error(), secret)) {
			b.t.Errorf("the trouble tells the credential %s: %s", name, trouble.Message)
		}
	}
	return trouble
}

// afterwards lets the network answer well again, and finds that nothing was lost.
func (b *bench) afterwards(d driver, ids []string) {
	b.t.Helper()
	b.behave(Behaviour{})
	b.clock.Advance(time.Hour)
	d.catchUp(ids)
	for name, secret := range b.n.Options.Credentials {
		if len(secret) >= 4 && strings.Contains(string(b.store.now()), secret) {
			b.t.Errorf("the cursor holds the credential %s", name)
		}
	}
}

func readThrottled(b *bench, d driver) {
	d.catchUp(nil)
	ids := b.publish(2)
	b.can(b.behave(Behaviour{Manner: Throttle, RetryAfter: retryAfter}), "throttle")
	before := b.asked.Load()
	trouble := b.expectTrouble(d, listen.Throttled)
	if trouble.Wait < retryAfter || trouble.Wait > retryAfter+time.Hour {
		b.t.Errorf("the network wants to be left alone for %s, and the wait is %s", retryAfter, trouble.Wait)
	}
	if asked := b.asked.Load() - before; b.n.Server != nil && asked != 1 {
		b.t.Errorf("it was asked %d times, want once", asked)
	}
	b.afterwards(d, ids)
}

func (b *bench) requests() int {
	if b.n.Server == nil {
		return 0
	}
	return len(b.n.Server.Requests())
}

func readRevoked(b *bench, d driver) {
	b.can(b.n.Revoke != nil, "revoke credentials")
	d.catchUp(nil)
	ids := b.publish(2)
	b.n.Revoke()
	for range 2 { // a connector that is open, and a new one
		if trouble := b.expectTrouble(d, listen.Unauthorized); !trouble.Reason.NeedsPerson() {
			b.t.Error("nobody is asked to mend it")
		}
		d.renew()
	}
	b.n.Restore()
	b.afterwards(d, ids)
}

func readHanging(b *bench, d driver) {
	d.catchUp(nil)
	ids := b.publish(2)
	b.limit(hasty)
	for _, how := range []Manner{Hang, HangWithin} {
		b.can(b.behave(Behaviour{Manner: how}), string(how))
		_ = b.expectTrouble(d, listen.Unreachable, listen.Malformed)
	}
	b.limit(timeout)
	b.afterwards(d, ids)
}

func readHangingContext(b *bench, d driver) {
	d.catchUp(nil)
	ids := b.publish(2)
	for _, how := range []Manner{Hang, HangWithin} {
		b.can(b.behave(Behaviour{Manner: how}), string(how))
		ctx, cancel := context.WithCancel(context.Background())
		before := b.requests()
		asked := make(chan error, 1)
		go func() { asked <- d.ask(ctx) }()
		if b.n.Server != nil {
			limit, stop := context.WithTimeout(context.Background(), patience)
			if err := b.n.Server.awaitRequest(limit, before); err != nil {
				b.t.Error("it asks nothing")
			}
			stop()
		}
		cancel()
		select {
		case err := <-asked:
			if !errors.Is(err, context.Canceled) {
				b.t.Errorf("its context has ended, and it ends with: %v", err)
			}
		case <-time.After(timeout / 2): // before the client's own limit
			b.t.Errorf("%s: its context has ended, and it goes on; later it ends with: %v", how, <-asked)
		}
	}
	b.afterwards(d, ids)
}

// Bounds of what a connector may take of an answer without an end, in bytes: of the network, and of memory.
const (
	maxTaken = 128 << 20
	maxHeap  = 256 << 20
)

func readFlooded(b *bench, d driver) {
	d.catchUp(nil)
	ids := b.publish(2)
	b.limit(hasty)
	for _, how := range []Manner{Flood, Inflate} {
		b.can(b.behave(Behaviour{Manner: how, Body: b.n.Flood}), string(how))
		peak := watchHeap()
		_ = b.expectTrouble(d, listen.Malformed, listen.Unreachable)
		if grown := peak(); grown > maxHeap {
			b.t.Errorf("%s: it takes %d MB of memory", how, grown>>20)
		}
		if b.n.Server != nil && how == Flood && b.n.Server.flooded.Load() > maxTaken {
			b.t.Errorf("it reads %d MB", b.n.Server.flooded.Load()>>20)
		}
	}
	b.limit(timeout)
	b.afterwards(d, ids)
}

// watchHeap measures by how much the heap grows until the function that it returns is called.
func watchHeap() func() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	first := read()
	highest := first
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				highest = max(highest, read())
			case <-done:
				return
			}
		}
	})
	return func() uint64 {
		close(done)
		watching.Wait()
		return max(highest, read()) - first
	}
}

// readGarbled: nonsense is told, or counted as rejected, and what comes after it is read.
func readGarbled(b *bench, d driver) {
	d.catchUp(nil)
	ids := b.publish(2)
	for _, body := range b.garbage() {
		b.can(b.behave(Behaviour{Manner: Garble, Body: body}), "answer nonsense")
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		before := b.store.rejections()
		err := d.ask(ctx)
		cancel()
		if err == nil && b.store.rejections() > before {
			continue
		}
		if trouble := troubleOf(b.t, err); trouble.Reason != listen.Malformed && trouble.Reason != listen.Unreachable {
			b.t.Errorf("%.40q is %s: %s", body, trouble.Reason, trouble.Message)
		}
	}
	b.afterwards(d, ids)
}

func readFailed(b *bench, d driver) {
	d.catchUp(nil)
	ids := b.publish(2)
	for _, how := range []Manner{Fail, Drop, DropWithin} {
		if how == DropWithin {
			b.limit(hasty) // a stream ends by this alone, before it has begun
		}
		b.can(b.behave(Behaviour{Manner: how}), string(how))
		_ = b.expectTrouble(d, listen.Unreachable, listen.Malformed)
	}
	b.limit(timeout)
	b.afterwards(d, ids)
}

// readPrivate: without the operator's word nothing of this machine is asked.
func readPrivate(b *bench, d driver) {
	o, client := b.options(egress.Dialer{Timeout: timeout})
	defer client.CloseIdleConnections()
	before := b.requests()
	c, err := b.n.Open(o)
	if err != nil {
		_ = troubleOf(b.t, err)
		return
	}
	defer c.Close() //nolint:errcheck // it has opened nothing
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, polls := d.(*polling); polls {
		_, err = c.(listen.Poller).Poll(ctx, nil)
	} else {
		err = c.(listen.Streamer).Stream(ctx, nil, b.store.take)
	}
	if trouble := troubleOf(b.t, err); trouble.Reason != listen.Forbidden {
		b.t.Errorf("an address of this machine is %s: %s", trouble.Reason, trouble.Message)
	}
	if b.requests() != before {
		b.t.Error("it was asked all the same")
	}
}
