package expr

import (
	"slices"

	"github.com/google/cel-go/common/ast"
)

// Reference is where an expression names another segment.
type Reference struct {
	Segment      string
	Line, Column int // from 1
}

// References lists, in the order of the source, the segments whose membership an expression asks for by in_segment. It only reads
// the source, so it answers also for what does not compile yet; of a source that cannot be read there are none.
func References(source string) []Reference {
	tree, err := parse(source)
	if err != nil {
		return nil
	}
	var found []Reference
	var visit func(e ast.Expr)
	visit = func(e ast.Expr) {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "in_segment" {
			if name, isText := onlyText(e.AsCall()); isText {
				at := tree.at(e.AsCall().Args()[0])
				found = append(found, Reference{name, at.line, at.column})
			}
		}
		for _, child := range children(e) {
			visit(child)
		}
	}
	visit(tree.root())
	return found
}

// Mentions tells whether an expression speaks of a variable. Like References, it only reads the source.
func Mentions(source, variable string) bool {
	tree, err := parse(source)
	if err != nil {
		return false
	}
	var visit func(e ast.Expr) bool
	visit = func(e ast.Expr) bool {
		return e.Kind() == ast.IdentKind && e.AsIdent() == variable || slices.ContainsFunc(children(e), visit)
	}
	return visit(tree.root())
}

// Cycle finds a way from a segment over references back to itself, one of the shortest: its names in order, the first one again
// at the end. It is nil where there is none.
func Cycle(name string, references func(segment string) []Reference) []string {
	before := map[string]string{}
	for queue := []string{name}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, next := range references(at) {
			if next.Segment == name {
				return path(name, at, before)
			}
			if _, seen := before[next.Segment]; !seen {
				before[next.Segment] = at
				queue = append(queue, next.Segment)
			}
		}
	}
	return nil
}

// path follows from the last segment of a cycle back to its first.
func path(name, last string, before map[string]string) []string {
	steps := []string{name}
	for at := last; at != name; at = before[at] {
		steps = append(steps, at)
	}
	steps = append(steps, name)
	slices.Reverse(steps)
	return steps
}
