package crash

import (
	"testing"
	"time"
)

func TestOverdrawn(t *testing.T) {
	at := func(milliseconds ...int) (begun []time.Time) {
		for _, ms := range milliseconds {
			begun = append(begun, answered.Add(time.Duration(ms)*time.Millisecond))
		}
		return begun
	}
	for name, tc := range map[string]struct {
		begun []time.Time
		fails bool
	}{
		"nothing":                        {nil, false},
		"a burst, and what was kept":     {at(0, 0, 0, 0, 0), false},
		"one more at once":               {at(0, 0, 0, 0, 0, 0), true},
		"the rate after a burst":         {at(0, 0, 0, 0, 0, 500, 1000, 1500), false},
		"more than the rate after it":    {at(0, 0, 0, 0, 0, 500, 750), true},
		"a rest brings no second burst":  {at(0, 60000, 60000, 60000, 60000, 60000, 60000), true},
		"a rest brings the first again":  {at(0, 60000, 60000, 60000, 60000, 60000), false},
		"slower than the rate, for long": {at(0, 600, 1200, 1800, 2400, 3000, 3600, 4200), false},
	} {
		if err := overdrawn(tc.begun, 2); (err != nil) != tc.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}
