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
	list, err := f.elements(s)
	if err != nil {
		return err
	}
	first, count, err := f.window(s, list.length)
	if err != nil {
		return err
	}
	if count == 0 {
		return s.all(f.otherwise)
	}
	item := s.slot(f.variable)
	before := s.locals[item]
	var loop int
	var outer local
	if s.part.counts {
		loop = s.slot("forloop")
		outer = s.locals[loop]
	}
	for i := range count {
		index := first + i
		if f.reversed {
			index = list.length - 1 - index
		}
		if err = s.step(1, f.list.offset); err != nil {
			return err
		}
		s.put(item, list.at(index))
		if s.part.counts {
			s.put(loop, local{value: turn(i, count)})
		}
		if err = s.all(f.body); errors.Is(err, errContinue) {
			err = nil
		}
		if err != nil {
			break
		}
	}
	if err != nil && !errors.Is(err, errBreak) {
		return err
	}
	s.restore(item, before)
	if s.part.counts {
		s.restore(loop, outer)
	}
	return nil
}

// elements are what the loop goes over.
func (f *iteration) elements(s *state) (elements, error) {
	if err := s.step(f.list.cost, f.list.offset); err != nil {
		return elements{}, err
	}
	if f.list.path != nil {
		if texts, ok := s.listOf(f.list.path); ok {
			return elements{texts: texts, length: len(texts)}, nil
		}
	}
	v, err := s.valueOf(&f.list)
	return elementsOf(v), err
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

// elements are a range, a list, or a map as pairs in the order of its keys.
type elements struct {
	texts  []string
	other  func(int) any
	length int
}

func (e *elements) at(i int) local {
	if e.texts != nil {
		return local{isText: true, text: e.texts[i]}
	}
	return local{value: e.other(i)}
}

func elementsOf(v any) elements {
	switch list := v.(type) {
	case nil:
		return elements{}
	case []any:
		return elements{other: func(i int) any { return list[i] }, length: len(list)}
	case []string:
		return elements{texts: list, length: len(list)}
	case values.Range:
		return elements{other: list.Index, length: max(0, list.Len())}
	case map[string]any:
		keys := slices.Sorted(maps.Keys(list))
		return elements{other: func(i int) any { return []any{keys[i], list[keys[i]]} }, length: len(keys)}
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice || r.Kind() == reflect.Array {
		return elements{other: func(i int) any { return r.Index(i).Interface() }, length: r.Len()}
	}
	return elements{}
}
