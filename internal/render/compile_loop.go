package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/osteele/liquid/expressions"
)

// loop compiles {% for item in list limit: 3 offset: 1 reversed %} … {% else %} … {% endfor %}.
func (c *compiler) loop(p piece) {
	out := &iteration{}
	head, _, _ := strings.Cut(p.args, " ")
	c.define(head, p.argsAt)
	out.variable = head
	rest := strings.TrimPrefix(p.args, head)
	at := p.argsAt + len(p.args)
	if list := strings.TrimSpace(rest); strings.HasPrefix(list, "in ") {
		rest = strings.TrimSpace(list[len("in "):])
		at -= len(rest)
	}
	out.list = c.expression(rest, at, true, func(string) (expressions.Expression, error) {
		statement, err := expressions.ParseStatement(expressions.LoopStatementSelector, p.args)
		if err != nil {
			return nil, err
		}
		out.limit, out.skip, out.reversed = statement.Limit, statement.Offset, statement.Reversed
		return statement.Expr, nil
	})
	out.list.path = pathOfLoop(rest)
	b := &block{name: "for", offset: p.offset}
	closed := false
	b.clause = func(c *compiler, p piece) {
		if p.name != "else" || closed {
			c.problem(p.offset, fmt.Sprintf("{%% %s %%} does not belong here", p.name))
			return
		}
		out.body, b.nodes, closed = b.nodes, nil, true
	}
	b.close = func(nodes []node) node {
		if closed {
			out.otherwise = nodes
		} else {
			out.body = nodes
		}
		return out
	}
	c.open(b)
}

// pathOfLoop is the list of a loop that is nothing but names and dots; nil for any other.
func pathOfLoop(source string) []string {
	words := strings.Fields(source)
	if len(words) == 0 || !plainPath.MatchString(words[0]) || slices.Contains(literalNames, words[0]) {
		return nil
	}
	if len(words) > 1 && words[1] != "reversed" && !strings.HasPrefix(words[1], "limit:") && !strings.HasPrefix(words[1], "offset:") {
		return nil
	}
	return strings.Split(words[0], ".")
}

// jump compiles break and continue.
func (c *compiler) jump(p piece, to error) {
	for _, b := range c.blocks {
		if b.name == "for" {
			c.emit(jump{to})
			return
		}
	}
	c.problem(p.offset, fmt.Sprintf("{%% %s %%} stands in no {%% for %%}", p.name))
}

// cycle compiles {% cycle "odd", "even" %}: at every turn of the loop the next value.
func (c *compiler) cycle(p piece) {
	var out *rotation
	_, err := guarded(func() (struct{}, error) {
		statement, err := expressions.ParseStatement(expressions.CycleStatementSelector, p.args)
		if err == nil {
			out = &rotation{group: statement.Group + "\x00" + strings.Join(statement.Values, "\x00"), values: statement.Values}
		}
		return struct{}{}, err
	})
	if err != nil {
		c.problem(p.argsAt, fmt.Sprintf("%q cannot be read: write {%% cycle \"one\", \"two\" %%}", p.args))
		return
	}
	c.emit(out)
}
