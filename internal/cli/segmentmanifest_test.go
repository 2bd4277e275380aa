package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPlaceOfACharacter finds an "X" of an expression in its file, however YAML has it written.
func TestPlaceOfACharacter(t *testing.T) {
	head := "apiVersion: crm.tertulia.dev/v1alpha1\nkind: Segment\nmetadata: {name: a}\nspec:\n"
	for name, yaml := range map[string]string{
		"plain":            "  match: contact.é == X && true\n",
		"plain over lines": "  match: contact.é ==\n    true &&\n\n    (X\n      || false)\n",
		"single quotes":    "  match: 'contact.city == ''é'' && X'\n",
		"double quotes":    "  match: \"contact.city == \\\"\\u00e9\\\" \\\n     && \\x61 && \\\"\\\\\\\\\\\" \\n && X\"\n",
		"literal":          "  match: |\n    contact.plan == \"club\" // a comment: 'here'\n      && é\n\n    && X",
		"folded":           "  match: >-\n    contact.plan == \"club\"\n    && é\n      && indented\n\n    && X\n  description: X\n",
		"folded, windows":  "  match: >-\r\n    contact.plan == \"club\"\r\n    && X\r\n",
		"with indentation": "  match: >2-\n      contact.plan\n    && X\n",
		"in a flow":        "  {description: d, match: \"a && X\"}\n",
		"alias":            "  description: &m a && X\n  match: *m\n",
		"at the end":       "  match: contact.plan X\n",
	} {
		t.Run(name, func(t *testing.T) {
			text := "# first\n---\n" + head + yaml
			f, err := readManifests("a.yaml", strings.NewReader(text))
			if err != nil || len(f.mistakes) > 0 || len(f.segments) != 1 {
				t.Fatalf("%v %+v", err, f)
			}
			s := f.segments[0]
			before, _, found := strings.Cut(s.Match, "X")
			if !found {
				t.Fatalf("no X in %q", s.Match)
			}
			line := strings.Count(before, "\n") + 1
			column := len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
			gotLine, gotColumn := s.place(line, column)
			at := []rune(strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")[gotLine-1])
			if gotColumn > len(at) || at[gotColumn-1] != 'X' || strings.Contains(string(at), "description: X") {
				t.Errorf("%d:%d of %q is %d:%d of the file: %q", line, column, s.Match, gotLine, gotColumn, string(at))
			}
		})
	}
}

func TestReadManifests(t *testing.T) {
	const segment = "apiVersion: crm.tertulia.dev/v1alpha1\nkind: Segment\n"
	type read struct {
		Names, Others []string
		Mistakes      []string
	}
	for name, tc := range map[string]struct {
		text string
		want read
	}{
		"several": {
			segment + "metadata: {name: a}\nspec: {match: 'true'}\n---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {x: y}\n---\n" +
				segment + "metadata: {name: b, labels: {x: y}}\nspec: {match: 'true', suspend: true, description: d}\nstatus: {}\n",
			read{Names: []string{"a", "b"}, Others: []string{`f.yaml:8: ConfigMap "c" is left out: only Segments of crm.tertulia.dev/v1alpha1 are compared.`}},
		},
		"another group": {
			"apiVersion: other.example/v1\nkind: Segment\nmetadata: {name: a}\nspec: 5\n",
			read{Others: []string{`f.yaml:1: Segment "a" is left out: only Segments of crm.tertulia.dev/v1alpha1 are compared.`}},
		},
		"unknown fields": {
			segment + "metadata: {name: a}\nspecs: 1\nspec:\n  mtach: 'true'\n  match: 'true'\n  match: 'false'\n",
			read{Names: []string{"a"}, Mistakes: []string{`4:1: unknown field "specs": did you mean "spec"?`, `6:3: unknown field "spec.mtach": did you mean "match"?`, `8:3: field "spec.match" stands there twice`}},
		},
		"missing":   {segment + "spec: {description: d}\n", read{Mistakes: []string{`1:1: metadata.name is missing`}}},
		"no match":  {segment + "metadata: {name: a}\nspec: {description: d}\n", read{Mistakes: []string{`1:1: spec.match is missing: it says who belongs`}}},
		"no text":   {segment + "metadata: {name: a}\nspec: {match: [a]}\n", read{Mistakes: []string{`4:15: spec.match must be a text: write >- behind it and the expression below`}}},
		"a Boolean": {segment + "metadata: {name: a}\nspec: {match: true}\n", read{Mistakes: []string{`4:15: spec.match must be a text: write >- behind it and the expression below`}}},
		"suspend":   {segment + "metadata: {name: a}\nspec: {match: 'true', suspend: maybe}\n", read{Names: []string{"a"}, Mistakes: []string{`4:32: spec.suspend must be true or false`}}},
		"a list":    {"- a\n", read{Mistakes: []string{`1:1: a manifest must be a mapping of fields`}}},
		"twice": {
			segment + "metadata: {name: a}\nspec: {match: 'true'}\n---\n" + segment + "metadata: {name: a}\nspec: {match: 'true'}\n",
			read{Names: []string{"a", "a"}, Mistakes: []string{`8:1: Segment "a" stands in this file twice`}},
		},
		"no YAML": {segment + "metadata: {name: a}\nspec: {match: 'true'}\n---\na: [\n", read{Names: []string{"a"}, Mistakes: []string{`6:1: did not find expected node content`}}},
		"empty":   {"", read{}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := readManifests("f.yaml", strings.NewReader(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			got := read{Others: f.others}
			for _, s := range f.segments {
				got.Names = append(got.Names, s.Name)
			}
			if len(f.mistakes) > 0 {
				got.Mistakes = strings.Split(strings.ReplaceAll(f.complaint().Error(), "f.yaml:", ""), "\n")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if _, err := readManifests("f.yaml", strings.NewReader(strings.Repeat("#", maxManifestBytes+1))); err == nil {
		t.Error("a file without end was read")
	}
}
