package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// The bounds of a file of manifests.
const (
	maxManifestBytes = 1 << 20
	maxManifests     = 100
)

// segmentDocument is a Segment in a file, with where in the file each character of its expression stands.
type segmentDocument struct {
	Name    string `json:"name"`
	Match   string `json:"match"`
	Suspend bool   `json:"suspend,omitempty"`

	line  int // of its name
	match *yaml.Node
	lines []string // of the file
}

// mistake is what is wrong at a place of a file.
type mistake struct {
	line, column int // from 1
	message      string
}

// manifestFile is what a file holds: one YAML document after the other.
type manifestFile struct {
	name     string
	lines    []string
	segments []segmentDocument
	others   []string // what is no Segment, with its line
	mistakes []mistake
}

// readManifests reads a file of manifests. What is no Segment is left out.
func readManifests(name string, r io.Reader) (*manifestFile, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxManifestBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxManifestBytes {
		return nil, fmt.Errorf("read %s: it has more than %d bytes: give the file of the segments in question", name, maxManifestBytes)
	}
	f := &manifestFile{name: name, lines: strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")}
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.broken(err)
			break
		}
		if len(document.Content) > 0 {
			f.document(document.Content[0])
		}
	}
	for i, s := range f.segments {
		if slices.ContainsFunc(f.segments[:i], func(o segmentDocument) bool { return o.Name == s.Name }) {
			f.wrong(s.line, 1, "Segment %q stands in this file twice", s.Name)
		}
	}
	if len(f.segments) > maxManifests {
		return nil, fmt.Errorf("read %s: it has %d Segments, and at most %d are compared at once", name, len(f.segments), maxManifests)
	}
	return f, nil
}

var yamlLine = regexp.MustCompile(`^yaml: line ([0-9]+): `)

// broken notes that the rest of a file cannot be read.
func (f *manifestFile) broken(err error) {
	line, message := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if found := yamlLine.FindStringSubmatch(err.Error()); found != nil {
		line, _ = strconv.Atoi(found[1])
		message = strings.TrimPrefix(err.Error(), found[0])
	}
	f.wrong(line, 1, "%s", message)
}

func (f *manifestFile) wrong(line, column int, format string, arguments ...any) {
	f.mistakes = append(f.mistakes, mistake{line, column, fmt.Sprintf(format, arguments...)})
}

// document takes one document of a file.
func (f *manifestFile) document(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return
	}
	top, ok := f.fields(node, "", nil)
	if !ok {
		return
	}
	kind, version, name := text(top["kind"]), text(top["apiVersion"]), ""
	metadata, ok := f.fields(top["metadata"], "metadata", nil)
	if ok {
		name = text(metadata["name"])
	}
	if kind != "Segment" || version != v1alpha1.GroupVersion.String() {
		f.others = append(f.others, fmt.Sprintf("%s:%d: %s %q is left out: only Segments of %s are compared.", f.name, node.Line, orUnnamed(kind, "an object"),
			name, v1alpha1.GroupVersion))
		return
	}
	f.fields(node, "", []string{"apiVersion", "kind", "metadata", "spec", "status"})
	if name == "" {
		f.wrong(node.Line, node.Column, "metadata.name is missing")
		return
	}
	f.segment(node, top["spec"], segmentDocument{Name: name, line: metadata["name"].Line, lines: f.lines})
}

// segment takes a Segment whose name is known.
func (f *manifestFile) segment(node, body *yaml.Node, s segmentDocument) {
	spec, found := f.fields(body, "spec", jsonFields(reflect.TypeFor[v1alpha1.SegmentSpec]()))
	switch match := resolved(spec["match"]); {
	case !found && body != nil: // has been told
	case match == nil:
		f.wrong(node.Line, node.Column, "spec.match is missing: it says who belongs")
	case match.Kind != yaml.ScalarNode || match.Tag != "!!str" || match.Value == "":
		f.wrong(match.Line, match.Column, "spec.match must be a text: write >- behind it and the expression below")
	default:
		s.Match, s.match = match.Value, match
		if suspend := resolved(spec["suspend"]); suspend != nil {
			if suspend.Tag != "!!bool" || suspend.Decode(&s.Suspend) != nil {
				f.wrong(suspend.Line, suspend.Column, "spec.suspend must be true or false")
			}
		}
		f.segments = append(f.segments, s)
	}
}

func orUnnamed(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// fields are the values of a mapping. Of those that allowed does not list, and of those that stand there twice, it complains; nil allows any.
func (f *manifestFile) fields(node *yaml.Node, path string, allowed []string) (map[string]*yaml.Node, bool) {
	node = resolved(node)
	if node == nil {
		return nil, false
	}
	if node.Kind != yaml.MappingNode {
		f.wrong(node.Line, node.Column, "%s must be a mapping of fields", orUnnamed(path, "a manifest"))
		return nil, false
	}
	values := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		full := strings.TrimPrefix(path+"."+key.Value, ".")
		switch _, twice := values[key.Value]; {
		case allowed != nil && !slices.Contains(allowed, key.Value):
			f.wrong(key.Line, key.Column, "unknown field %q%s", full, crm.DidYouMean(key.Value, allowed))
		case allowed != nil && twice:
			f.wrong(key.Line, key.Column, "field %q stands there twice", full)
		}
		values[key.Value] = node.Content[i+1]
	}
	return values, true
}

// resolved follows an alias.
func resolved(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func text(node *yaml.Node) string {
	if node = resolved(node); node == nil || node.Kind != yaml.ScalarNode {
		return ""
	}
	return node.Value
}

// jsonFields are the names that a type's fields have in manifests.
func jsonFields(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// place finds where in the file a character of the expression stands, by its line and column within the expression. Where that cannot
// be told, it is where the expression begins.
func (s segmentDocument) place(line, column int) (int, int) {
	at := 0
	for i, text := range strings.Split(s.Match, "\n") {
		if i == line-1 {
			at += min(column-1, len([]rune(text)))
			break
		}
		at += len([]rune(text)) + 1
	}
	walk := newScalarWalk(s.lines, s.match)
	value := []rune(s.Match)
	end := at == len(value) // behind the last character
	for i, r := range value {
		if !walk.find(r) {
			break
		}
		if i == at {
			return walk.line, walk.column
		}
		walk.pass(r)
		if end && i == at-1 {
			return walk.line, walk.column
		}
	}
	return s.match.Line, s.match.Column
}
