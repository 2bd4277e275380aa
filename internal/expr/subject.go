package expr

import (
	"fmt"
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Subject is what an expression may speak of beside the contact, because it is known when the question is asked: the event that a rule
// waits for, the campaign that a policy judges. Its fields are values like all others; in a statement they are arguments.
type Subject struct {
	Name   string // of the variable
	Fields []Field
	// Alone says that the expression is about the subject and nothing else: there is neither a contact nor a clock.
	Alone bool
}

// Field is one of a subject: a value, or a group of fields that are named behind it, such as author of mention.author.followers.
type Field struct {
	Name   string
	Type   crm.ValueType // of a list, that of its items: String; of a group: ""
	List   bool          // it holds several, or none; it is never unknown
	Enum   []string      // the only values of a String; nil allows any
	Fields []Field       // of a group; they are no groups
	// Personal says that it tells who somebody is: an expression may only ask whether it is known. Those whose names tell so are anyhow.
	Personal bool
	// Free says that it is what somebody wrote: an expression may search in it, and not compare it as a whole.
	Free bool
}

// EventSubject is the event that a rule waits for, as the variable event. Its properties are read as those of the event of a where.
func EventSubject(t crm.EventType) Subject {
	s := Subject{Name: "event"}
	for _, p := range t.Properties {
		s.Fields = append(s.Fields, Field{Name: p.Name, Type: p.Type})
	}
	return s
}

// subjectPrefix begins the names of the types of subjects and their groups inside cel-go; the path follows.
const subjectPrefix = "subject:"

// celType is the type of a field at a path, such as mention.author.followers.
func (f Field) celType(path string) *types.Type {
	switch {
	case len(f.Fields) > 0:
		return types.NewObjectType(subjectPrefix + path)
	case f.List:
		return types.NewListType(types.StringType)
	}
	return celTypes[f.Type]
}

// chainOf is a chain of names as an author writes it: mention.author.followers. It is nil for what is none.
func chainOf(e ast.Expr) []string {
	switch e.Kind() {
	case ast.IdentKind:
		return []string{e.AsIdent()}
	case ast.SelectKind:
		if above := chainOf(e.AsSelect().Operand()); above != nil {
			return append(above, e.AsSelect().FieldName())
		}
	}
	return nil
}

// subject finds one by its name.
func (env environment) subject(name string) (*Subject, bool) {
	for i := range env.subjects {
		if env.subjects[i].Name == name {
			return &env.subjects[i], true
		}
	}
	return nil, false
}

// owner is the subject to which a chain of names belongs, if it belongs to one.
func (env environment) owner(e ast.Expr) (*Subject, bool) {
	names := chainOf(e)
	if names == nil {
		return nil, false
	}
	return env.subject(names[0])
}

// owns tells whether a field is one of a subject.
func (env environment) owns(e ast.Expr) bool {
	_, isSubject := env.owner(e)
	return isSubject && e.Kind() == ast.SelectKind
}

// fieldAt finds the field for which a chain of names stands.
func (env environment) fieldAt(e ast.Expr) (Field, bool) {
	names := chainOf(e)
	if len(names) < 2 {
		return Field{}, false
	}
	s, isSubject := env.subject(names[0])
	if !isSubject {
		return Field{}, false
	}
	return s.field(names[1:])
}

// field follows a path within the subject.
func (s *Subject) field(names []string) (found Field, ok bool) {
	fields := s.Fields
	for _, name := range names {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			return Field{}, false
		}
		found, fields = fields[i], fields[i].Fields
	}
	return found, len(names) > 0
}

func fieldNames(fields []Field) []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return names
}

// alone is the subject of an expression that may ask nothing else; nil where there is none.
func (env environment) alone() *Subject {
	if len(env.subjects) == 1 && env.subjects[0].Alone {
		return &env.subjects[0]
	}
	return nil
}

// checkSubjects refuses subjects whose fields could not be values, or whose names have another meaning.
func (env environment) checkSubjects() error {
	taken := []string{"contact", "now"}
	for _, s := range env.subjects {
		if !eventName.MatchString(s.Name) || slices.Contains(taken, s.Name) {
			return fmt.Errorf("the subject's name %q has another meaning", s.Name)
		}
		taken = append(taken, s.Name)
		if err := checkFields(s.Name, s.Fields, true); err != nil {
			return err
		}
	}
	return nil
}

func checkFields(owner string, fields []Field, mayGroup bool) error {
	for _, f := range fields {
		isGroup := len(f.Fields) > 0
		switch {
		case isGroup && (!mayGroup || f.Type != "" || f.List):
			return fmt.Errorf("field %q of %s cannot be a group", f.Name, owner)
		case !isGroup && (celTypes[f.Type] == nil || f.List && f.Type != crm.String):
			return fmt.Errorf("field %q of %s has the unusable type %q", f.Name, owner, f.Type)
		}
		if err := checkFields(owner+"."+f.Name, f.Fields, false); err != nil {
			return err
		}
	}
	return nil
}

// Paths lists the values of a subject by their paths within it, those of groups too, such as author.followers.
func (s Subject) Paths() map[string]Field {
	paths := map[string]Field{}
	for _, f := range s.Fields {
		if len(f.Fields) == 0 {
			paths[f.Name] = f
		}
		for _, g := range f.Fields {
			paths[f.Name+"."+g.Name] = g
		}
	}
	return paths
}
