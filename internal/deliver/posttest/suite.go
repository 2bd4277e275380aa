package posttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// Seen is a post of ours as the network has it.
type Seen struct {
	ID, Text, Parent, Root, Language string
	Alts                             []string
}

// Network is a fake one, and the publisher for it.
type Network struct {
	Server *Server
	Clock  *Clock // the fake's
	// Open makes a publisher of our account there.
	Open func(t *testing.T, o wire.Options) post.Publisher
	// Posted are our posts, the oldest first, with the text as their author wrote it: without names that the publisher put before it.
	Posted func() []Seen
	// Say publishes a post of somebody else, and returns what it takes to answer it.
	Say func(text string) post.Target
	// Remove deletes a post.
	Remove func(id string)
	// Revoke ends our credentials.
	Revoke func()
	// Longest is how many characters a post may have.
	Longest int
	// Account is ours, as people write it.
	Account string
	// Private are texts that no error may tell.
	Private []string
}

// Run runs the suite: what every publisher promises, whatever it is made of.
func Run(t *testing.T, factory func(t *testing.T) *Network) {
	for name, test := range map[string]func(*testing.T, *harness){
		"whose it is":              testAccount,
		"a post":                   testPost,
		"an answer":                testAnswer,
		"a thread":                 testThread,
		"images":                   testImages,
		"a thread that is cut":     testThreadCut,
		"nobody wrote it down":     testForgotten,
		"it was never handed over": testNever,
		"the same words twice":     testSameWords,
		"the same words to two":    testSameWordsToTwo,
		"too long":                 testTooLong,
		"flaws":                    testFlaws,
		"what is answered is gone": testGone,
		"revoked":                  testRevoked,
		"unreachable":              testUnreachable,
		"a private address":        testForbidden,
		"a redirect":               testRedirect,
		"asked too often":          testThrottled,
		"hostile answers":          testHostile,
		"cancelled":                testCancelled,
		"closed":                   testClosed,
		"several at once":          testConcurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, newHarness(t, factory(t))) })
	}
	for fault, outcomes := range faults {
		t.Run(string(fault), func(t *testing.T) { testFault(t, newHarness(t, factory(t)), fault, outcomes) })
	}
}

// faults are what may be known right after each.
var faults = map[Fault][]deliver.Outcome{
	CutBefore:   {deliver.Unknown, deliver.Deferred, deliver.Untouched},
	CutAfter:    {deliver.Unknown},
	CutAnswer:   {deliver.Unknown},
	FailBefore:  {deliver.Unknown, deliver.Deferred},
	FailAfter:   {deliver.Unknown},
	Unavailable: {deliver.Unknown},
	Throttle:    {deliver.Deferred},
	HangBefore:  {deliver.Unknown},
	HangAfter:   {deliver.Unknown},
	Garble:      {deliver.Unknown},
	Page:        {deliver.Unknown},
	Flood:       {deliver.Unknown},
	Redirect:    {deliver.Untouched},
}

type harness struct {
	*Network
	t       *testing.T
	p       post.Publisher
	options wire.Options
	serial  int
}

func newHarness(t *testing.T, n *Network) *harness {
	h := &harness{Network: n, t: t}
	h.options = wire.Options{
		Base: n.Server.URL(), Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, TLS: n.Server.TLS(),
		Timeout: 20 * time.Second, Now: n.Clock.Now,
	}
	h.open()
	return h
}

// open makes another publisher, as after a crash.
func (h *harness) open() {
	h.p = h.Open(h.t, h.options)
	h.t.Cleanup(func() { _ = h.p.Close() })
}

// intent is a new one, committed now.
func (h *harness) intent(texts ...string) *post.Intent {
	h.serial++
	i := &post.Intent{ID: fmt.Sprintf("intent-%d", h.serial), At: h.Clock.Now(), Post: post.Post{Language: "es"}}
	for _, text := range texts {
		i.Post.Parts = append(i.Post.Parts, post.Part{Text: text})
	}
	return i
}

// publish hands over, and remembers what a caller would write down.
func (h *harness) publish(i *post.Intent) post.Result {
	h.t.Helper()
	i.Tried = h.Clock.Now()
	r, err := h.p.Publish(h.t.Context(), i)
	h.discreet(r, err)
	i.Posted = r.Posted
	return r
}

func (h *harness) find(i *post.Intent) post.Result {
	h.t.Helper()
	r, err := h.p.Find(h.t.Context(), i)
	h.discreet(r, err)
	i.Posted = r.Posted
	return r
}

// carry does as a caller does until the post is there: it looks before it publishes again.
func (h *harness) carry(i *post.Intent) {
	h.t.Helper()
	r := h.publish(i)
	for range 8 {
		switch r.Outcome {
		case deliver.Accepted:
			return
		case deliver.Refused:
			h.t.Fatalf("refused: %s", r.Reply)
		case deliver.Unknown:
			h.Clock.Advance(max(r.RetryIn, time.Minute))
			r = h.find(i)
		default:
			h.Clock.Advance(max(r.RetryIn, time.Second))
			r = h.publish(i)
		}
	}
	h.t.Fatalf("it does not get through: %s %s", r.Outcome, r.Reply)
}

// discreet checks that neither words nor errors tell people and secrets.
func (h *harness) discreet(r post.Result, err error) {
	h.t.Helper()
	text := r.Reply
	if err != nil {
		text += " " + err.Error()
		var trouble *deliver.Trouble
		if !errors.As(err, &trouble) && !errors.Is(err, context.Canceled) {
			h.t.Errorf("the error is neither a trouble nor the end of the context: %v", err)
		}
	}
	for _, private := range h.Private {
		if strings.Contains(text, private) {
			h.t.Errorf("it tells %q: %s", private, text)
		}
	}
	if len([]rune(r.Reply)) > 200 {
		h.t.Errorf("%d characters of words", len([]rune(r.Reply)))
	}
}

// expect compares what is on the network with texts.
func (h *harness) expect(texts ...string) []Seen {
	h.t.Helper()
	posted := h.Posted()
	var got []string
	for _, p := range posted {
		got = append(got, p.Text)
	}
	if diff := cmp.Diff(texts, got); diff != "" {
		h.t.Fatalf("on the network (-want +got):\n%s", diff)
	}
	return posted
}

func (h *harness) outcome(r post.Result, want deliver.Outcome) {
	h.t.Helper()
	if r.Outcome != want {
		h.t.Fatalf("it is %s (%d %s), and not %s", r.Outcome, r.Code, r.Reply, want)
	}
}

func (h *harness) check(seen Seen, r post.Reference) {
	h.t.Helper()
	if r.ID != seen.ID || r.ID == "" || !strings.HasPrefix(r.URL, "https://") {
		h.t.Errorf("the reference is %+v, and the post %s", r, seen.ID)
	}
}

// testAccount: who logs in learns whose posts leave, and that the credentials are refused.
func testAccount(t *testing.T, h *harness) {
	a, err := h.p.Account(t.Context())
	if err != nil || a.Handle != h.Account || a.ID == "" || a.Takes.Characters != h.Longest || a.Takes.Images == 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	h.expect()
	h.Server.BreakAll(Flood)
	if _, err := h.p.Account(t.Context()); err == nil {
		t.Error("a flood is an account")
	}
	h.Server.BreakAll("")
	h.Revoke()
	h.open()
	_, err = h.p.Account(t.Context())
	var trouble *deliver.Trouble
	if !errors.As(err, &trouble) {
		t.Errorf("refused credentials are no trouble: %v", err)
	}
	h.discreet(post.Result{}, err)
}

func testPost(t *testing.T, h *harness) {
	const text = "¡Abrimos! 🚲 https://velo.example/tienda?a=b #bici, y más…"
	r := h.publish(h.intent(text))
	h.outcome(r, deliver.Accepted)
	seen := h.expect(text)
	h.check(seen[0], r.Posted[0])
	if seen[0].Language != "es" || seen[0].Parent != "" {
		t.Errorf("it is %+v", seen[0])
	}
}

func testAnswer(t *testing.T, h *harness) {
	to := h.Say("¿Abrís el sábado?")
	i := h.intent("Sí, a las diez.")
	i.Post.ReplyTo = &to
	r := h.publish(i)
	h.outcome(r, deliver.Accepted)
	seen := h.expect("Sí, a las diez.")
	if seen[0].Parent != to.ID {
		t.Errorf("it answers %q", seen[0].Parent)
	}
	next := h.intent("Y el domingo a las once.")
	next.Post.ReplyTo = &post.Target{ID: r.Posted[0].ID}
	h.outcome(h.publish(next), deliver.Accepted)
	seen = h.expect("Sí, a las diez.", "Y el domingo a las once.")
	if seen[1].Parent != seen[0].ID || seen[1].Root != seen[0].Root {
		t.Errorf("it is in another thread: %+v", seen[1])
	}
}

var three = []string{"Uno de tres", "Dos, que sigue", "Tres: se acabó"}

func (h *harness) expectThread(under string) {
	h.t.Helper()
	seen := h.expect(three...)
	for n, parent := range []string{under, seen[0].ID, seen[1].ID} {
		if seen[n].Parent != parent {
			h.t.Errorf("part %d answers %q, and not %q", n+1, seen[n].Parent, parent)
		}
		if seen[n].Root != seen[0].Root && n > 1 {
			h.t.Errorf("part %d is in the thread of %q, and not of %q", n+1, seen[n].Root, seen[0].Root)
		}
	}
}

func testThread(_ *testing.T, h *harness) {
	r := h.publish(h.intent(three...))
	h.outcome(r, deliver.Accepted)
	h.expectThread("")
	for n, seen := range h.Posted() {
		h.check(seen, r.Posted[n])
	}
}

// testThreadCut cuts a thread below a post at each of its parts.
func testThreadCut(t *testing.T, h *harness) {
	to := h.Say("Contadnos")
	i := h.intent(three...)
	i.Post.ReplyTo = &to
	h.Server.Break(CutAfter, 1)
	h.outcome(h.publish(i), deliver.Unknown)
	h.Clock.Advance(time.Hour / 4)
	h.open()
	h.outcome(h.find(i), deliver.Untouched)
	if len(i.Posted) != 1 {
		t.Fatalf("%d parts were found", len(i.Posted))
	}
	h.Server.Break(FailAfter, 1)
	h.outcome(h.publish(i), deliver.Unknown)
	h.Clock.Advance(time.Hour / 4)
	h.outcome(h.find(i), deliver.Untouched)
	h.carry(i)
	h.expectThread(to.ID)
}

func testImages(t *testing.T, h *harness) {
	i := h.intent("Mirad")
	i.Post.Parts[0].Images = []post.Image{{Data: picture(t, 8, 6), Alt: "Una bici \"roja\"\nen la calle"}, {Data: picture(t, 9, 7), Alt: ""}}
	h.outcome(h.publish(i), deliver.Accepted)
	seen := h.expect("Mirad")
	if diff := cmp.Diff([]string{"Una bici \"roja\"\nen la calle", ""}, seen[0].Alts); diff != "" {
		t.Errorf("descriptions (-want +got):\n%s", diff)
	}
	only := h.intent("")
	only.Post.Parts[0].Images = i.Post.Parts[0].Images[:1]
	h.Server.Break(CutAfter, 1)
	h.carry(only)
	h.expect("Mirad", "")
}

func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
