package render

import (
	"errors"
	"maps"
	"reflect"
	"slices"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/values"
)

// iteration is {% for %}.
type iteration struct {
	variable        string
	list            expression
	limit, skip     expressions.Expression // nil without
	reversed        bool
	body, otherwise []node
}

func (f *iteration) render(s *state) error {
	v, err := s.value(&f.list)
	if err != nil {
		return err
	}
	at, length := elements(v)
	first, count, err := f.window(s, length)
	if err != nil {
		return err
	}
	if count == 0 {
		return s.all(f.otherwise)
	}
	defer func(outer, loop any) {
		s.vars[f.variable], s.vars["forloop"] = outer, loop
	}(s.vars[f.variable], s.vars["forloop"])
	for i := range count {
		index := first + i
		if f.reversed {
			index = length - 1 - index
		}
		if err := s.step(1, f.list.offset); err != nil {
			return err
		}
		s.vars[f.variable] = at(index)
		if s.part.counts {
			s.vars["forloop"] = turn(i, count)
		}
		err := s.all(f.body)
		switch {
		case errors.Is(err, errBreak):
			return nil
		case err != nil && !errors.Is(err, errContinue):
			return err
		}
	}
	return nil
}

// turn is what forloop holds.
func turn(i, count int) map[string]any {
	return map[string]any{
		"first": i == 0, "last": i == count-1, "index": i + 1, "index0": i,
		"rindex": count - i, "rindex0": count - i - 1, "length": count,
	}
}

// window applies offset and limit.
func (f *iteration) window(s *state, length int) (first, count int, err error) {
	first, err = f.number(s, f.skip, 0)
	if err != nil {
		return 0, 0, err
	}
	first = min(first, length)
	count, err = f.number(s, f.limit, length)
	return first, min(count, length-first), err
}

func (f *iteration) number(s *state, e expressions.Expression, usual int) (int, error) {
	if e == nil {
		return usual, nil
	}
	v, err := s.evaluate(e, f.list.offset)
	if err != nil {
		return 0, err
	}
	n := reflect.ValueOf(v)
	if !n.IsValid() || !n.CanInt() {
		return 0, s.fail(f.list.offset, "limit and offset must be whole numbers")
	}
	return int(max(0, n.Int())), nil
}

// elements gives access to what a loop goes over: a range, a list, or a map as pairs in the order of its keys.
func elements(v any) (at func(int) any, length int) {
	switch list := v.(type) {
	case nil:
		return nil, 0
	case []any:
		return func(i int) any { return list[i] }, len(list)
	case []string:
		return func(i int) any { return list[i] }, len(list)
	case values.Range:
		return list.Index, max(0, list.Len())
	case map[string]any:
		keys := slices.Sorted(maps.Keys(list))
		return func(i int) any { return []any{keys[i], list[keys[i]]} }, len(keys)
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice || r.Kind() == reflect.Array {
		return func(i int) any { return r.Index(i).Interface() }, r.Len()
	}
	return nil, 0
}
