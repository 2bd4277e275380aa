package listen_test

import (
	"errors"
	"io"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// TestTrouble: its text is for people, its cause for logs.
func TestTrouble(t *testing.T) {
	trouble := &listen.Trouble{Reason: listen.Unreachable, Message: "The log ended.", Err: io.ErrUnexpectedEOF}
	var err error = trouble
	if err.Error() != "The log ended." || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("it says %q of %v", err, errors.Unwrap(err))
	}
	if got := listen.Troublef(listen.NotFound, "It is %d.", 404); got.Message != "It is 404." || errors.Unwrap(got) != nil {
		t.Errorf("got %+v", got)
	}
}

// TestWhoHasToAct: waiting mends what goes on by itself, and nothing else.
func TestWhoHasToAct(t *testing.T) {
	for reason, person := range map[listen.Reason]bool{
		listen.Throttled: false, listen.Unreachable: false, listen.Malformed: false,
		listen.Unauthorized: true, listen.Forbidden: true, listen.NotFound: true, listen.Misdeclared: true,
	} {
		if got := reason.NeedsPerson(); got != person {
			t.Errorf("%s needs a person: %t", reason, got)
		}
	}
}

func TestEmptyBatches(t *testing.T) {
	for name, tc := range map[string]struct {
		batch listen.Batch
		empty bool
	}{
		"nothing": {listen.Batch{Network: "feed:velo.example"}, true}, "a post": {listen.Batch{Posts: []listen.Post{{}}}, false},
		"a cursor": {listen.Batch{Next: listen.Cursor("{}")}, false}, "a gap": {listen.Batch{Gaps: []listen.Gap{{}}}, false},
		"a deletion": {listen.Batch{Deleted: []listen.Deletion{{}}}, false}, "what was refused": {listen.Batch{Rejected: map[string]int{"x": 1}}, false},
	} {
		if got := tc.batch.Empty(); got != tc.empty {
			t.Errorf("%s is empty: %t", name, got)
		}
	}
}
