package segment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

func TestTellTotal(t *testing.T) {
	few := segment.Told{Hidden: segment.Few}
	for n, want := range map[int64]segment.Told{0: few, 1: few, 9: few, 10: {N: 10}, 1_000_000: {N: 1_000_000}} {
		if got := segment.TellTotal(n); got != want {
			t.Errorf("%d: got %+v, want %+v", n, got, want)
		}
	}
}

func TestTellShare(t *testing.T) {
	for _, tc := range []struct {
		n, group int64
		want     segment.Told
	}{
		{0, 50, segment.Told{Hidden: segment.Few}},
		{9, 50, segment.Told{Hidden: segment.Few}},
		{10, 50, segment.Told{N: 10}},
		{40, 50, segment.Told{N: 40}},
		{41, 50, segment.Told{Hidden: segment.Withheld}},
		{49, 50, segment.Told{Hidden: segment.Withheld}},
		{50, 50, segment.Told{N: 50}},
	} {
		if got := segment.TellShare(tc.n, tc.group); got != tc.want {
			t.Errorf("%d of %d: got %+v, want %+v", tc.n, tc.group, got, tc.want)
		}
	}
}

func TestTellParts(t *testing.T) {
	few, withheld := segment.Told{Hidden: segment.Few}, segment.Told{Hidden: segment.Withheld}
	cases := map[string]struct {
		why   string
		parts []int64
		want  []segment.Told
	}{
		"Large":       {"nothing is hidden", []int64{10, 0, 500}, []segment.Told{{N: 10}, {}, {N: 500}}},
		"OneFew":      {"the smallest of the others goes with it, or the sum would tell it", []int64{500, 3, 40, 90}, []segment.Told{{N: 500}, few, withheld, {N: 90}}},
		"TwoFew":      {"two that are ten together keep each other's secret", []int64{500, 7, 8}, []segment.Told{{N: 500}, few, few}},
		"TwoTiny":     {"two that are fewer than ten together would be a count of fewer than ten", []int64{500, 2, 3, 60}, []segment.Told{{N: 500}, few, few, withheld}},
		"TwoNines":    {"eighteen of two can be nine and nine only", []int64{9, 500, 9}, []segment.Told{few, withheld, few}},
		"OneAndTen":   {"one and ten: eleven could not be another two", []int64{1, 10, 70, 80}, []segment.Told{few, withheld, withheld, {N: 80}}},
		"NothingLeft": {"with nobody else to hide behind, nothing is told", []int64{9, 9}, nil},
		"Alone":       {"the only part of few people", []int64{4}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, segment.TellParts(tc.parts)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.why, diff)
			}
		})
	}
}

// TestNothingHiddenCanBeComputed tries every way to fill in what is hidden: of each part at least two values are possible.
func TestNothingHiddenCanBeComputed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.Int64Range(0, 24), 1, 5).Draw(t, "parts")
		told := segment.TellParts(parts)
		var sum int64 // of what is hidden, as everybody can compute it
		var hidden []int
		for i, c := range told {
			switch {
			case c.Hidden != "":
				hidden = append(hidden, i)
				sum += parts[i]
			case c.N != parts[i] || c.N > 0 && c.N < segment.LeastTold:
				t.Fatalf("part %d of %v is told as %+v", i, parts, c)
			}
		}
		if len(hidden) == 0 {
			return
		}
		if sum < segment.LeastTold {
			t.Fatalf("of %v it is told that %d people are in the rest: %+v", parts, sum, told)
		}
		possible := make([]map[int64]bool, len(hidden))
		for i := range possible {
			possible[i] = map[int64]bool{}
		}
		var fill func(values []int64, left int64)
		fill = func(values []int64, left int64) {
			if len(values) == len(hidden) {
				for i, v := range values {
					if left == 0 {
						possible[i][v] = true
					}
				}
				return
			}
			least, most := int64(1), int64(segment.LeastTold-1)
			if told[hidden[len(values)]].Hidden == segment.Withheld {
				least, most = segment.LeastTold, left
			}
			for v := least; v <= min(most, left); v++ {
				fill(append(values[:len(values):len(values)], v), left-v)
			}
		}
		fill(nil, sum)
		for i, values := range possible {
			if len(values) < 2 {
				t.Fatalf("part %d of %v can be computed from %+v", hidden[i], parts, told)
			}
		}
	})
}
