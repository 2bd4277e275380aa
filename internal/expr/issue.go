package expr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Issue is one thing that the author of an expression has to mend.
type Issue struct {
	Line    int    // from 1
	Column  int    // from 1, in characters
	Message string // what is wrong and how to mend it
	Nearest string // the valid name that was probably meant; "" when no name is near
}

// String is the issue with its position, such as 1:9: contact has no attribute "plann": did you mean "plan"?
func (i Issue) String() string { return fmt.Sprintf("%d:%d: %s", i.Line, i.Column, i.Message) }

// Error lists the issues of an expression in the order of their positions. There is at least one.
type Error struct {
	Issues []Issue
}

// Error joins the issues.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Issues))
	for _, issue := range e.Issues {
		lines = append(lines, issue.String())
	}
	return strings.Join(lines, "; ")
}

// maxIssues bounds what an author is told at once; the rest shows when these are mended.
const maxIssues = 10

// maxEnumerated is how many valid names a message lists when none is near.
const maxEnumerated = 12

// issues collects what is wrong with one source.
type issues struct {
	list []Issue
}

// err is nil when nothing is wrong.
func (s *issues) err() error {
	if len(s.list) == 0 {
		return nil
	}
	slices.SortStableFunc(s.list, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{Issues: s.list[:min(len(s.list), maxIssues)]}
}

func (s *issues) add(at position, format string, args ...any) {
	s.list = append(s.list, Issue{Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// unknown adds an issue about a name that does not exist and offers the nearest of those that do.
func (s *issues) unknown(at position, message, name string, valid []string) {
	near := crm.Nearest(name, valid)
	switch {
	case near != "":
		s.suggest(at, message, near)
	case len(valid) > 0 && len(valid) <= maxEnumerated:
		s.add(at, "%s: there is %s", message, strings.Join(sorted(valid), ", "))
	default:
		s.add(at, "%s", message)
	}
}

// suggest adds an issue with the name that was probably meant.
func (s *issues) suggest(at position, message, name string) {
	message = fmt.Sprintf("%s: did you mean %q?", message, name)
	s.list = append(s.list, Issue{Line: at.line, Column: at.column, Message: message, Nearest: name})
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}
