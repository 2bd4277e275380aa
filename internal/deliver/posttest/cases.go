package posttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
)

// testFault: whatever breaks, a caller that looks before it publishes again gets the post there once.
func testFault(t *testing.T, h *harness, fault Fault, outcomes []deliver.Outcome) {
	if fault == HangBefore || fault == HangAfter {
		h.outcome(h.publish(h.intent("Antes")), deliver.Accepted) // what has to be asked once has been
		patient := h.options.Timeout
		h.options.Timeout = 5 * time.Second
		h.open()
		h.options.Timeout = patient // of those that are opened later
	}
	before := h.Posted()
	to := h.Say("¿A qué precio?")
	i := h.intent("Cuesta 12 € -- ni más ni menos... https://velo.example/una/dirección/bastante/larga/para/acortar")
	i.Post.ReplyTo = &to
	h.Server.Break(fault, 1)
	first := h.publish(i)
	if !slices.Contains(outcomes, first.Outcome) {
		t.Errorf("it is %s (%s)", first.Outcome, first.Reply)
	}
	if first.Outcome == deliver.Unknown { // nobody knows whether the request is still under way
		h.Clock.Advance(5 * time.Minute)
		h.open()
		if r := h.find(i); r.Outcome == deliver.Unknown && r.RetryIn == 0 {
			t.Fatalf("nobody will ever know: %s", r.Reply)
		}
	}
	if fault == Throttle && first.RetryIn != 7*time.Second {
		t.Errorf("it is tried again in %s", first.RetryIn)
	}
	if len(i.Posted) == 0 {
		h.Clock.Advance(first.RetryIn)
		h.carry(i)
	}
	if got := h.Posted()[len(before):]; len(got) != 1 || got[0].Parent != to.ID {
		t.Errorf("on the network are %+v", got)
	}
}

// testForgotten: the caller died before it could write down that everything was published.
func testForgotten(_ *testing.T, h *harness) {
	i := h.intent(three...)
	h.outcome(h.publish(i), deliver.Accepted)
	i.Posted = nil
	h.Clock.Advance(time.Hour)
	h.open()
	h.outcome(h.find(i), deliver.Accepted)
	h.expectThread("")
	for n, seen := range h.Posted() {
		h.check(seen, i.Posted[n])
	}
}

// testNever: the caller died between its commit and the hand-over. What others wrote in between is not taken for it.
func testNever(_ *testing.T, h *harness) {
	other := h.intent("Otra cosa, de la misma cuenta")
	h.outcome(h.publish(other), deliver.Accepted)
	i := h.intent("Esto no salió nunca")
	h.Clock.Advance(time.Hour)
	h.outcome(h.find(i), deliver.Untouched)
	if len(i.Posted) > 0 {
		h.t.Errorf("it found %+v", i.Posted)
	}
	h.carry(i)
	h.expect("Otra cosa, de la misma cuenta", "Esto no salió nunca")
}

// testSameWords: who says the same twice means it, and says it twice.
func testSameWords(t *testing.T, h *harness) {
	first, second := h.intent("¡Buenos días!"), h.intent("¡Buenos días!")
	h.outcome(h.publish(first), deliver.Accepted)
	second.Taken = func(id string) bool { return id == first.Posted[0].ID }
	h.Server.Break(CutBefore, 1)
	h.carry(second)
	h.expect("¡Buenos días!", "¡Buenos días!")
	if first.Posted[0].ID == second.Posted[0].ID {
		t.Error("both are told to be the same post")
	}
}

// testSameWordsToTwo: what was answered to one person is not taken for the answer to another.
func testSameWordsToTwo(t *testing.T, h *harness) {
	one, two := h.Say("¿Abrís hoy?"), h.Say("¿Y mañana?")
	first, second := h.intent("Sí, a las diez."), h.intent("Sí, a las diez.")
	first.Post.ReplyTo, second.Post.ReplyTo = &one, &two
	h.outcome(h.publish(first), deliver.Accepted)
	h.Clock.Advance(time.Hour)
	h.outcome(h.find(second), deliver.Untouched)
	h.carry(second)
	if seen := h.expect("Sí, a las diez.", "Sí, a las diez."); seen[0].Parent != one.ID || seen[1].Parent != two.ID {
		t.Errorf("they answer %q and %q", seen[0].Parent, seen[1].Parent)
	}
}

func testTooLong(t *testing.T, h *harness) {
	fits := strings.Repeat("é", h.Longest)
	i := h.intent("Corto", fits+"x")
	r := h.publish(i)
	h.outcome(r, deliver.Refused)
	for _, want := range []string{"part 2 of 2", fmt.Sprint(h.Longest), fmt.Sprint(h.Longest + 1)} {
		if !strings.Contains(r.Reply, want) {
			t.Errorf("it does not tell %q: %s", want, r.Reply)
		}
	}
	if asked, _ := h.Server.Asked(); asked != 0 {
		t.Errorf("%d requests were made to publish", asked)
	}
	h.outcome(h.publish(h.intent(fits)), deliver.Accepted)
	h.expect(fits)
}

func testFlaws(t *testing.T, h *harness) {
	for name, change := range map[string]func(*post.Intent){
		"no id":         func(i *post.Intent) { i.ID = "" },
		"no parts":      func(i *post.Intent) { i.Post.Parts = nil },
		"nothing to it": func(i *post.Intent) { i.Post.Parts[0].Text = " \n" },
		"no UTF-8":      func(i *post.Intent) { i.Post.Parts[0].Text = "a\xff" },
		"no image":      func(i *post.Intent) { i.Post.Parts[0].Images = []post.Image{{Data: []byte("<svg onload=alert(1)>")}} },
		"half an image": func(i *post.Intent) { i.Post.Parts[0].Images = []post.Image{{Data: picture(t, 5, 5)[:20]}} },
		"too many images": func(i *post.Intent) {
			i.Post.Parts[0].Images = slices.Repeat([]post.Image{{Data: picture(t, 5, 5), Alt: "bici"}}, 5)
		},
		"too large an image": func(i *post.Intent) {
			i.Post.Parts[0].Images = []post.Image{{Data: append(picture(t, 5, 5), make([]byte, 2<<20)...), Alt: "bici"}}
		},
		"answers nothing":    func(i *post.Intent) { i.Post.ReplyTo = &post.Target{} },
		"answers a nonsense": func(i *post.Intent) { i.Post.ReplyTo = &post.Target{ID: "../../admin?x=1"} },
	} {
		i := h.intent("Hola")
		change(i)
		if r := h.publish(i); r.Outcome != deliver.Refused || r.Reply == "" {
			t.Errorf("%s: %s %q", name, r.Outcome, r.Reply)
		}
	}
	h.expect()
	if asked, _ := h.Server.Asked(); asked != 0 {
		t.Errorf("%d requests were made to publish", asked)
	}
}

func testGone(t *testing.T, h *harness) {
	to := h.Say("Me arrepiento de esto")
	h.Remove(to.ID)
	i := h.intent("¿De qué?")
	i.Post.ReplyTo = &to
	r := h.publish(i)
	h.outcome(r, deliver.Refused)
	if !strings.Contains(r.Reply, "deleted") {
		t.Errorf("it does not tell why: %s", r.Reply)
	}
	h.expect()
}

// troubled publishes and finds, and neither gets through because of the channel.
func (h *harness) troubled(i *post.Intent) *deliver.Trouble {
	h.t.Helper()
	r, err := h.p.Publish(h.t.Context(), i)
	h.discreet(r, err)
	h.outcome(r, deliver.Untouched)
	found, findErr := h.p.Find(h.t.Context(), i)
	h.discreet(found, findErr)
	h.outcome(found, deliver.Unknown)
	var trouble *deliver.Trouble
	if !errors.As(err, &trouble) || !errors.As(findErr, &trouble) || trouble.Server == "" {
		h.t.Fatalf("it is no trouble of the channel: %v, %v", err, findErr)
	}
	return trouble
}

func testRevoked(t *testing.T, h *harness) {
	h.outcome(h.publish(h.intent("Aún")), deliver.Accepted)
	h.Revoke()
	if trouble := h.troubled(h.intent("Ya no")); !strings.Contains(trouble.Reason, "Secret") {
		t.Errorf("it does not tell what to mend: %v", trouble)
	}
	h.expect("Aún")
}

func testUnreachable(_ *testing.T, h *harness) {
	h.Server.http.Listener.Close() //nolint:errcheck,gosec // it is to be gone
	_ = h.troubled(h.intent("Hola"))
}

func testForbidden(t *testing.T, h *harness) {
	h.options.Allowed = nil
	h.open()
	if trouble := h.troubled(h.intent("Hola")); !strings.Contains(trouble.Reason, "not public") && !strings.Contains(trouble.Reason, "no public") {
		t.Errorf("it says: %v", trouble)
	}
	if _, all := h.Server.Asked(); all != 0 {
		t.Errorf("%d requests were made", all)
	}
}

// testRedirect: nothing goes to where a server leads, least of all credentials.
func testRedirect(t *testing.T, h *harness) {
	var visits atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer other.Close()
	h.Server.elsewhere = other.URL
	h.Server.BreakAll(Redirect)
	_ = h.troubled(h.intent("Hola"))
	if visits.Load() != 0 {
		t.Error("it went there")
	}
	h.expect()
}

func testThrottled(t *testing.T, h *harness) {
	h.Server.Break(ThrottleFor, 1)
	i := h.intent("Con calma")
	r := h.publish(i)
	h.outcome(r, deliver.Deferred)
	if r.RetryIn != 24*time.Hour {
		t.Errorf("it is tried again in %s, as a server may wish for a day at most", r.RetryIn)
	}
	asked, _ := h.Server.Asked()
	again := h.publish(i)
	h.outcome(again, deliver.Deferred)
	if more, _ := h.Server.Asked(); more != asked || again.RetryIn == 0 {
		t.Error("a server that wants to be left alone was asked again")
	}
	h.Clock.Advance(r.RetryIn)
	h.carry(i)
	h.expect("Con calma")
}

// testHostile: whatever a server answers, nothing is taken for a post, and nobody waits for ever.
func testHostile(t *testing.T, h *harness) {
	for _, fault := range []Fault{Garble, Page, Flood, CutAnswer, CutAfter, FailBefore, FailAfter} {
		h.open() // that knows nothing yet
		h.Server.BreakAll(fault)
		i := h.intent("Hola")
		if r := h.publish(i); r.Outcome == deliver.Accepted || r.Outcome == deliver.Refused || len(r.Posted) > 0 {
			t.Errorf("%s: %s %s", fault, r.Outcome, r.Reply)
		}
		if r := h.find(i); r.Outcome != deliver.Unknown || len(r.Posted) > 0 {
			t.Errorf("%s: the look-up tells %s %s", fault, r.Outcome, r.Reply)
		}
	}
	if h.Server.drained.Load() {
		t.Error("a flood was read to its end")
	}
	if got := h.Posted(); len(got) > 0 {
		t.Errorf("it published %+v", got)
	}
}

func testCancelled(_ *testing.T, h *harness) {
	ctx, cancel := context.WithCancel(h.t.Context())
	cancel()
	r, err := h.p.Publish(ctx, h.intent("Hola"))
	h.outcome(r, deliver.Untouched)
	if !errors.Is(err, context.Canceled) {
		h.t.Errorf("the error is %v", err)
	}
	h.expect()
}

func testClosed(_ *testing.T, h *harness) {
	if err := h.p.Close(); err != nil {
		h.t.Fatal(err)
	}
	_ = h.troubled(h.intent("Hola"))
	h.expect()
}

func testConcurrent(t *testing.T, h *harness) {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		ids   = map[string]bool{}
	)
	for n := range 8 {
		i := h.intent(fmt.Sprintf("Mensaje %d", n))
		group.Go(func() {
			r, err := h.p.Publish(t.Context(), i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || r.Outcome != deliver.Accepted || len(r.Posted) != 1 {
				t.Errorf("%s %s %v", r.Outcome, r.Reply, err)
				return
			}
			ids[r.Posted[0].ID] = true
		})
	}
	group.Wait()
	if len(ids) != 8 || len(h.Posted()) != 8 {
		t.Errorf("%d posts of %d ids", len(h.Posted()), len(ids))
	}
}
