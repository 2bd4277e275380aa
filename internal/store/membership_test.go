package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/segment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestEvaluateSegment(t *testing.T) {
	s := newSending(t, 5)
	ctx := context.Background()
	evaluate := func(want store.Evaluation) {
		t.Helper()
		got, err := s.EvaluateSegment(ctx, "everybody")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("evaluation differs (-want +got):\n%s", diff)
		}
	}
	changes := func(want ...store.StatusChange) {
		t.Helper()
		got, err := s.TakeStatusChanges(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]store.StatusChange{}, want...), got); diff != "" {
			t.Errorf("status changes differ (-want +got):\n%s", diff)
		}
	}
	everybody := store.StatusChange{Kind: "Segment", Name: "everybody"}
	evaluate(store.Evaluation{Entered: 5, Members: 5, Rebuilt: true})
	changes(everybody)
	evaluate(store.Evaluation{Members: 5})
	changes()
	s.exec("update segment set digest = 'd2', predicate = 'c.attr_value >= $1::numeric', arguments = '[\"3.5\"]'")
	evaluate(store.Evaluation{Left: 2, Members: 3, Rebuilt: true})
	changes(everybody)
	s.exec("insert into contact (attr_value) values (9)")
	evaluate(store.Evaluation{Entered: 1, Members: 4})
	changes(everybody)
	s.exec("update segment set suspended = true, predicate = 'false', arguments = '[]'")
	evaluate(store.Evaluation{})
	s.exec("update segment set dormant_since = now()")
	if _, err := s.EvaluateSegment(ctx, "everybody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deleted segment was evaluated: %v", err)
	}
}

func TestSegmentsAtWork(t *testing.T) {
	s := newSending(t, 1)
	ctx := context.Background()
	due := func() segment.Reason {
		t.Helper()
		work, err := s.SegmentsAtWork(ctx)
		if err != nil || len(work) != 1 {
			t.Fatalf("one segment was expected: %+v, %v", work, err)
		}
		_, reason := segment.Due(work[0].State, time.Now())
		return reason
	}
	if due() != segment.Definition {
		t.Error("a new segment is to be built")
	}
	if _, err := s.EvaluateSegment(ctx, "everybody"); err != nil {
		t.Fatal(err)
	}
	if reason := due(); reason != "" {
		t.Errorf("a segment that was just built is due: %s", reason)
	}
	s.exec("update segment set refresh_asked_at = now()")
	if due() != segment.Data {
		t.Error("an import asked for it")
	}
	if _, err := s.EvaluateSegment(ctx, "everybody"); err != nil {
		t.Fatal(err)
	}
	if reason := due(); reason != "" {
		t.Errorf("a segment that was just refreshed is due: %s", reason)
	}
	s.exec("update tenant set suspended = true; update segment set refresh_asked_at = now()")
	if reason := due(); reason != "" {
		t.Errorf("a suspended tenant's segment is due: %s", reason)
	}
}
