package listentest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// hookTests are of WebhookReceivers.
var hookTests = map[string]func(*bench){
	"brings what is published":            hookBrings,
	"takes the same again, in any order":  hookReplays,
	"is called by many at once":           hookConcurrent,
	"follows edits":                       hookEdits,
	"follows deletions":                   hookDeletions,
	"refuses what was not signed":         hookForged,
	"says what cannot be read":            hookGarbage,
	"makes what strangers write harmless": hookHostile,
}

// receiver opens the connector as a server does; where it is no WebhookReceiver the test is skipped.
func (b *bench) receiver() listen.WebhookReceiver {
	b.t.Helper()
	c, end := b.open()
	b.t.Cleanup(end)
	r, ok := c.(listen.WebhookReceiver)
	if !ok {
		b.t.Skip("the connector is no WebhookReceiver")
	}
	if b.n.Hooks == nil || b.n.Sign == nil {
		b.t.Fatal("the connector is a WebhookReceiver, and the network has no Hooks or no Sign")
	}
	return r
}

// receive hands requests over as a server does, and stores what they bring.
func (b *bench) receive(r listen.WebhookReceiver, requests []listen.Request) {
	b.t.Helper()
	for _, request := range requests {
		batch, response, err := r.Receive(context.Background(), request)
		if err != nil {
			b.t.Fatalf("receive: %v (%v)", err, errors.Unwrap(err))
		}
		if response.Status != 0 && response.Status/100 != 2 {
			b.t.Errorf("what was taken is answered with %d", response.Status)
		}
		if batch.Next != nil {
			b.t.Errorf("a webhook's batch has a cursor: %s", batch.Next)
		}
		_ = b.store.take(context.Background(), batch)
	}
}

// hooks are the network's requests, as they come in now.
func (b *bench) hooks() []listen.Request {
	requests := b.n.Hooks()
	for i := range requests {
		requests[i].At = b.clock.Now()
	}
	return requests
}

func hookBrings(b *bench) {
	r := b.receiver()
	ids := b.publish(5)
	b.receive(r, b.hooks())
	b.store.expect(b.t, ids)
	for _, id := range ids {
		b.checkPost(id, b.clock.Now().Add(-time.Hour))
	}
}

func hookReplays(b *bench) {
	r := b.receiver()
	var ids []string
	var requests []listen.Request
	for range 4 {
		ids = append(ids, b.publish(3)...)
		requests = append(requests, b.hooks()...)
	}
	slices.Reverse(requests)
	b.receive(r, requests)
	slices.Reverse(requests)
	b.receive(b.receiver(), requests)
	b.store.expect(b.t, ids)
}

func hookConcurrent(b *bench) {
	r := b.receiver()
	var ids []string
	var requests []listen.Request
	for range 20 {
		ids = append(ids, b.publish(1)...)
		requests = append(requests, b.hooks()...)
	}
	var all sync.WaitGroup
	for _, request := range requests {
		all.Go(func() {
			batch, _, err := r.Receive(context.Background(), request)
			if err != nil {
				b.t.Errorf("receive: %v", err)
				return
			}
			_ = b.store.take(context.Background(), batch)
		})
	}
	all.Wait()
	b.store.expect(b.t, ids)
}

func hookEdits(b *bench) {
	b.can(b.n.Edit != nil, "edit")
	r := b.receiver()
	ids := b.publish(3)
	requests := b.hooks()
	b.receive(r, requests)
	b.edit(ids[1], "Velo, in other words")
	b.receive(r, b.hooks())
	b.store.expect(b.t, ids)
}

func hookDeletions(b *bench) {
	b.can(b.n.Delete != nil, "take anything back")
	r := b.receiver()
	ids := b.publish(3)
	before := b.hooks()
	b.receive(r, before)
	b.n.Delete(ids[1])
	b.receive(r, b.hooks())
	b.expectGone(ids[1])
	b.receive(r, before) // it does not come back
	b.expectGone(ids[1])
	b.store.expect(b.t, []string{ids[0], ids[2]})
}

// hookForged: whoever does not have the key changes nothing.
func hookForged(b *bench) {
	r := b.receiver()
	b.publish(1)
	for _, request := range b.hooks() {
		forgeries := map[string]listen.Request{}
		bare := request
		bare.Header = http.Header{"Content-Type": request.Header.Values("Content-Type")}
		forgeries["unsigned"] = bare
		garbled := request
		garbled.Header = request.Header.Clone()
		for name := range garbled.Header {
			if name != "Content-Type" {
				garbled.Header.Set(name, "v1,sha256=0000000000000000000000000000000000000000000000000000000000000000")
			}
		}
		forgeries["with a signature that is none"] = garbled
		if !b.n.Bearer {
			altered := request
			altered.Body = append(slices.Clone(request.Body), ' ')
			forgeries["with another body"] = altered
		}
		for name, forged := range forgeries {
			if batch, _, err := r.Receive(context.Background(), forged); !errors.Is(err, listen.ErrSignature) || !batch.Empty() {
				b.t.Errorf("a request %s gives %+v and the error %v", name, batch, err)
			}
		}
	}
}

// hookGarbage: what the network signs can be nonsense all the same.
func hookGarbage(b *bench) {
	r := b.receiver()
	for _, body := range b.garbage() {
		request := b.n.Sign(body)
		request.At = b.clock.Now()
		batch, _, err := r.Receive(context.Background(), request)
		switch {
		case err != nil:
			if trouble := troubleOf(b.t, err); trouble.Reason != listen.Malformed {
				b.t.Errorf("%.40q is %s: %s", body, trouble.Reason, trouble.Message)
			}
		case len(batch.Posts)+len(batch.Deleted) > 0 || len(batch.Rejected) == 0:
			b.t.Errorf("%.40q gives %+v", body, batch)
		}
	}
}

func hookHostile(b *bench) {
	r := b.receiver()
	ids := b.publishHostile()
	b.receive(r, b.hooks())
	b.expectHarmless(ids)
}
