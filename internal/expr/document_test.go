package expr_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

var (
	exampleBlock = regexp.MustCompile("(?s)```cel\n(.*?)```")
	mistakeRow   = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([0-9]+:[0-9]+: .*?) \\|$")
)

// TestDocument compiles every example of docs/segments.md, and holds its table of mistakes to what is said.
func TestDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/segments.md")
	if err != nil {
		t.Fatal(err)
	}
	schema := velo
	schema.Attributes = append([]crm.Attribute{{Name: "country", Type: crm.String}}, velo.Attributes...)
	schema.Events = append([]crm.EventType{{Name: "site-visit", Properties: []crm.Property{{Name: "page", Type: crm.String}}}}, velo.Events...)

	examples := exampleBlock.FindAllStringSubmatch(string(document), -1)
	if len(examples) < 30 {
		t.Errorf("%d examples, want 30 at least", len(examples))
	}
	for _, example := range examples {
		if _, err := expr.Compile(schema, example[1]); err != nil {
			t.Errorf("%s%v", example[1], err)
		}
	}
	mistakes := mistakeRow.FindAllStringSubmatch(string(document), -1)
	if len(mistakes) < 12 {
		t.Errorf("%d mistakes, want 12 at least", len(mistakes))
	}
	for _, mistake := range mistakes {
		_, err := expr.Compile(schema, mistake[1])
		var failed *expr.Error
		if !errors.As(err, &failed) || strings.TrimSpace(failed.Error()) != mistake[2] {
			t.Errorf("%s\nsays:     %v\ndocument: %s", mistake[1], err, mistake[2])
		}
	}
}
