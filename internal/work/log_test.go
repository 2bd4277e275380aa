package work_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// logged gathers a log at its most talkative, a line at a time.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) logger() logr.Logger {
	return funcr.NewJSON(func(line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, line)
	}, funcr.Options{Verbosity: 10})
}

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

func (l *logged) has(part string) bool {
	return slices.ContainsFunc(l.all(), func(line string) bool { return strings.Contains(line, part) })
}

// A send in which much goes wrong: recipients are refused, put off and left without an answer, by replies that name them; the
// database refuses intents with words that name one; the relay goes away. The log tells of all that and names nobody, and
// every line says whose it is under the same keys.
func TestTheLogOfASendNamesNobody(t *testing.T) {
	h := newHouse(t, 12)
	deferred := sync.Map{}
	h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		name, _, _ := strings.Cut(e.To, "@")
		switch {
		case e.Stage == delivertest.Rcpt && name == "c1":
			return delivertest.Action{Reply: "550 5.1.1 <" + e.To + "> Ana 1 is unknown here"}
		case e.Stage == delivertest.Rcpt && name == "c2":
			if _, again := deferred.LoadOrStore(name, true); !again {
				return delivertest.Action{Reply: "450 4.2.1 <" + e.To + "> is busy"}
			}
		case e.Stage == delivertest.Dot && name == "c3":
			return delivertest.Action{Close: true}
		}
		return delivertest.Action{}
	}})
	h.exec(`create function refuse() returns trigger language plpgsql as $$ begin
		raise exception 'c4@people.example cannot be written' using errcode = '23514'; end $$`)
	for i := range 16 {
		h.exec(fmt.Sprintf("create trigger refuse before update on ledger_%d for each row execute function refuse()", i))
	}
	log := &logged{}
	w, err := work.New(h.options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(logr.NewContext(context.Background(), log.logger()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	h.campaign(nil)
	h.eventually("the database should refuse intents", func() bool { return log.has("cannot commit intents") })
	h.relay.Stop()
	// To drop it, all of the ledger would have to be locked while workers lock it, too.
	h.exec("create or replace function refuse() returns trigger language plpgsql as $$ begin return new; end $$")
	h.eventually("the relay should be missed", func() bool { return log.has("the channel is in trouble") })
	h.relay.Start()
	h.becomes("Completed planned 12 sent 10 failed 1 ambiguous 1 pending 0")
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !log.has("SQLSTATE 23514") {
		t.Error("the log does not tell by which code the database refused")
	}
	for _, line := range log.all() {
		for _, never := range []string{"people.example", "Ana", "is busy", "unknown here"} {
			if strings.Contains(line, never) {
				t.Errorf("a line names somebody: %s", line)
			}
		}
		var keys map[string]any
		if err := json.Unmarshal([]byte(line), &keys); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		message, _ := keys["msg"].(string)
		wanted := []string{"worker"}
		if !strings.HasPrefix(message, "worker ") {
			wanted = append(wanted, "tenant")
		}
		if _, ok := keys["chunk"]; ok {
			wanted = append(wanted, "campaign", "channel")
		}
		if strings.Contains(message, "cannot") || strings.Contains(message, "fails") {
			wanted = append(wanted, "error")
		}
		for _, key := range wanted {
			if _, ok := keys[key]; !ok {
				t.Errorf("a line has no key %q: %s", key, line)
			}
		}
	}
}
