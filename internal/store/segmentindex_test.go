package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// Segments are saved side by side, and two indexes that are built concurrently would wait for each other.
func TestSegmentsThatNeedIndexesAreSavedAtOnce(t *testing.T) {
	f := newFollowing(t, 100)
	f.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source)
		select 'visit', now() - i * interval '1 minute', 1, 1, 'test' from generate_series(1, 20000) i`)
	sources := []string{`events("visit").within("30d").count() > 0`, `contact.trial_ends < now`, `contact.created_at > ago("7d")`}
	failed := make([]error, 6)
	var all sync.WaitGroup
	for i := range failed {
		all.Go(func() { failed[i] = f.save(fmt.Sprint("s", i), sources[i%len(sources)]) })
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Error(err)
	}
	var invalid int
	if err := f.Pool.QueryRow(t.Context(), "select count(*) from pg_index where not indisvalid").Scan(&invalid); err != nil || invalid > 0 {
		t.Errorf("%d indexes are not valid: %v", invalid, err)
	}
}
