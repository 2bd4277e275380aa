package expr

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/parser"
)

// The bounds of an expression. They keep parsing, checking and the statement that comes out cheap.
const (
	maxSourceBytes = 8192
	maxNodes       = 4000
	maxDepth       = 60
	maxNesting     = 100 // of the grammar's rules, before there is a tree to measure
	maxListItems   = 1000
)

const tooDeep = "the expression is nested too deeply: split it into several segments"

// position is a place in the source, line and column from 1.
type position struct {
	line, column int
}

// tree is a parsed expression, later a checked one.
type tree struct {
	text   []rune
	source common.Source
	ast    *ast.AST
	next   int64 // the id of the next node that we make
}

func (t *tree) root() ast.Expr { return t.ast.Expr() }

// newID numbers a node of ours and gives it the place of the node that it stands for.
func (t *tree) newID(like ast.Expr) int64 {
	t.next++
	if r, found := t.ast.SourceInfo().GetOffsetRange(like.ID()); found {
		t.ast.SourceInfo().SetOffsetRange(t.next, r)
	}
	return t.next
}

// at is where an expression stands: a field or a function at its name, everything else where CEL puts it (an
// operator at its sign).
func (t *tree) at(e ast.Expr) position {
	r, found := t.ast.SourceInfo().GetOffsetRange(e.ID())
	if !found {
		return position{1, 1}
	}
	return t.position(t.nameOffset(e, int(r.Start)))
}

// nameOffset moves from the sign that CEL remembers (the dot of a field, the bracket of a call) to the name.
func (t *tree) nameOffset(e ast.Expr, offset int) int {
	switch e.Kind() {
	case ast.SelectKind:
		if offset < len(t.text) && t.text[offset] == '.' {
			for offset++; offset < len(t.text) && unicode.IsSpace(t.text[offset]); {
				offset++
			}
		}
	case ast.CallKind, ast.ComprehensionKind, ast.IdentKind:
		if offset >= len(t.text) || t.text[offset] != '(' {
			return offset
		}
		end := offset
		for end > 0 && unicode.IsSpace(t.text[end-1]) {
			end--
		}
		start := end
		for start > 0 && (t.text[start-1] == '_' || unicode.IsLetter(t.text[start-1]) || unicode.IsDigit(t.text[start-1])) {
			start--
		}
		return start
	}
	return offset
}

// position converts an offset in characters.
func (t *tree) position(offset int) position {
	p := position{1, 1}
	for _, r := range t.text[:min(offset, len(t.text))] {
		if r == '\n' {
			p = position{p.line + 1, 1}
		} else {
			p.column++
		}
	}
	return p
}

// parse reads the source into a tree within the bounds.
func parse(source string) (*tree, error) {
	var found issues
	start := position{1, 1}
	switch {
	case len(source) > maxSourceBytes:
		found.add(start, "the expression has %d bytes; at most %d are allowed: split it into several segments", len(source), maxSourceBytes)
	case !utf8.ValidString(source):
		found.add(start, "the expression is not valid UTF-8")
	case strings.TrimSpace(source) == "":
		found.add(start, "the expression is empty: write a condition, or true for everyone")
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	p, err := parser.NewParser(
		parser.Macros(
			parser.NewGlobalMacro("has", 1, expandHas),
			parser.NewReceiverMacro("where", 2, expandWhere),
		),
		parser.MaxRecursionDepth(maxNesting),
		parser.ErrorReportingLimit(maxIssues),
		parser.ErrorRecoveryLimit(maxIssues),
		parser.EnableHiddenAccumulatorName(true),
		parser.EnableVariadicOperatorASTs(true), // a && b && c is one node, and one line of SQL
	)
	if err != nil {
		return nil, err
	}
	input := common.NewTextSource(source)
	parsed, failed := p.Parse(input)
	if failed != nil && len(failed.GetErrors()) > 0 {
		first := failed.GetErrors()[0] // the others are mostly its consequences
		found.add(position{max(first.Location.Line(), 1), max(first.Location.Column()+1, 1)}, "%s", plainSyntax(first.Message))
		return nil, found.err()
	}
	t := &tree{text: []rune(source), source: input, ast: parsed, next: ast.MaxID(parsed)}
	m := measure{tree: t}
	m.visit(parsed.Expr(), 1)
	return t, m.issues.err()
}

// syntaxWords are what the grammar's runtime says, and what an author reads instead.
var syntaxWords = strings.NewReplacer(
	"Syntax error: ", "",
	"mismatched input ", "unexpected ",
	"extraneous input ", "unexpected ",
	"no viable alternative at input ", "unexpected ",
	"token recognition error at: ", "unexpected ",
	"'<EOF>'", "end of the expression",
	"<EOF>", "end of the expression",
)

// plainSyntax rewords a syntax error and drops the list of every token that the grammar would have taken.
func plainSyntax(message string) string {
	if strings.Contains(message, "recursion limit") {
		return tooDeep
	}
	message, _, _ = strings.Cut(message, " expecting ")
	if strings.Contains(message, "token recognition error at: '=") {
		return "unexpected '=': write == to compare"
	}
	return syntaxWords.Replace(message)
}

// expandHas is CEL's macro with a message that shows the form.
func expandHas(h parser.ExprHelper, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	if args[0].Kind() != ast.SelectKind {
		return nil, h.NewError(args[0].ID(), "has takes a field, such as has(contact.plan)")
	}
	return parser.MakeHas(h, target, args)
}

// expandWhere makes .where(e, condition) CEL's filter over the events of its target.
func expandWhere(h parser.ExprHelper, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	if args[0].Kind() != ast.IdentKind {
		return nil, h.NewError(args[0].ID(), "where takes a name for the event and a condition on it, such as .where(e, e.amount > 50.0)")
	}
	return parser.MakeFilter(h, target, args)
}

// measure counts the nodes of a tree and its depth.
type measure struct {
	tree   *tree
	nodes  int
	issues issues
}

func (m *measure) visit(e ast.Expr, depth int) {
	if len(m.issues.list) > 0 {
		return
	}
	m.nodes++
	switch {
	case m.nodes > maxNodes:
		m.issues.add(m.tree.at(e), "the expression is too long: split it into several segments")
		return
	case depth > maxDepth:
		m.issues.add(m.tree.at(e), "%s", tooDeep)
		return
	}
	for _, child := range children(e) {
		m.visit(child, depth+1)
	}
}

// children are the parts of an expression that an author wrote: of a where, the events and the condition.
func children(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			return append([]ast.Expr{call.Target()}, call.Args()...)
		}
		return call.Args()
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.ComprehensionKind:
		events, _, condition := whereParts(e)
		return []ast.Expr{events, condition}
	}
	return nil
}

// whereParts takes a where apart again: its events, the name for one of them, and the condition. No other macro
// makes comprehensions.
func whereParts(e ast.Expr) (events ast.Expr, name string, condition ast.Expr) {
	fold := e.AsComprehension()
	return fold.IterRange(), fold.IterVar(), fold.LoopStep().AsCall().Args()[0]
}
