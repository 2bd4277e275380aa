package imap_test

import (
	"slices"
	"testing"

	protocol "github.com/emersion/go-imap/v2"

	"github.com/tertulia-crm/tertulia/internal/inbound/imap"
)

// TestUIDs: a range of a few bytes is not believed where it names more messages than a mailbox has, or has no end.
func TestUIDs(t *testing.T) {
	for name, tc := range map[string]struct {
		found protocol.NumSet
		from  protocol.UID
		want  []protocol.UID
		bad   bool
	}{
		"none":             {found: protocol.UIDSet(nil), from: 1},
		"of another kind":  {found: protocol.SeqSet{{Start: 1, Stop: 5}}, from: 1},
		"in any order":     {found: protocol.UIDSet{{Start: 9, Stop: 9}, {Start: 3, Stop: 5}, {Start: 5, Stop: 6}}, from: 1, want: []protocol.UID{3, 4, 5, 6, 9}},
		"from one on":      {found: protocol.UIDSet{{Start: 3, Stop: 5}, {Start: 9, Stop: 9}}, from: 5, want: []protocol.UID{5, 9}},
		"the last":         {found: protocol.UIDSet{{Start: 1<<32 - 1, Stop: 1<<32 - 1}}, from: 1, want: []protocol.UID{1<<32 - 1}},
		"everything":       {found: protocol.UIDSet{{Start: 1, Stop: 1<<32 - 1}}, from: 1, bad: true},
		"a lot, in pieces": {found: slices.Repeat(protocol.UIDSet{{Start: 1, Stop: 1 << 20}}, 5), from: 1, bad: true},
		"without an end":   {found: protocol.UIDSet{{Start: 7}}, from: 1, bad: true},
		"nothing but *":    {found: protocol.UIDSet{{}}, from: 1, bad: true},
		"backwards":        {found: protocol.UIDSet{{Start: 7, Stop: 3}}, from: 1, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := imap.UIDs(&protocol.SearchData{All: tc.found}, tc.from)
			if (err != nil) != tc.bad || !slices.Equal(got, tc.want) {
				t.Errorf("%d, %v", got, err)
			}
		})
	}
}
