package expr

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// selector gives what a chain such as events("purchase").within("90d") selects, in the order in which it happened.
func (c *compiler) selector(chain ast.Expr) func(f *frame) []Occurrence {
	s, _ := c.selected(chain)
	conditions := make([]evaluator, 0, len(s.conditions))
	for _, condition := range s.conditions {
		conditions = append(conditions, c.evaluator(condition))
	}
	return func(f *frame) []Occurrence {
		all := f.Contact.Events
		if s.message != "" {
			all = f.Contact.Messages
		}
		var list []Occurrence
		for _, o := range all {
			inside := frame{World: f.World, event: o.Facts}
			if s.takes(o, f.Now) && !slices.ContainsFunc(conditions, func(condition evaluator) bool { return !holds(condition(&inside)) }) {
				list = append(list, o)
			}
		}
		slices.SortStableFunc(list, func(a, b Occurrence) int { return a.At.Compare(b.At) })
		return list
	}
}

// takes tells whether an occurrence is of the selection's kind and in its window. What is dated ahead has not happened yet.
func (s selection) takes(o Occurrence, now time.Time) bool {
	isKind := o.Name == s.event.Name
	if s.message != "" {
		isOurs := o.Campaign == s.campaign
		if s.campaign == "" {
			isOurs = !strings.HasPrefix(o.Campaign, asksConsent)
		}
		isKind = o.Name == s.message && isOurs
	}
	isYoung := s.within == 0 || o.At.After(now.Add(-s.within))
	return isKind && isYoung && !o.At.After(now.Add(-s.before))
}

// aggregateEvaluator gives one value of a selection.
func (c *compiler) aggregateEvaluator(call ast.CallExpr) evaluator {
	selected, name := c.selector(call.Target()), aggregateName(call)
	if len(call.Args()) == 0 {
		return func(f *frame) ref.Val { return ofOccurrences(name, selected(f)) }
	}
	property := text(call.Args()[0])
	return func(f *frame) ref.Val {
		var values []ref.Val
		for _, o := range selected(f) {
			if fact, known := o.Facts[property]; known {
				values = append(values, fact.value)
			} else if name == "first" || name == "last" {
				values = append(values, unknown{})
			}
		}
		return ofValues(name, values)
	}
}

// ofOccurrences is how many there are, or when the first or the last of them was.
func ofOccurrences(name string, list []Occurrence) ref.Val {
	switch {
	case name == "count":
		return types.Int(len(list))
	case len(list) == 0:
		return unknown{}
	case name == "first":
		return Instant(list[0].At).value
	}
	return Instant(list[len(list)-1].At).value
}

// ofValues makes one value of those of a property.
func ofValues(name string, values []ref.Val) ref.Val {
	if name == "distinct" {
		seen := map[string]bool{}
		for _, v := range values {
			seen[written(v)] = true
		}
		return types.Int(len(seen))
	}
	if len(values) == 0 && name != "sum" {
		return unknown{}
	}
	switch name {
	case "first":
		return values[0]
	case "last":
		return values[len(values)-1]
	case "min":
		return slices.MinFunc(values, orderOf)
	case "max":
		return slices.MaxFunc(values, orderOf)
	}
	total := new(big.Rat)
	for _, v := range values {
		n, _ := rational(v)
		total.Add(total, n)
	}
	if name == "avg" {
		total = rounded(total.Quo(total, new(big.Rat).SetInt64(int64(len(values)))))
	}
	return number{total}
}

func orderOf(a, b ref.Val) int {
	order, _ := compareValues(a, b)
	return order
}

// rounded has as many digits behind the point as an average has; a half goes away from zero, as it does in PostgreSQL.
func rounded(r *big.Rat) *big.Rat {
	const shift = 1_000_000 // ten to the power of decimalsOfAverage
	scaled := new(big.Rat).Mul(new(big.Rat).Abs(r), big.NewRat(shift, 1))
	scaled.Add(scaled, big.NewRat(1, 2))
	whole := new(big.Rat).SetFrac(new(big.Int).Quo(scaled.Num(), scaled.Denom()), big.NewInt(shift))
	if r.Sign() < 0 {
		whole.Neg(whole)
	}
	return whole
}

// written is a value as a text, the same for values that are equal.
func written(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case number:
		return plain(v.Rat)
	case moment:
		if v.isDate {
			return v.Format(time.DateOnly)
		}
		return v.UTC().Format(time.RFC3339Nano)
	case unknown:
		return ""
	}
	return fmt.Sprint(v.Value())
}

// plain is a number with no more digits than it has. All numbers here are finite decimals.
func plain(r *big.Rat) string {
	digits, _ := r.FloatPrec()
	return r.FloatString(digits)
}
