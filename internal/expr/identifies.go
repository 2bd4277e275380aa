package expr

import "slices"

// Identifies tells whether a field of such a name says who somebody is, whether or not its author called it personal.
func Identifies(field string) bool { return slices.Contains(identifying, field) }
