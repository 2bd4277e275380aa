package segment

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// Manifest is a Segment as its author wrote it.
type Manifest struct {
	Name    string
	Match   string
	Suspend bool // its membership stays as it is
}

// InForce is what is known of a segment that is in force.
type InForce struct {
	Match   string
	Built   bool // it has a membership
	Suspend bool // which stays as it is
}

// Problem is what keeps a manifest from coming into force.
type Problem struct {
	Manifest     string // its name
	Line, Column int    // within the expression, from 1
	Message      string
}

// Error is the problem with its place.
func (p Problem) Error() string {
	return fmt.Sprintf("segment %q: spec.match: %d:%d: %s", p.Manifest, p.Line, p.Column, p.Message)
}

// Propose compiles the definition of one of several manifests that come into force together, behind those of the others whose
// membership it asks for, also over those that are in force. It refuses what the operator refuses, in the same words. Of the others,
// what is suspended keeps its membership.
func Propose(name string, manifests []Manifest, inForce map[string]InForce, schema crm.Schema) ([]Proposal, []Problem, error) {
	p := &proposing{schema: schema, inForce: inForce, manifests: map[string]Manifest{}, done: map[string]bool{}}
	for _, m := range manifests {
		p.manifests[m.Name] = m
	}
	if cycle := expr.Cycle(name, p.references); cycle != nil {
		for _, r := range p.references(name) {
			if r.Segment == cycle[1] {
				return nil, []Problem{{name, r.Line, r.Column, fmt.Sprintf("in_segment leads back to this segment: %s. Take it out of one of them.",
					strings.Join(cycle, " → "))}}, nil
			}
		}
	}
	err := p.add(name)
	return p.proposals, p.problems, err
}

type proposing struct {
	schema    crm.Schema
	inForce   map[string]InForce
	manifests map[string]Manifest
	done      map[string]bool
	proposals []Proposal
	problems  []Problem
}

// references lists the segments that one asks for, once all manifests are in force.
func (p *proposing) references(name string) []expr.Reference { return expr.References(p.match(name)) }

// match is the expression that a segment will have.
func (p *proposing) match(name string) string {
	if m, found := p.manifests[name]; found {
		return m.Match
	}
	return p.inForce[name].Match
}

// changes tells whether the membership of a segment may be another one once all manifests are in force.
func (p *proposing) changes(name string, seen map[string]bool) bool {
	if m, found := p.manifests[name]; found {
		return !m.Suspend
	}
	if seen[name] || p.inForce[name].Suspend {
		return false
	}
	seen[name] = true
	return slices.ContainsFunc(p.references(name), func(r expr.Reference) bool { return p.changes(r.Segment, seen) })
}

// add proposes a definition, behind those that it asks for.
func (p *proposing) add(name string) error {
	p.done[name] = true
	compiled, err := expr.Compile(p.schema, p.match(name))
	var wrong *expr.Error
	if errors.As(err, &wrong) {
		if _, declared := p.manifests[name]; !declared {
			return nil // it was compiled for another schema: its membership follows what it was then
		}
		for _, i := range wrong.Issues {
			p.problem(name, i.Line, i.Column, "%s", i.Message)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("compile segment %q: %w", name, err)
	}
	for _, r := range p.references(name) {
		if p.done[r.Segment] {
			continue
		}
		if p.changes(r.Segment, map[string]bool{}) {
			if err := p.add(r.Segment); err != nil {
				return err
			}
			continue
		}
		p.check(name, r)
	}
	p.proposals = append(p.proposals, Proposal{
		Name: name, Predicate: compiled.Predicate, Arguments: compiled.Arguments, AsksFor: compiled.Dependencies.Segments, Digest: compiled.Digest,
	})
	return nil
}

// check tells what is wrong with asking for a segment whose membership stays what it is.
func (p *proposing) check(name string, r expr.Reference) {
	known, found := p.inForce[r.Segment]
	_, declared := p.manifests[r.Segment]
	switch {
	case !found && !declared:
		names := slices.AppendSeq(slices.Collect(maps.Keys(p.manifests)), maps.Keys(p.inForce))
		names = slices.DeleteFunc(names, func(other string) bool { return other == name })
		p.problem(name, r.Line, r.Column, "there is no Segment %q%s", r.Segment, crm.DidYouMean(r.Segment, names))
	case !known.Built:
		p.problem(name, r.Line, r.Column, "Segment %q has no membership yet", r.Segment)
	}
}

func (p *proposing) problem(name string, line, column int, format string, arguments ...any) {
	p.problems = append(p.problems, Problem{name, line, column, fmt.Sprintf(format, arguments...)})
}
