package expr

import (
	"errors"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// meanings are operators and functions of values, by the names that the parser gives them: ours and not cel-go's own, which know neither exact
// decimals nor that comparing with the unknown is false.
var meanings = map[string]func(args ...ref.Val) ref.Val{
	operators.Equals:        func(args ...ref.Val) ref.Val { return types.Bool(equal(args[0], args[1])) },
	operators.NotEquals:     func(args ...ref.Val) ref.Val { return types.Bool(!equal(args[0], args[1])) },
	operators.Less:          ordered(func(c int) bool { return c < 0 }),
	operators.LessEquals:    ordered(func(c int) bool { return c <= 0 }),
	operators.Greater:       ordered(func(c int) bool { return c > 0 }),
	operators.GreaterEquals: ordered(func(c int) bool { return c >= 0 }),
	operators.In:            func(args ...ref.Val) ref.Val { return types.Bool(contains(args[1], args[0])) },
	"startsWith":            searched(strings.HasPrefix, same),
	"endsWith":              searched(strings.HasSuffix, same),
	"contains":              searched(strings.Contains, same),
	"startsWithIgnoreCase":  searched(strings.HasPrefix, folded),
	"endsWithIgnoreCase":    searched(strings.HasSuffix, folded),
	"containsIgnoreCase":    searched(strings.Contains, folded),
	"equalsIgnoreCase":      searched(func(a, b string) bool { return a == b }, folded),
	"lowerAscii":            lowered,
	"hasAny": func(args ...ref.Val) ref.Val {
		return types.Bool(slices.ContainsFunc(items(args[1]), func(v ref.Val) bool { return contains(args[0], v) }))
	},
	"hasAll":  func(args ...ref.Val) ref.Val { return types.Bool(containsAll(args[0], args[1])) },
	"hasOnly": func(args ...ref.Val) ref.Val { return types.Bool(containsAll(args[1], args[0])) },
}

// holds tells whether a value is a condition that holds.
func holds(v ref.Val) bool { return v == types.True }

func isKnown(v ref.Val) bool {
	if list, isList := v.(traits.Lister); isList {
		return list.Size() != types.Int(0)
	}
	_, isUnknown := v.(unknown)
	return !isUnknown
}

// equal is ==: beside null it asks whether a value is unknown, and what is unknown equals nothing.
func equal(a, b ref.Val) bool {
	if a == types.NullValue {
		a, b = b, a
	}
	if b == types.NullValue {
		return !isKnown(a)
	}
	c, comparable := compareValues(a, b)
	return comparable && c == 0
}

func ordered(test func(int) bool) func(args ...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		c, comparable := compareValues(args[0], args[1])
		return types.Bool(comparable && test(c))
	}
}

// compareValues orders two values of types that compare. Nothing can be said of what is unknown. Texts are ordered by their characters, and
// a date is the midnight in UTC with which it begins.
func compareValues(a, b ref.Val) (order int, comparable bool) {
	switch x := a.(type) {
	case types.String:
		y, isText := b.(types.String)
		return strings.Compare(string(x), string(y)), isText
	case types.Bool:
		y, isBool := b.(types.Bool)
		return map[bool]int{false: 1}[x == y], isBool
	case moment:
		y, isMoment := b.(moment)
		return x.Compare(y.Time), isMoment
	}
	x, isNumber := rational(a)
	y, areNumbers := rational(b)
	if !isNumber || !areNumbers {
		return 0, false
	}
	return x.Cmp(y), true
}

func rational(v ref.Val) (*big.Rat, bool) {
	switch n := v.(type) {
	case number:
		return n.Rat, true
	case types.Int:
		return new(big.Rat).SetInt64(int64(n)), true
	}
	return nil, false
}

func items(list ref.Val) (all []ref.Val) {
	l, isList := list.(traits.Lister)
	if !isList {
		return nil
	}
	for it := l.Iterator(); it.HasNext() == types.True; {
		all = append(all, it.Next())
	}
	return all
}

func contains(list, v ref.Val) bool {
	return slices.ContainsFunc(items(list), func(item ref.Val) bool { return equal(v, item) })
}

func containsAll(list, wanted ref.Val) bool {
	return !slices.ContainsFunc(items(wanted), func(v ref.Val) bool { return !contains(list, v) })
}

func searched(test func(where, what string) bool, prepare func(string) string) func(args ...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		where, isText := args[0].(types.String)
		what, areTexts := args[1].(types.String)
		return types.Bool(isText && areTexts && test(prepare(string(where)), prepare(string(what))))
	}
}

func same(s string) string { return s }

// folded has one letter for all that differ in case only, by Unicode's simple folding: the least of them.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, s)
}

func lowered(args ...ref.Val) ref.Val {
	text, isText := args[0].(types.String)
	if !isText {
		return args[0]
	}
	return types.String(strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, string(text)))
}

// What cel-go has no values for: exact numbers, days and instants to the microsecond, and what is not known. Nothing is compared by Equal,
// because the operators are functions of ours.
type (
	number struct{ *big.Rat }
	moment struct {
		time.Time
		isDate bool
	}
	unknown struct{}
)

var errNoConversion = errors.New("the language converts nothing")

func (number) ConvertToNative(reflect.Type) (any, error)  { return nil, errNoConversion }
func (number) ConvertToType(ref.Type) ref.Val             { return types.WrapErr(errNoConversion) }
func (n number) Equal(other ref.Val) ref.Val              { return types.Bool(equal(n, other)) }
func (number) Type() ref.Type                             { return celTypes[crm.Decimal] }
func (n number) Value() any                               { return n.Rat }
func (moment) ConvertToNative(reflect.Type) (any, error)  { return nil, errNoConversion }
func (moment) ConvertToType(ref.Type) ref.Val             { return types.WrapErr(errNoConversion) }
func (m moment) Equal(other ref.Val) ref.Val              { return types.Bool(equal(m, other)) }
func (moment) Type() ref.Type                             { return celTypes[crm.Date] }
func (m moment) Value() any                               { return m.Time }
func (unknown) ConvertToNative(reflect.Type) (any, error) { return nil, errNoConversion }
func (unknown) ConvertToType(ref.Type) ref.Val            { return types.WrapErr(errNoConversion) }
func (unknown) Equal(ref.Val) ref.Val                     { return types.False }
func (unknown) Type() ref.Type                            { return types.NullType }
func (unknown) Value() any                                { return nil }
