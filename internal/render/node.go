package render

import (
	"errors"
	"fmt"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/values"
)

// node is a part of a template's tree.
type node interface {
	render(s *state) error
}

// state is one rendering of one part.
type state struct {
	target
	scope
	part   *part
	steps  int
	cycles map[string]int
	spare  []byte // room for what is rendered aside
	digits []byte // room for numbers
	writing
}

var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// render renders a part into a new buffer.
func (p *part) render(vars Vars) ([]byte, error) {
	s := &state{part: p}
	s.out, s.settled = make([]byte, 0, p.size.Load()+256), p.mode == derived
	s.reset(vars)
	if err := s.all(p.nodes); err != nil {
		return nil, err
	}
	p.size.Store(int64(len(s.out)))
	return s.out, nil
}

// fail is an error at a place of the source.
func (s *state) fail(offset int, format string, args ...any) *Error {
	line, column := s.part.lines.position(offset)
	return &Error{Locale: s.part.locale, Part: s.part.name, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// step counts what a rendering does.
func (s *state) step(cost, offset int) error {
	if s.steps += cost; s.steps > MaxSteps {
		return s.fail(offset, "the template takes more than %d steps: a loop goes round too often", MaxSteps)
	}
	return nil
}

func (s *state) all(nodes []node) error {
	for _, n := range nodes {
		if err := n.render(s); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) write(text string, offset int) error {
	if s.size+len(text) > MaxOutput {
		return s.tooLong(offset)
	}
	s.add(text)
	return nil
}

func (s *state) tooLong(offset int) error {
	return s.fail(offset, "the result is longer than %d bytes", MaxOutput)
}

// borrow gives the room for what is rendered aside; nobody else has it until it is given back to spare.
func (s *state) borrow() []byte {
	b := s.spare[:0]
	s.spare = nil
	return b
}

// aside renders nodes apart from what is written. Who calls it gives the bytes back to spare when they are not needed any more.
func (s *state) aside(nodes []node) ([]byte, error) {
	outer := s.target
	s.target = target{out: s.borrow(), size: outer.size}
	err := s.all(nodes)
	text := s.out
	s.target = outer
	return text, err
}

// text is written as it stands.
type text string

func (t text) render(s *state) error { return s.write(string(t), 0) }

// value evaluates an expression. A name that is not defined is nil.
func (s *state) value(e *expression) (any, error) {
	if err := s.step(e.cost, e.offset); err != nil {
		return nil, err
	}
	return s.valueOf(e)
}

func (s *state) valueOf(e *expression) (any, error) {
	if e.path != nil {
		if v, ok := s.simple(e); ok {
			return v, nil
		}
	}
	return s.evaluate(e.eval, e.offset)
}

// evaluate calls the library's evaluator, which panics where it meets a value that it does not expect.
func (s *state) evaluate(e expressions.Expression, offset int) (out any, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, s.fail(offset, "the value cannot be used so")
		}
	}()
	out, err = e.Evaluate(s.context(s.part))
	if err != nil {
		return nil, s.refused(err, offset)
	}
	return out, nil
}

// refused makes an error of what a filter or a conversion says, without the value: it may be a person's.
func (s *state) refused(err error, offset int) *Error {
	var f expressions.FilterError
	if !errors.As(err, &f) {
		return s.fail(offset, "a value is of the wrong type here")
	}
	var told told
	if errors.As(f.Err, &told) {
		return s.fail(offset, "filter %q: %s", f.FilterName, string(told))
	}
	return s.fail(offset, "filter %q cannot take this value", f.FilterName)
}

// output is {{ … }}.
type output struct {
	expression
	source string // as the template has it, with its braces
}

func (o *output) render(s *state) error {
	if err := s.step(o.cost, o.offset); err != nil {
		return err
	}
	if text, ok := s.simpleText(&o.expression); ok {
		return s.writeText(text, o.offset)
	}
	v, err := s.valueOf(&o.expression)
	if err != nil {
		return err
	}
	return s.writeValue(v, o.offset)
}

// assignment is {% assign %}.
type assignment struct {
	name  string
	value expression
}

func (a *assignment) render(s *state) error {
	v, err := s.value(&a.value)
	if err != nil {
		return err
	}
	if text, ok := v.(string); ok && len(text) > maxString {
		return s.fail(a.value.offset, "a variable may hold %d bytes at most", maxString)
	}
	s.assign(a.name, v)
	return nil
}

// captured is {% capture %}. What it holds is written as it is: its values were escaped when they were captured.
type captured struct {
	name  string
	nodes []node
}

func (c *captured) render(s *state) error {
	held, err := s.aside(c.nodes)
	text := string(held)
	s.spare = held
	if err == nil && len(text) > maxString {
		return s.fail(0, "capture %s: a variable may hold %d bytes at most", c.name, maxString)
	}
	switch s.part.mode {
	case markup:
		s.assign(c.name, safeHTML(text))
	case derived:
		s.assign(c.name, verbatim(text))
	case plain:
		s.assign(c.name, text)
	}
	return err
}

// branch is a condition and what it guards; without a test it is the else.
type branch struct {
	test    *expression
	negated bool
	nodes   []node
}

// conditional is {% if %} or {% unless %}.
type conditional struct{ branches []branch }

func (c *conditional) render(s *state) error {
	for i := range c.branches {
		b := &c.branches[i]
		if b.test != nil {
			v, err := s.value(b.test)
			if err != nil {
				return err
			}
			if (v != nil && v != false) == b.negated {
				continue
			}
		}
		return s.all(b.nodes)
	}
	return nil
}

// choice is {% when %}, or {% else %} where it has no values.
type choice struct {
	values []expression
	nodes  []node
}

// selection is {% case %}.
type selection struct {
	value   expression
	choices []choice
}

func (c *selection) render(s *state) error {
	v, err := s.value(&c.value)
	if err != nil {
		return err
	}
	for i := range c.choices {
		matches := c.choices[i].values == nil
		for j := range c.choices[i].values {
			w, err := s.value(&c.choices[i].values[j])
			if err != nil {
				return err
			}
			matches = matches || equal(v, w)
		}
		if matches {
			return s.all(c.choices[i].nodes)
		}
	}
	return nil
}

// equal compares as the library does, which panics over maps: nothing equals them.
func equal(a, b any) (same bool) {
	defer func() {
		if recover() != nil {
			same = false
		}
	}()
	return values.Equal(a, b)
}

// jump is {% break %} or {% continue %}.
type jump struct{ to error }

func (j jump) render(*state) error { return j.to }

// rotation is {% cycle %}.
type rotation struct {
	group  string
	values []string
}

func (r *rotation) render(s *state) error {
	if s.cycles == nil {
		s.cycles = map[string]int{}
	}
	n := s.cycles[r.group]
	s.cycles[r.group] = n + 1
	return s.write(r.values[n%len(r.values)], 0)
}
