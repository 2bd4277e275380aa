package segment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

func TestPlanTasks(t *testing.T) {
	vip := segment.Dependent{Evaluation: segment.Evaluation{SegmentID: 1}, Changes: []int32{3, 4}, Times: []int32{9}}
	lapsed := segment.Dependent{Evaluation: segment.Evaluation{SegmentID: 2}, Changes: []int32{4}}
	cases := map[string]struct {
		why        string
		changes    []segment.Change
		dependents []segment.Dependent
		want       []segment.Task
	}{
		"Nobody": {
			why:     "what nothing depends on costs nothing",
			changes: []segment.Change{{Watch: 7, Contacts: []int64{1}}}, dependents: []segment.Dependent{vip, lapsed},
		},
		"OnlyDependents": {
			why:     "a segment is evaluated for what it depends on",
			changes: []segment.Change{{Watch: 3, Contacts: []int64{5}}}, dependents: []segment.Dependent{vip, lapsed},
			want: []segment.Task{{vip.Evaluation, segment.Data, []int64{5}}},
		},
		"Once": {
			why:     "who changed often is evaluated once",
			changes: []segment.Change{{Watch: 3, Contacts: []int64{6, 5, 5}}, {Watch: 4, Contacts: []int64{5, 2}}}, dependents: []segment.Dependent{vip},
			want: []segment.Task{{vip.Evaluation, segment.Data, []int64{2, 5, 6}}},
		},
		"TimeAlone": {
			why:     "who changed and whom time concerns has changed",
			changes: []segment.Change{{Watch: 9, Contacts: []int64{2, 1, 3}}, {Watch: 4, Contacts: []int64{2}}}, dependents: []segment.Dependent{vip},
			want: []segment.Task{{vip.Evaluation, segment.Data, []int64{2}}, {vip.Evaluation, segment.Time, []int64{1, 3}}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, segment.PlanTasks(tc.changes, tc.dependents)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}
