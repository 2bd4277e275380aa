package render

import "github.com/osteele/liquid/expressions"

// scope is what one rendering knows of variables: those that the template sets itself, and below them those it was given.
type scope struct {
	given  given
	locals []local
	full   map[string]any // all of them, for the library's evaluator; nil until it is needed
	ctx    expressions.Context
}

// given are the variables from outside.
type given interface {
	// text gives a variable that is text, or absent ("" and true).
	text(path []string) (string, bool)
	// list gives a variable that is a list of texts.
	list(path []string) ([]string, bool)
	// value follows a path; false where that is not as simple (list.size), or takes what is not at hand.
	value(path []string) (any, bool)
	// all gives every variable. own says that the map will be written to.
	all(own bool) map[string]any
}

// local is a variable of the template's own. A text is not boxed: an element of a list costs no allocation.
type local struct {
	name   string
	set    bool
	isText bool
	text   string
	value  any
}

func (l *local) boxed() any {
	if l.isText {
		return l.text
	}
	return l.value
}

// reset makes a scope ready for another rendering.
func (s *scope) reset(g given) {
	clear(s.locals)
	s.given, s.locals, s.full, s.ctx = g, s.locals[:0], nil, nil
}

// slot is the place of a local variable.
func (s *scope) slot(name string) int {
	for i := range s.locals {
		if s.locals[i].name == name {
			return i
		}
	}
	s.locals = append(s.locals, local{name: name})
	return len(s.locals) - 1
}

func (s *scope) find(name string) *local {
	for i := range s.locals {
		if l := &s.locals[i]; l.set && l.name == name {
			return l
		}
	}
	return nil
}

// put sets a local variable.
func (s *scope) put(slot int, l local) {
	l.name, l.set = s.locals[slot].name, true
	s.locals[slot] = l
	if s.full != nil {
		s.full[l.name] = l.boxed()
	}
}

func (s *scope) assign(name string, value any) { s.put(s.slot(name), local{value: value}) }

// restore gives a local variable what it was before a loop.
func (s *scope) restore(slot int, before local) {
	s.locals[slot] = before
	if s.full == nil {
		return
	}
	if before.set {
		s.full[before.name] = before.boxed()
		return
	}
	s.full, s.ctx = nil, nil // what was given under that name counts again
}

// textOf gives what a path names where it is text, or where there is nothing.
func (s *scope) textOf(path []string) (string, bool) {
	if l := s.find(path[0]); l != nil {
		if len(path) > 1 {
			return "", false
		}
		if l.isText {
			return l.text, true
		}
		text, ok := l.value.(string)
		return text, ok
	}
	return s.given.text(path)
}

func (s *scope) listOf(path []string) ([]string, bool) {
	if l := s.find(path[0]); l != nil {
		return nil, false
	}
	return s.given.list(path)
}

// lookup follows a path through maps; it leaves what is not that simple to the evaluator.
func (s *scope) lookup(path []string) (any, bool) {
	if l := s.find(path[0]); l != nil {
		if l.isText {
			return l.text, len(path) == 1
		}
		return follow(l.value, path[1:])
	}
	return s.given.value(path)
}

// context is what the library's evaluator reads.
func (s *scope) context(p *part) expressions.Context {
	if s.ctx == nil {
		s.full = s.given.all(p.assigns)
		for i := range s.locals {
			if l := &s.locals[i]; l.set {
				s.full[l.name] = l.boxed()
			}
		}
		s.ctx = expressions.NewContext(s.full, p.filters)
	}
	return s.ctx
}

// follow goes from a value along names.
func follow(v any, path []string) (any, bool) {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, v == nil
		}
		if v, ok = m[name]; !ok {
			return nil, name != "size"
		}
	}
	return v, true
}

// The variables of a rendering by itself.

func (v Vars) text(path []string) (string, bool) {
	found, ok := v.value(path)
	text, isText := found.(string)
	return text, ok && (isText || found == nil)
}

func (v Vars) list(path []string) ([]string, bool) {
	found, _ := v.value(path)
	list, ok := found.([]string)
	return list, ok
}

func (v Vars) value(path []string) (any, bool) { return follow(v[path[0]], path[1:]) }

func (v Vars) all(own bool) map[string]any {
	if !own && v != nil {
		return v
	}
	m := make(map[string]any, len(v)+4)
	for name, value := range v {
		m[name] = value
	}
	return m
}
