package segment

import (
	"cmp"
	"slices"
)

// LeastTold is the smallest number of people that is told of a group which somebody describes at will: of fewer, a group that is
// described narrowly enough is a person.
const LeastTold = 10

// Hidden says why a count is not told.
type Hidden string

// Why counts are not told.
const (
	Few      Hidden = "<10"      // there are fewer than LeastTold, or none
	Withheld Hidden = "withheld" // it would tell another one that is hidden, by addition
)

// Told is a count as it may be told.
type Told struct {
	N      int64  // 0 where it is hidden
	Hidden Hidden // "" where it is not
}

// TellTotal tells a count that is no part of another one. That nobody is there is not told either: it would tell of the only person
// whom a description fits that they do not belong.
func TellTotal(n int64) Told {
	if n < LeastTold {
		return Told{Hidden: Few}
	}
	return Told{N: n}
}

// TellParts tells the parts of a total that is told: of a group, how many have each value of an attribute. Each person is in one part.
// Parts of nobody are told as such. What is hidden cannot be computed from the rest: it is two parts at least, of LeastTold people
// together at least, and more than one way to share them out is possible. It returns nil where nothing can be told.
func TellParts(parts []int64) []Told {
	told := make([]Told, len(parts))
	var hidden hiddenParts
	var shown []int // the smallest first
	for i, n := range parts {
		switch {
		case n > 0 && n < LeastTold:
			told[i].Hidden = Few
			hidden.few++
			hidden.people += n
		default:
			told[i].N = n
			if n > 0 {
				shown = append(shown, i)
			}
		}
	}
	if hidden.few == 0 {
		return told
	}
	slices.SortStableFunc(shown, func(a, b int) int { return cmp.Compare(parts[a], parts[b]) })
	for ; !hidden.safe(); shown = shown[1:] {
		if len(shown) == 0 {
			return nil
		}
		told[shown[0]] = Told{Hidden: Withheld}
		hidden.withheld++
		hidden.people += parts[shown[0]]
	}
	return told
}

// hiddenParts are what an addition tells of the parts that are hidden: few of at least one person, others of LeastTold at least.
type hiddenParts struct {
	few, withheld int64
	people        int64 // in all of them
}

// safe tells whether no part can be computed.
func (h hiddenParts) safe() bool {
	if h.few+h.withheld < 2 || h.people < LeastTold {
		return false
	}
	others := h.few - 1
	most := min(LeastTold-1, h.people-others-LeastTold*h.withheld)
	least := int64(1)
	if h.withheld == 0 {
		least = max(1, h.people-others*(LeastTold-1))
	}
	return least < most
}

// TellShare tells how many of a group, whose size is told, have something that others may have beside it, such as a tag: those who have
// it not are a group too.
func TellShare(n, group int64) Told {
	switch rest := group - n; {
	case n < LeastTold:
		return Told{Hidden: Few}
	case rest > 0 && rest < LeastTold:
		return Told{Hidden: Withheld}
	}
	return Told{N: n}
}
