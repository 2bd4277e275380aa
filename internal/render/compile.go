package render

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/parser"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// compiler makes the tree of one part and collects all that is wrong with it.
type compiler struct {
	part     *part
	problems Errors
	uses     []named
	locals   map[string]bool // what assign, capture and for define
	blocks   []*block        // open ones, the innermost last
}

// block is an open {% if %}, {% for %} …: nodes go to its current branch.
type block struct {
	name   string
	offset int
	nodes  []node
	clause func(c *compiler, p piece) // takes else, elsif, when; nil where the block has none
	close  func(nodes []node) node    // makes the node when the end tag comes
}

func compilePart(locale, name, source string, m mode) (*part, []use, Errors) {
	p := &part{locale: locale, name: name, mode: m, lines: newLines(source), filters: filtersOf(m)}
	c := &compiler{part: p, locals: map[string]bool{"forloop": true}}
	if len(source) > MaxSource {
		c.problem(0, fmt.Sprintf("the source has %d bytes; at most %d are allowed", len(source), MaxSource))
		return p, nil, c.problems
	}
	root := &block{}
	c.blocks = []*block{root}
	for _, piece := range scan(source, c.problem) {
		c.piece(piece)
	}
	for _, b := range c.blocks[1:] {
		c.problem(b.offset, fmt.Sprintf("{%% %s %%} is not closed: write {%% end%s %%} where it ends", b.name, b.name))
	}
	p.nodes = root.nodes
	slices.SortStableFunc(c.problems, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return p, c.globals(), c.problems
}

// globals are the variables that come from outside.
func (c *compiler) globals() []use {
	var out []use
	for _, n := range c.uses {
		first, _, _ := strings.Cut(n.name, ".")
		if first == "forloop" {
			c.part.counts = true
		}
		if c.locals[first] {
			continue
		}
		line, column := c.part.lines.position(n.offset)
		out = append(out, use{name: n.name, locale: c.part.locale, part: c.part.name, line: line, column: column})
	}
	return out
}

func (c *compiler) problem(offset int, message string) {
	if len(c.problems) >= maxErrors {
		return
	}
	line, column := c.part.lines.position(offset)
	c.problems = append(c.problems, &Error{
		Locale: c.part.locale, Part: c.part.name, Line: line, Column: column, Message: message,
	})
}

func (c *compiler) top() *block   { return c.blocks[len(c.blocks)-1] }
func (c *compiler) emit(n node)   { b := c.top(); b.nodes = append(b.nodes, n) }
func (c *compiler) open(b *block) { c.blocks = append(c.blocks, b) }

func (c *compiler) piece(p piece) {
	switch p.kind {
	case parser.TextTokenType:
		if p.source != "" {
			c.emit(text(p.source))
		}
	case parser.ObjTokenType:
		c.emit(&output{expression: c.expression(p.args, p.argsAt, false, expressions.Parse), source: p.source})
	case parser.TagTokenType:
		c.tag(p)
	case parser.TrimLeftTokenType, parser.TrimRightTokenType:
	}
}

// tags are the ones that templates know. Not among them: include and render, which read files; tablerow.
var tags = map[string]func(*compiler, piece){
	"assign": (*compiler).assign, "capture": (*compiler).capture, "case": (*compiler).caseTag,
	"cycle": (*compiler).cycle, "for": (*compiler).loop, "if": (*compiler).condition, "unless": (*compiler).condition,
	"break":    func(c *compiler, p piece) { c.jump(p, errBreak) },
	"continue": func(c *compiler, p piece) { c.jump(p, errContinue) },
}

var tagNames = []string{"assign", "break", "capture", "case", "comment", "continue", "cycle", "for", "if", "raw", "unless"}

func (c *compiler) tag(p piece) {
	top := c.top()
	end, isEnd := strings.CutPrefix(p.name, "end")
	switch {
	case isEnd && end == top.name && end != "":
		c.blocks = c.blocks[:len(c.blocks)-1]
		c.emit(top.close(top.nodes))
	case isEnd && slices.Contains(tagNames, end):
		c.strayEnd(p, end)
	case p.name == "else" || p.name == "elsif" || p.name == "when":
		if top.clause == nil {
			c.problem(p.offset, fmt.Sprintf("{%% %s %%} belongs to no block here", p.name))
			return
		}
		top.clause(c, p)
	case tags[p.name] == nil:
		c.problem(p.offset, fmt.Sprintf("there is no tag %q%s", p.name, crm.DidYouMean(p.name, tagNames)))
	case len(c.blocks) > maxNesting:
		c.problem(p.offset, fmt.Sprintf("blocks are nested more than %d deep", maxNesting))
	default:
		tags[p.name](c, p)
	}
}

// strayEnd reports an end tag that closes nothing, or a block that was not closed before its surroundings were; in
// the second case it closes the inner ones, so that the rest is still checked in its place.
func (c *compiler) strayEnd(p piece, name string) {
	for i := len(c.blocks) - 1; i > 0; i-- {
		if c.blocks[i].name != name {
			continue
		}
		for _, inner := range c.blocks[i+1:] {
			c.problem(inner.offset, fmt.Sprintf("{%% %s %%} is not closed before {%% end%s %%}", inner.name, name))
		}
		outer := c.blocks[i]
		c.blocks = c.blocks[:i]
		c.emit(outer.close(outer.nodes))
		return
	}
	c.problem(p.offset, fmt.Sprintf("{%% end%s %%} closes nothing: no {%% %s %%} is open", name, name))
}

// expression compiles the source of an expression by the library's parser and reports what is wrong with it.
func (c *compiler) expression(source string, offset int, loop bool,
	parse func(string) (expressions.Expression, error),
) expression {
	out := expression{offset: offset, cost: 1}
	if len(source) > maxExpr {
		c.problem(offset, fmt.Sprintf("the expression has %d bytes; at most %d are allowed", len(source), maxExpr))
		return out
	}
	names := readNames(source)
	out.cost += checkNames(names, loop, func(at int, message string) { c.problem(offset+at, message) })
	for i, n := range names {
		if n.kind == variable && (!loop || i == 0 || n.name != "reversed") {
			c.uses = append(c.uses, named{kind: variable, name: n.name, offset: offset + n.offset})
		}
	}
	eval, err := guarded(func() (expressions.Expression, error) { return parse(source) })
	// The library's parser takes these as the beginning of a statement.
	statement := strings.HasPrefix(source, "%") || strings.HasPrefix(source, "{%")
	if err != nil || statement || strings.TrimSpace(source) == "" {
		c.problem(offset, fmt.Sprintf("%q cannot be read as an expression", source))
		return out
	}
	out.eval = eval
	if len(names) > 0 && names[0].kind == variable { // true and nil are none
		out.simplify(source)
	}
	return out
}

// plainPath is an expression that is nothing but names and dots.
var plainPath = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)

var localName = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// define notes a variable of the template's own.
func (c *compiler) define(name string, offset int) {
	if !localName.MatchString(name) {
		c.problem(offset, fmt.Sprintf("%q cannot be a variable's name: use letters, digits and underscores", name))
		return
	}
	c.locals[name] = true
	c.part.assigns = true
}

func (c *compiler) assign(p piece) {
	name, value, ok := strings.Cut(p.args, "=")
	if !ok {
		c.problem(p.offset, "write {% assign name = value %}")
		return
	}
	at := p.argsAt + len(name) + 1 + len(value) - len(strings.TrimLeft(value, " \t\r\n"))
	name = strings.TrimSpace(name)
	c.define(name, p.argsAt)
	c.emit(&assignment{name: name, value: c.expression(strings.TrimSpace(value), at, false, expressions.Parse)})
}

func (c *compiler) capture(p piece) {
	c.define(p.args, p.argsAt)
	c.open(&block{name: "capture", offset: p.offset, close: func(nodes []node) node {
		return &captured{name: p.args, nodes: nodes}
	}})
}

// condition compiles if and unless.
func (c *compiler) condition(p piece) {
	out := &conditional{}
	test := c.expression(p.args, p.argsAt, false, expressions.Parse)
	current := branch{test: &test, negated: p.name == "unless"}
	b := &block{name: p.name, offset: p.offset}
	b.clause = func(c *compiler, p piece) {
		current.nodes, b.nodes = b.nodes, nil
		out.branches = append(out.branches, current)
		switch {
		case p.name == "when" || current.test == nil:
			c.problem(p.offset, fmt.Sprintf("{%% %s %%} does not belong here", p.name))
			current = branch{}
		case p.name == "else":
			current = branch{}
		default:
			test := c.expression(p.args, p.argsAt, false, expressions.Parse)
			current = branch{test: &test}
		}
	}
	b.close = func(nodes []node) node {
		current.nodes = nodes
		out.branches = append(out.branches, current)
		return out
	}
	c.open(b)
}

func (c *compiler) caseTag(p piece) {
	out := &selection{value: c.expression(p.args, p.argsAt, false, expressions.Parse)}
	var current *choice // nil before the first when: what stands there is not shown
	b := &block{name: "case", offset: p.offset}
	end := func(nodes []node) {
		if current != nil {
			current.nodes = nodes
			out.choices = append(out.choices, *current)
		}
	}
	b.clause = func(c *compiler, p piece) {
		end(b.nodes)
		b.nodes, current = nil, &choice{}
		switch p.name {
		case "elsif":
			c.problem(p.offset, "{% elsif %} does not belong here: use {% when %}")
		case "when":
			current.values = c.values(p)
		}
	}
	b.close = func(nodes []node) node { end(nodes); return out }
	c.open(b)
}

// values compiles the list of a when.
func (c *compiler) values(p piece) []expression {
	var list []expressions.Expression
	first := c.expression(p.args, p.argsAt, false, func(source string) (expressions.Expression, error) {
		statement, err := expressions.ParseStatement(expressions.WhenStatementSelector, source)
		if err != nil {
			return nil, err
		}
		list = statement.Exprs
		return list[0], nil
	})
	out := make([]expression, len(list))
	for i := range list {
		out[i] = expression{eval: list[i], cost: first.cost, offset: first.offset}
	}
	return out
}
