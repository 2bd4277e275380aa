package listentest

import (
	"context"
	"encoding/json"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// plainTests are of every connector.
var plainTests = map[string]func(*bench){
	"does something":              testDoesSomething,
	"refuses settings":            testMisdeclared,
	"closes what it has opened":   testCloses,
	"closes what it never opened": testClosesUnused,
}

func testDoesSomething(b *bench) {
	c, end := b.open()
	defer end()
	_, polls := c.(listen.Poller)
	_, streams := c.(listen.Streamer)
	_, receives := c.(listen.WebhookReceiver)
	if !polls && !streams && !receives {
		b.t.Error("the connector neither polls, nor streams, nor receives")
	}
}

func testMisdeclared(b *bench) {
	for _, settings := range append([]string{"", "{", "[]", "null", "17", `"x"`, `{"`, "{}"}, b.n.Misdeclared...) {
		o, client := b.options(egressHere)
		o.Settings = json.RawMessage(settings)
		c, err := b.n.Open(o)
		if err == nil {
			_ = c.Close()
			if settings != "{}" { // some have nothing that has to be said
				b.t.Errorf("the settings %q are taken", settings)
			}
			continue
		}
		if trouble := troubleOf(b.t, err); trouble.Reason != listen.Misdeclared {
			b.t.Errorf("the settings %q are %s: %s", settings, trouble.Reason, trouble.Message)
		}
		client.CloseIdleConnections()
	}
}

func testClosesUnused(b *bench) {
	_, end := b.open()
	end()
}

// testCloses: nothing is left of a connector that was used and closed, neither a connection nor a goroutine.
func testCloses(b *bench) {
	before := goroutines("")
	c, end := b.open()
	path := reflect.Indirect(reflect.ValueOf(c)).Type().PkgPath() + "."
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if p, ok := c.(listen.Poller); ok {
		if _, err := p.Poll(ctx, nil); err != nil {
			b.t.Errorf("poll: %v", err)
		}
	}
	if s, ok := c.(listen.Streamer); ok {
		running := (&streaming{b: b, streamer: s, take: b.store.take}).start()
		running.stop()
	}
	end()
	if b.n.Connections != nil {
		eventually(b, "connections to be closed", func() bool { return b.n.Connections() == 0 })
	}
	eventually(b, "goroutines of "+path+" to end", func() bool {
		for number := range goroutines(path) {
			if _, old := before[number]; !old {
				return false
			}
		}
		return true
	})
}

// goroutines are those in which a package's code runs, and no test: their stacks by their numbers.
func goroutines(path string) map[string]string {
	buffer := make([]byte, 4<<20)
	found := map[string]string{}
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		number, _, _ := strings.Cut(stack, " [")
		if strings.Contains(stack, path) && !strings.Contains(stack, "testing.tRunner") {
			found[number] = stack
		}
	}
	return found
}

// eventually waits for what nobody signals.
func eventually(b *bench, what string, holds func() bool) {
	b.t.Helper()
	limit, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}
