package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

// TestPlanHistory: what could not be found again, because it was learned then what is usual, stays, and is no example of the usual.
func TestPlanHistory(t *testing.T) {
	watched := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	lasted := func(from time.Duration) monitor.Incident {
		began := watched.Add(from)
		return monitor.Incident{
			Began: began, Opened: began.Add(time.Hour), LastUnusual: began.Add(2 * time.Hour), Closed: began.Add(8 * time.Hour), Ending: monitor.Calmed,
		}
	}
	early, late, told := lasted(-48*time.Hour), lasted(48*time.Hour), lasted(96*time.Hour)
	span := func(i monitor.Incident) monitor.Span { return monitor.Span{From: i.Began, To: i.LastUnusual} }
	before := []Incident{{ID: 1, FromHistory: true, Incident: early}, {ID: 2, FromHistory: true, Incident: late}, {ID: 3, Incident: told}}
	type plan struct {
		Insert []monitor.Incident
		Remove []int64
		Spans  []monitor.Span
	}
	for name, tt := range map[string]struct {
		found   []monitor.Incident
		watched time.Time
		want    plan
	}{
		"nothing is found":         {nil, watched, plan{Remove: []int64{2}, Spans: []monitor.Span{span(early), span(told)}}},
		"what was known, and more": {[]monitor.Incident{late, lasted(150 * time.Hour)}, watched, plan{[]monitor.Incident{lasted(150 * time.Hour)}, nil, []monitor.Span{span(early), span(told)}}},
		"nothing could be found":   {nil, time.Time{}, plan{Spans: []monitor.Span{span(early), span(late), span(told)}}},
		"what was told is found":   {[]monitor.Incident{told}, watched, plan{Remove: []int64{2}, Spans: []monitor.Span{span(early)}}},
		"all is found":             {[]monitor.Incident{late, told, early}, watched, plan{}},
	} {
		p := planHistory(before, tt.found, tt.watched)
		if diff := cmp.Diff(tt.want, plan{p.insert, p.remove, p.spans}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
