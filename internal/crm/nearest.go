package crm

import (
	"fmt"
	"strings"
)

// Nearest finds the valid name with the smallest edit distance, if that is at most a third of the name's length and one
// more. Of several it takes the first in alphabetical order; "" means that none is near.
func Nearest(name string, valid []string) string {
	if len(name) > 100 { // no name of ours is so long, and the distance costs the product of the lengths
		return ""
	}
	best, bound := "", len([]rune(name))/3+2
	for _, candidate := range valid {
		d := editDistance(strings.ToLower(name), strings.ToLower(candidate))
		if d < bound || d == bound && best != "" && candidate < best {
			best, bound = candidate, d
		}
	}
	return best
}

// DidYouMean is the end of a message about an unknown name: the nearest valid one, or nothing.
func DidYouMean(name string, valid []string) string {
	if near := Nearest(name, valid); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}

// editDistance counts the characters to insert, delete, replace or swap with their neighbour (Damerau's distance,
// restricted: no part is edited twice).
func editDistance(from, to string) int {
	a, b := []rune(from), []rune(to)
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
