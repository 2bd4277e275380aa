package expr_test

import (
	"cmp"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/parser"
)

// meanings are the operators and functions of the language by the name that a source has for them. Those that ask the contact get
// it as their first argument.
var meanings = map[string]func(args ...ref.Val) ref.Val{
	operators.LogicalAnd: func(args ...ref.Val) ref.Val {
		return types.Bool(!slices.ContainsFunc(args, func(v ref.Val) bool { return !holds(v) }))
	},
	operators.LogicalOr:  func(args ...ref.Val) ref.Val { return types.Bool(slices.ContainsFunc(args, holds)) },
	operators.LogicalNot: func(args ...ref.Val) ref.Val { return types.Bool(!holds(args[0])) },
	operators.Equals:     func(args ...ref.Val) ref.Val { return types.Bool(equal(args[0], args[1])) },
	operators.NotEquals:  func(args ...ref.Val) ref.Val { return types.Bool(!equal(args[0], args[1])) },
	operators.Less:       order(func(c int) bool { return c < 0 }),
	operators.LessEquals: order(func(c int) bool { return c <= 0 }),
	operators.Greater:    order(func(c int) bool { return c > 0 }),
	operators.GreaterEquals: order(func(c int) bool {
		return c >= 0
	}),
	operators.In: func(args ...ref.Val) ref.Val {
		return types.Bool(slices.ContainsFunc(items(args[1]), func(item ref.Val) bool { return equal(args[0], item) }))
	},
	operators.Add: func(args ...ref.Val) ref.Val { return args[0].(traits.Adder).Add(args[1]) }, // of filter
	"has":         func(args ...ref.Val) ref.Val { return types.Bool(isKnown(args[0])) },
	"@decimal":    func(args ...ref.Val) ref.Val { return rat(string(args[0].(types.String))) },
	"date":        func(args ...ref.Val) ref.Val { return calendarDate{parsed(time.DateOnly, args[0])} },
	"timestamp":   func(args ...ref.Val) ref.Val { return instant{parsed(time.RFC3339Nano, args[0])} },
	"ago":         func(args ...ref.Val) ref.Val { return instant{clock.Add(-lengthOf(args[0]))} },
	"ahead":       func(args ...ref.Val) ref.Val { return instant{clock.Add(lengthOf(args[0]))} },

	"consented":      func(args ...ref.Val) ref.Val { return types.Bool(args[0].(*person).consents[textOf(args[1])]) },
	"in_segment":     func(args ...ref.Val) ref.Val { return types.Bool(args[0].(*person).segments[textOf(args[1])]) },
	"has_identifier": func(args ...ref.Val) ref.Val { return types.Bool(args[0].(*person).identifiers[textOf(args[1])]) },
	"age":            func(args ...ref.Val) ref.Val { return byCalendar(age, args...) },
	"anniversary":    func(args ...ref.Val) ref.Val { return byCalendar(anniversary, args...) },
	"events": func(args ...ref.Val) ref.Val {
		return selectFrom(args[0].(*person).events, func(o *occurrence) bool { return o.name == textOf(args[1]) })
	},
	"received": messages("received"),
	"opened":   messages("opened"),
	"clicked":  messages("clicked"),
	"within": func(args ...ref.Val) ref.Val {
		return selectFrom(occurrences(args[0]), func(o *occurrence) bool { return o.at.After(clock.Add(-lengthOf(args[1]))) })
	},
	"before": func(args ...ref.Val) ref.Val {
		return selectFrom(occurrences(args[0]), func(o *occurrence) bool { return !o.at.After(clock.Add(-lengthOf(args[1]))) })
	},
	"count":    func(args ...ref.Val) ref.Val { return types.Int(len(occurrences(args[0]))) },
	"sum":      func(args ...ref.Val) ref.Val { return decimal{total(numbers(args))} },
	"avg":      average,
	"min":      func(args ...ref.Val) ref.Val { return extreme(numbers(args), -1) },
	"max":      func(args ...ref.Val) ref.Val { return extreme(numbers(args), 1) },
	"distinct": distinct,
	"first":    func(args ...ref.Val) ref.Val { return end(args, false) },
	"last":     func(args ...ref.Val) ref.Val { return end(args, true) },

	"startsWith":           search(strings.HasPrefix, keep),
	"endsWith":             search(strings.HasSuffix, keep),
	"contains":             search(strings.Contains, keep),
	"startsWithIgnoreCase": search(strings.HasPrefix, folded),
	"endsWithIgnoreCase":   search(strings.HasSuffix, folded),
	"containsIgnoreCase":   search(strings.Contains, folded),
	"equalsIgnoreCase":     search(strings.EqualFold, keep),
	"lowerAscii": func(args ...ref.Val) ref.Val {
		if !isKnown(args[0]) {
			return args[0]
		}
		return types.String(strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, textOf(args[0])))
	},
	"hasAny": func(args ...ref.Val) ref.Val {
		return types.Bool(slices.ContainsFunc(items(args[1]), func(v ref.Val) bool { return among(items(args[0]), v) }))
	},
	"hasAll": func(args ...ref.Val) ref.Val {
		return types.Bool(!slices.ContainsFunc(items(args[1]), func(v ref.Val) bool { return !among(items(args[0]), v) }))
	},
	"hasOnly": func(args ...ref.Val) ref.Val {
		return types.Bool(!slices.ContainsFunc(items(args[0]), func(v ref.Val) bool { return !among(items(args[1]), v) }))
	},
}

// asksContact are the functions that get the contact as their first argument.
var asksContact = []string{"consented", "in_segment", "has_identifier", "age", "anniversary", "events", "received", "opened", "clicked"}

func textOf(v ref.Val) string { return string(v.(types.String)) }

func isKnown(v ref.Val) bool {
	_, isUnknown := v.(unknown)
	list, isList := v.(traits.Lister)
	return !isUnknown && (!isList || list.Size().(types.Int) > 0)
}

// holds is whether a value is a condition that holds: of a selection, whether there is any.
func holds(v ref.Val) bool {
	if list, isList := v.(traits.Lister); isList {
		return list.Size().(types.Int) > 0
	}
	return v == types.True
}

// equal is ==: null asks whether a value is unknown, and what is unknown equals nothing.
func equal(a, b ref.Val) bool {
	if a == types.NullValue {
		a, b = b, a
	}
	_, isUnknown := a.(unknown)
	if b == types.NullValue {
		return isUnknown
	}
	c, comparable := compare(a, b)
	return comparable && c == 0
}

func order(test func(int) bool) func(args ...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		c, comparable := compare(args[0], args[1])
		return types.Bool(comparable && test(c))
	}
}

// compare orders two values; nothing can be said of what is unknown.
func compare(a, b ref.Val) (int, bool) {
	if _, isUnknown := a.(unknown); isUnknown {
		return 0, false
	}
	if _, isUnknown := b.(unknown); isUnknown {
		return 0, false
	}
	switch x := a.(type) {
	case types.String:
		return strings.Compare(string(x), textOf(b)), true
	case types.Bool:
		if x == b {
			return 0, true
		}
		return 1, true
	case instant, calendarDate:
		return timeOf(a).Compare(timeOf(b)), true
	}
	return numberOf(a).Cmp(numberOf(b)), true
}

// timeOf makes an instant of a date: the midnight in UTC with which it begins.
func timeOf(v ref.Val) time.Time {
	if at, isInstant := v.(instant); isInstant {
		return at.Time
	}
	return v.(calendarDate).Time
}

func numberOf(v ref.Val) *big.Rat {
	if n, isInteger := v.(types.Int); isInteger {
		return new(big.Rat).SetInt64(int64(n))
	}
	return v.(decimal).Rat
}

func parsed(layout string, v ref.Val) time.Time {
	at, err := time.Parse(layout, textOf(v))
	if err != nil {
		panic(err)
	}
	return at
}

func lengthOf(v ref.Val) time.Duration { return length(textOf(v)) }

func items(list ref.Val) (all []ref.Val) {
	for it := list.(traits.Lister).Iterator(); it.HasNext() == types.True; {
		all = append(all, it.Next())
	}
	return all
}

func among(list []ref.Val, v ref.Val) bool {
	return slices.ContainsFunc(list, func(item ref.Val) bool { return equal(item, v) })
}

func occurrences(list ref.Val) (all []*occurrence) {
	for _, item := range items(list) {
		all = append(all, item.(*occurrence))
	}
	return all
}

// selectFrom keeps what passes and has happened.
func selectFrom(from []*occurrence, passes func(*occurrence) bool) ref.Val {
	kept := []ref.Val{}
	for _, o := range from {
		if !o.at.After(clock) && passes(o) {
			kept = append(kept, o)
		}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, kept)
}

func messages(what string) func(args ...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		return selectFrom(args[0].(*person).messages, func(o *occurrence) bool {
			return o.what == what && (len(args) == 1 || o.name == textOf(args[1]))
		})
	}
}

func byCalendar(f func(since, today calendarDate) ref.Val, args ...ref.Val) ref.Val {
	p := args[0].(*person)
	since, isDay := p.day(p.field(textOf(args[1])))
	if !isDay {
		return unknown{}
	}
	today, _ := p.day(instant{clock})
	return f(since, today)
}

func numbers(args []ref.Val) (all []*big.Rat) {
	for _, o := range occurrences(args[0]) {
		if v := o.property(textOf(args[1])); isKnown(v) {
			all = append(all, numberOf(v))
		}
	}
	return all
}

func total(all []*big.Rat) *big.Rat {
	sum := new(big.Rat)
	for _, n := range all {
		sum.Add(sum, n)
	}
	return sum
}

func average(args ...ref.Val) ref.Val {
	all := numbers(args)
	if len(all) == 0 {
		return unknown{}
	}
	return rounded(new(big.Rat).Quo(total(all), big.NewRat(int64(len(all)), 1)))
}

func extreme(all []*big.Rat, sign int) ref.Val {
	if len(all) == 0 {
		return unknown{}
	}
	return decimal{slices.MaxFunc(all, func(a, b *big.Rat) int { return a.Cmp(b) * sign })}
}

func distinct(args ...ref.Val) ref.Val {
	var seen []ref.Val
	for _, o := range occurrences(args[0]) {
		if v := o.property(textOf(args[1])); isKnown(v) && !among(seen, v) {
			seen = append(seen, v)
		}
	}
	return types.Int(len(seen))
}

func end(args []ref.Val, last bool) ref.Val {
	all := occurrences(args[0])
	if len(all) == 0 {
		return unknown{}
	}
	slices.SortStableFunc(all, func(a, b *occurrence) int { return cmp.Compare(a.at.UnixMicro(), b.at.UnixMicro()) })
	o := all[0]
	if last {
		o = all[len(all)-1]
	}
	if len(args) == 1 {
		return instant{o.at}
	}
	return o.property(textOf(args[1]))
}

func search(test func(string, string) bool, prepare func(string) string) func(args ...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		x, isText := args[0].(types.String)
		y, areTexts := args[1].(types.String)
		return types.Bool(isText && areTexts && test(prepare(string(x)), prepare(string(y))))
	}
}

func keep(s string) string { return s }

// folded puts the same letter for all that EqualFold takes for one.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		for _, other := range foldable {
			if strings.EqualFold(string(r), string(other)) {
				return other
			}
		}
		return r
	}, s)
}

// oracleEnv is a language without cel-go's own operators.
var oracleEnv = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.Variable("contact", cel.DynType), cel.Variable("now", cel.DynType), cel.Variable("event", cel.DynType),
		cel.Macros(cel.ReceiverMacro("where", 2, func(h parser.ExprHelper, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
			// What a condition is, is said by !!.
			condition := h.NewCall("@!", h.NewCall("@!", args[1]))
			return parser.MakeFilter(h, target, []ast.Expr{args[0], condition})
		})),
	}
	for name, meaning := range meanings {
		options = append(options, cel.Function(renamed(name), overloads(renamed(name), meaning)...))
	}
	return cel.NewCustomEnv(options...)
})

// renamed keeps a function from what cel-go knows by its name.
func renamed(name string) string {
	switch name {
	case operators.Add:
		return name
	case operators.LogicalNot:
		return "@!"
	}
	return "@our" + name
}

// overloads take any number of arguments, of any type.
func overloads(name string, meaning func(args ...ref.Val) ref.Val) (all []cel.FunctionOpt) {
	for n := 1; n <= 10; n++ {
		all = append(all, cel.Overload(fmt.Sprintf("%s_%d", name, n), slices.Repeat([]*cel.Type{cel.DynType}, n), cel.DynType))
	}
	return append(all, cel.SingletonFunctionBinding(func(args ...ref.Val) ref.Val { return meaning(args...) }))
}

var numberAt = regexp.MustCompile(`^-?[0-9.]+`)

// interpret gives the function that tells whether a contact belongs.
func interpret(t testing.TB, source string) func(*person) bool {
	t.Helper()
	holds := interpretAbout(t, source)
	return func(p *person) bool { return holds(p, nil) }
}

// interpretAbout gives the function that tells whether a condition on a contact and an event holds.
func interpretAbout(t testing.TB, source string) func(*person, *occurrence) bool {
	t.Helper()
	env, err := oracleEnv()
	if err != nil {
		t.Fatal(err)
	}
	parsed, issues := env.Parse(source)
	if issues.Err() != nil {
		t.Fatalf("%s: %v", source, issues.Err())
	}
	native := parsed.NativeRep()
	rename(native, []rune(source))
	program, err := env.Program(parsed)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return func(p *person, about *occurrence) bool {
		answer, _, err := program.Eval(map[string]any{"contact": p, "now": instant{clock}, "event": about})
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		return holds(answer)
	}
}

// rename makes calls of our functions out of operators and functions, and texts out of decimals, which keep their digits so.
func rename(tree *ast.AST, source []rune) {
	factory := ast.NewExprFactory()
	next := ast.MaxID(tree)
	literal := func(v ref.Val) ast.Expr {
		next++
		return factory.NewLiteral(next, v)
	}
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.LiteralKind:
			if _, isDouble := e.AsLiteral().(types.Double); isDouble {
				at, _ := tree.SourceInfo().GetOffsetRange(e.ID())
				e.SetKindCase(factory.NewCall(e.ID(), renamed("@decimal"), literal(types.String(numberAt.FindString(string(source[at.Start:]))))))
			}
		case ast.CallKind:
			call := e.AsCall()
			if meanings[call.FunctionName()] == nil || call.FunctionName() == operators.Add {
				return
			}
			args := slices.Clone(call.Args())
			if call.IsMemberFunction() {
				args = append([]ast.Expr{call.Target()}, args...)
			}
			if slices.Contains(asksContact, call.FunctionName()) {
				next++
				args = append([]ast.Expr{factory.NewIdent(next, "contact")}, args...)
			}
			e.SetKindCase(factory.NewCall(e.ID(), renamed(call.FunctionName()), args...))
		}
	}))
}
