package work

import (
	"math"
	"testing"
	"time"
)

func TestHowLongAChannelTakesToBeEmpty(t *testing.T) {
	began := time.Date(2027, 3, 21, 12, 0, 0, 0, time.UTC)
	type look struct {
		after            time.Duration
		settled, pending int64
	}
	for name, tc := range map[string]struct {
		looks []look
		want  float64 // -1 where it is not known
	}{
		"the first look":           {[]look{{0, 100, 500}}, -1},
		"nothing pending":          {[]look{{0, 100, 0}}, 0},
		"ten a second":             {[]look{{0, 100, 800}, {30 * time.Second, 400, 500}}, 50},
		"nothing gets an outcome":  {[]look{{0, 100, 500}, {30 * time.Second, 100, 500}}, math.Inf(1)},
		"slower than at first":     {[]look{{0, 0, 9000}, {5 * time.Minute, 6000, 3000}, {10 * time.Minute, 6300, 2700}}, 2700},
		"after a stop":             {[]look{{0, 0, 9000}, {1 * time.Minute, 6000, 3000}, {6 * time.Minute, 6000, 3000}, {7 * time.Minute, 6000, 3000}}, math.Inf(1)},
		"old sends count no more":  {[]look{{0, 9000, 500}, {30 * time.Second, 100, 500}}, -1},
		"and then are known again": {[]look{{0, 9000, 500}, {30 * time.Second, 100, 500}, {60 * time.Second, 400, 200}}, 20},
		"done":                     {[]look{{0, 100, 300}, {30 * time.Second, 400, 0}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := drains{}
			got := -1.0
			for _, l := range tc.looks {
				got = -1
				if seconds, known := d.look("news", began.Add(l.after), l.settled, l.pending); known {
					got = seconds
				}
			}
			if got != tc.want {
				t.Errorf("%v s, want %v", got, tc.want)
			}
		})
	}
	d := drains{}
	for i := range int64(1000) {
		d.look("news", began.Add(time.Duration(i)*30*time.Second), i, 5)
	}
	if n := len(d["news"]); n > 12 {
		t.Errorf("%d looks are kept", n)
	}
}
