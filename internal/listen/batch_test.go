package listen_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// TestTidyRefuses: what cannot be stored at all is the connector's fault, and told.
func TestTidyRefuses(t *testing.T) {
	posts := []listen.Post{{ID: "1"}}
	for name, tc := range map[string]struct {
		batch   listen.Batch
		refused bool
	}{
		"posts of a network":       {listen.Batch{Network: "log", Posts: posts}, false},
		"nothing of none":          {listen.Batch{}, false},
		"posts of none":            {listen.Batch{Posts: posts}, true},
		"deletions of none":        {listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}}}, true},
		"a network without end":    {listen.Batch{Network: strings.Repeat("x", listen.MaxID+1), Posts: posts}, true},
		"a network with a null":    {listen.Batch{Network: "a\x00", Posts: posts}, true},
		"a large cursor":           {listen.Batch{Next: listen.Cursor(`"` + strings.Repeat("x", listen.MaxCursor-2) + `"`)}, false},
		"a cursor too large":       {listen.Batch{Next: listen.Cursor(`"` + strings.Repeat("x", listen.MaxCursor-1) + `"`)}, true},
		"a cursor that is no JSON": {listen.Batch{Next: listen.Cursor(`{`)}, true},
		"an empty cursor":          {listen.Batch{Next: listen.Cursor(``)}, true},
	} {
		err := tc.batch.Tidy(noon)
		var trouble *listen.Trouble
		if (err != nil) != tc.refused || err != nil && (!errors.As(err, &trouble) || trouble.Reason != listen.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTidy(t *testing.T) {
	before, after := noon.Add(-time.Hour), noon.Add(time.Hour)
	deleted := []listen.Deletion{{PostID: "1"}, {}, {AuthorID: "a\x00"}, {PostID: strings.Repeat("x", 600)}, {AuthorID: "ana"}}
	b := listen.Batch{
		Network: "log", Deleted: deleted,
		Gaps: []listen.Gap{
			{From: before, To: noon, Reason: "a\nb"}, {From: after, To: noon}, {To: after}, {From: time.Unix(0, 0), To: time.Time{}},
		},
		Rejected: map[string]int{"no\ndate": 2, "nothing": 0, "less": -1, strings.Repeat("x", 300): 1},
	}
	if err := b.Tidy(noon); err != nil {
		t.Fatal(err)
	}
	want := listen.Batch{
		Network: "log", Deleted: []listen.Deletion{{PostID: "1"}, {AuthorID: "ana"}},
		Gaps:     []listen.Gap{{From: before, To: noon, Reason: "a b"}, {To: noon}, {To: noon}, {To: noon}},
		Rejected: map[string]int{"no date": 2, strings.Repeat("x", 200): 1, "a deletion has no usable id": 3},
	}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(deleted) != 5 || deleted[4].AuthorID != "ana" {
		t.Errorf("the caller's list became %+v", deleted)
	}
}

// TestTidyBounds: whatever a network makes up, reasons are few, and all are counted.
func TestTidyBounds(t *testing.T) {
	b := listen.Batch{Network: "log", Rejected: map[string]int{}}
	for i := range 1000 {
		b.Rejected[fmt.Sprintf("reason %d", i)] = 1
		b.Gaps = append(b.Gaps, listen.Gap{To: noon, Reason: "x"})
	}
	if err := b.Tidy(noon); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, n := range b.Rejected {
		sum += n
	}
	if len(b.Rejected) > 40 || sum != 1000 || len(b.Gaps) > 100 {
		t.Errorf("%d reasons of %d, %d gaps", len(b.Rejected), sum, len(b.Gaps))
	}
}
