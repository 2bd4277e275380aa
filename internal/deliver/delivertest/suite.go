package delivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/deliver"
)

// Treatment is what the far end does with a message to a recipient.
type Treatment int

// The treatments.
const (
	Accept  Treatment = iota
	Refuse            // for good
	Defer             // for now
	CutOff            // ends the connection before the message can have arrived whole
	Swallow           // takes the message whole and ends the connection without an answer
)

// Remote is the far end of a transport under test.
type Remote interface {
	// Treat says what becomes of messages to a recipient from now on.
	Treat(recipient string, how Treatment)
	// Arrived lists the recipients of the messages that arrived whole and were not refused or deferred, in order.
	Arrived() []string
	// Stop makes the far end unreachable; Start brings it back in the same place.
	Stop()
	Start()
	// Distrust makes the far end refuse the transport's credentials.
	Distrust()
}

// Factory makes a transport and its far end for one test, and ends both with it. The transport uses at most Connections
// connections.
type Factory func(t *testing.T) (deliver.Transport, Remote)

// Connections is how many connections a transport under test may use.
const Connections = 3

// Run runs the suite: what every transport promises, whatever it is made of.
func Run(t *testing.T, factory Factory) {
	for name, test := range map[string]func(*testing.T, deliver.Transport, Remote){
		"accepts":                       testAccepts,
		"each its own outcome":          testOutcomes,
		"unknown is bounded":            testUnknownBounded,
		"unreachable":                   testUnreachable,
		"comes back":                    testComesBack,
		"distrusted":                    testDistrusted,
		"hostile addresses":             testHostile,
		"an empty batch":                testEmpty,
		"cancelled before":              testCancelled,
		"taken back":                    testTakenBack,
		"several batches at once":       testConcurrent,
		"closed":                        testClosed,
		"content arrives as it was":     testContent,
		"connections survive a refusal": testAfterRefusal,
	} {
		t.Run(name, func(t *testing.T) {
			transport, remote := factory(t)
			test(t, transport, remote)
		})
	}
}

func batch(recipients ...string) []deliver.Message {
	out := make([]deliver.Message, len(recipients))
	for i, to := range recipients {
		out[i] = deliver.Message{ID: to, From: "velo@velo.example", To: to, Data: []byte("Message-ID: <" + to + ">\r\nSubject: Hi\r\n\r\nHi\r\n")}
	}
	return out
}

func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%d@example.com", prefix, i)
	}
	return out
}

// expect checks that there is a result for every message and returns the outcomes.
func expect(t *testing.T, results []deliver.Result, want ...deliver.Outcome) {
	t.Helper()
	got := make([]deliver.Outcome, len(results))
	for i := range results {
		got[i] = results[i].Outcome
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s%v", diff, results)
	}
}

func all(o deliver.Outcome, n int) []deliver.Outcome { return slices.Repeat([]deliver.Outcome{o}, n) }

// expectArrived compares regardless of order.
func expectArrived(t *testing.T, r Remote, want ...string) {
	t.Helper()
	got := r.Arrived()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("arrived (-want +got):\n%s", diff)
	}
}

// discreet checks that an error tells neither people nor secrets.
func discreet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error tells why messages were left")
		return
	}
	for _, secret := range []string{"@example.com", "s3cret", "user@relay"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells %q: %v", secret, err)
		}
	}
}

func testAccepts(t *testing.T, transport deliver.Transport, remote Remote) {
	to := numbered("p", 40)
	results, err := transport.Deliver(context.Background(), batch(to...))
	if err != nil {
		t.Errorf("deliver: %v", err)
	}
	expect(t, results, all(deliver.Accepted, len(to))...)
	expectArrived(t, remote, to...)
}

func testOutcomes(t *testing.T, transport deliver.Transport, remote Remote) {
	remote.Treat("refused@example.com", Refuse)
	remote.Treat("deferred@example.com", Defer)
	remote.Treat("cut@example.com", CutOff)
	results, err := transport.Deliver(context.Background(), batch(
		"a@example.com", "refused@example.com", "b@example.com", "deferred@example.com", "c@example.com", "cut@example.com", "d@example.com"))
	if err != nil {
		t.Errorf("no message was left, and yet: %v", err)
	}
	expect(t, results, deliver.Accepted, deliver.Refused, deliver.Accepted, deliver.Deferred, deliver.Accepted, deliver.Deferred, deliver.Accepted)
	for i, r := range results {
		if r.Outcome == deliver.Refused && r.Reply == "" || len([]rune(r.Reply)) > 200 {
			t.Errorf("message %d: words %q", i, r.Reply)
		}
	}
	expectArrived(t, remote, "a@example.com", "b@example.com", "c@example.com", "d@example.com")
}

// testUnknownBounded: a far end that takes messages and never answers makes one Unknown for each connection, and the
// rest is left untouched and can be sent later, each once.
func testUnknownBounded(t *testing.T, transport deliver.Transport, remote Remote) {
	to := numbered("p", 30)
	for _, r := range to {
		remote.Treat(r, Swallow)
	}
	results, err := transport.Deliver(context.Background(), batch(to...))
	discreet(t, err)
	var rest []string
	unknown := 0
	for i, r := range results {
		switch r.Outcome {
		case deliver.Unknown:
			unknown++
		case deliver.Untouched:
			rest = append(rest, to[i])
		default:
			t.Errorf("message %d: %+v", i, r)
		}
	}
	if unknown == 0 || unknown > Connections {
		t.Errorf("%d are unknown, want between 1 and %d", unknown, Connections)
	}
	for _, r := range to {
		remote.Treat(r, Accept)
	}
	results, err = transport.Deliver(context.Background(), batch(rest...))
	if err != nil {
		t.Errorf("deliver the rest: %v", err)
	}
	expect(t, results, all(deliver.Accepted, len(rest))...)
	expectArrived(t, remote, to...)
}

func testUnreachable(t *testing.T, transport deliver.Transport, remote Remote) {
	remote.Stop()
	results, err := transport.Deliver(context.Background(), batch(numbered("p", 10)...))
	discreet(t, err)
	var trouble *deliver.Trouble
	if !errors.As(err, &trouble) || trouble.Stage == "" || trouble.Server == "" || trouble.Reason == "" {
		t.Errorf("the error does not say what is in the way: %#v", err)
	}
	expect(t, results, all(deliver.Untouched, 10)...)
	expectArrived(t, remote)
}

// testComesBack: a far end that was restarted between batches costs nothing, with connections kept from before.
func testComesBack(t *testing.T, transport deliver.Transport, remote Remote) {
	to := numbered("p", 12)
	for i := range 3 {
		if i > 0 {
			remote.Stop()
			remote.Start()
		}
		results, err := transport.Deliver(context.Background(), batch(to[i*4:i*4+4]...))
		if err != nil {
			t.Errorf("batch %d: %v", i, err)
		}
		expect(t, results, all(deliver.Accepted, 4)...)
	}
	expectArrived(t, remote, to...)
}

func testDistrusted(t *testing.T, transport deliver.Transport, remote Remote) {
	remote.Distrust()
	results, err := transport.Deliver(context.Background(), batch(numbered("p", 5)...))
	discreet(t, err)
	expect(t, results, all(deliver.Untouched, 5)...)
	expectArrived(t, remote)
}

// testHostile: no address can be more than an address.
func testHostile(t *testing.T, transport deliver.Transport, remote Remote) {
	hostile := []string{
		"", "nobody", "@example.com", "a@", "a b@example.com", "a@example.com>\r\nRCPT TO:<b@example.com", "a\r\nDATA\r\n@example.com",
		"a@exam\x00ple.com", "<a@example.com>", "a@example.com\n", strings.Repeat("a", 300) + "@example.com", "a\xff@example.com",
	}
	results, err := transport.Deliver(context.Background(), batch(append(slices.Clone(hostile), "good@example.com")...))
	if err != nil {
		t.Errorf("deliver: %v", err)
	}
	expect(t, results, append(all(deliver.Refused, len(hostile)), deliver.Accepted)...)
	for i, r := range results[:len(hostile)] {
		if r.Reply == "" || hostile[i] != "" && strings.Contains(r.Reply, hostile[i]) {
			t.Errorf("%q: the reason is %q", hostile[i], r.Reply)
		}
	}
	expectArrived(t, remote, "good@example.com")
}

func testEmpty(t *testing.T, transport deliver.Transport, _ Remote) {
	if results, err := transport.Deliver(context.Background(), nil); err != nil || len(results) != 0 {
		t.Errorf("%v %v", results, err)
	}
}

func testCancelled(t *testing.T, transport deliver.Transport, remote Remote) {
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("the worker stops")
	cancel(reason)
	results, err := transport.Deliver(ctx, batch(numbered("p", 5)...))
	if !errors.Is(err, reason) {
		t.Errorf("the error is not the cause: %v", err)
	}
	expect(t, results, all(deliver.Untouched, 5)...)
	expectArrived(t, remote)
}

// testTakenBack: what the sender takes back before it is offered is offered to nobody, and keeps no other message.
func testTakenBack(t *testing.T, transport deliver.Transport, remote Remote) {
	messages := batch(numbered("p", 7)...)
	for i := range messages {
		messages[i].Claim = &deliver.Claim{}
		if i%3 == 1 && !messages[i].Claim.Withdraw() {
			t.Fatal("a message that nobody has can be taken back")
		}
	}
	results, err := transport.Deliver(context.Background(), messages)
	if err != nil {
		t.Errorf("what was taken back is nobody's trouble: %v", err)
	}
	var want []deliver.Outcome
	var arrived []string
	for i, m := range messages {
		if i%3 == 1 {
			want = append(want, deliver.Untouched)
			continue
		}
		want, arrived = append(want, deliver.Accepted), append(arrived, m.To)
		if m.Claim.Withdraw() {
			t.Errorf("%s was offered, and is taken back all the same", m.To)
		}
	}
	expect(t, results, want...)
	expectArrived(t, remote, arrived...)
}

func testConcurrent(t *testing.T, transport deliver.Transport, remote Remote) {
	var group sync.WaitGroup
	var to []string
	for i := range 5 {
		part := numbered(fmt.Sprintf("b%d-", i), 20)
		to = append(to, part...)
		group.Go(func() {
			results, err := transport.Deliver(context.Background(), batch(part...))
			if err != nil {
				t.Errorf("deliver: %v", err)
			}
			expect(t, results, all(deliver.Accepted, len(part))...)
		})
	}
	group.Wait()
	expectArrived(t, remote, to...)
}

func testClosed(t *testing.T, transport deliver.Transport, remote Remote) {
	if _, err := transport.Deliver(context.Background(), batch("a@example.com")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := transport.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	results, err := transport.Deliver(context.Background(), batch("b@example.com"))
	discreet(t, err)
	expect(t, results, deliver.Untouched)
	expectArrived(t, remote, "a@example.com")
}

func testContent(t *testing.T, transport deliver.Transport, remote Remote) {
	body := ".\r\n..\r\n.dot\r\n" + strings.Repeat("x", 990) + "\r\n\r\n" + strings.Repeat(strings.Repeat("y", 70)+"\r\n", 3000)
	m := batch("a@example.com")
	m[0].Data = append(m[0].Data, body...)
	results, err := transport.Deliver(context.Background(), m)
	if err != nil {
		t.Error(err)
	}
	expect(t, results, deliver.Accepted)
	type reader interface{ Content(recipient string) []byte }
	if r, ok := remote.(reader); ok && string(r.Content("a@example.com")) != string(m[0].Data) {
		t.Errorf("the content changed on its way")
	}
}

// testAfterRefusal: what a refusal leaves behind in a session spoils none of those that follow.
func testAfterRefusal(t *testing.T, transport deliver.Transport, remote Remote) {
	var to, want []string
	var outcomes []deliver.Outcome
	for i := range 60 {
		r := fmt.Sprintf("p%d@example.com", i)
		to = append(to, r)
		switch i % 3 {
		case 0:
			remote.Treat(r, Refuse)
			outcomes = append(outcomes, deliver.Refused)
		case 1:
			remote.Treat(r, Defer)
			outcomes = append(outcomes, deliver.Deferred)
		default:
			want = append(want, r)
			outcomes = append(outcomes, deliver.Accepted)
		}
	}
	results, err := transport.Deliver(context.Background(), batch(to...))
	if err != nil {
		t.Errorf("deliver: %v", err)
	}
	expect(t, results, outcomes...)
	expectArrived(t, remote, want...)
}
