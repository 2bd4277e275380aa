package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/automationrule"
	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// maxFiles bounds how many files are looked through for types.
const maxFiles = 1000

// ruleFiles are the rules of one file, and what other manifests say of the types that they speak of.
type ruleFiles struct {
	rules  []v1alpha1.AutomationRule
	schema crm.Schema
	zone   string   // the tenant's
	left   []string // what could not be read, beside the file itself
}

// ruleSource says where rules and types are read from.
type ruleSource struct {
	name string // which of the file's rules; "" for the only one
	with []string
}

// readRuleFiles reads a file of rules, "-" for the standard input, and the types in other files: those of its folder, unless others are named.
func readRuleFiles(in io.Reader, file string, with []string) (*ruleFiles, error) {
	f := &ruleFiles{zone: "UTC"}
	content, err := readDocument(in, file)
	if err != nil {
		return nil, err
	}
	if err := f.documents(content, true); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(with) == 0 && file != "-" {
		with = []string{filepath.Dir(file)}
	}
	for _, path := range with {
		if err := f.others(path, file); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// readDocument reads a file, or the standard input where it is "-".
func readDocument(in io.Reader, name string) ([]byte, error) {
	if name != "-" {
		opened, err := os.Open(name) //nolint:gosec // whoever runs this names it
		if err != nil {
			return nil, fmt.Errorf("read the manifests: %w", err)
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	content, err := io.ReadAll(io.LimitReader(in, maxManifestBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(content) > maxManifestBytes:
		return nil, fmt.Errorf("read %s: it has more than %d bytes", name, maxManifestBytes)
	}
	return content, nil
}

// others looks through a file or a folder for types.
func (f *ruleFiles) others(path, except string) error {
	files := 0
	err := filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && at != path:
			return fs.SkipDir
		case entry.IsDir() || at != path && !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(at)) || filepath.Clean(except) == filepath.Clean(at):
			return nil
		case files == maxFiles:
			return fmt.Errorf("it has more than %d manifests: name the files of the types", maxFiles)
		}
		files++
		content, err := readDocument(nil, at)
		if err == nil {
			err = f.documents(content, false)
		}
		if err != nil {
			f.left = append(f.left, fmt.Sprintf("%s is left out: %s", at, err))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for types in %s: %w", path, err)
	}
	return nil
}

// documents takes the documents of a file: of rules only where they are asked for.
func (f *ruleFiles) documents(content []byte, rules bool) error {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for number := 1; ; number++ {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f.document(text, rules)
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", number, err)
		}
	}
}

// document takes one document.
func (f *ruleFiles) document(text []byte, rules bool) error {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(text, &head); err != nil {
		return err
	}
	if head.APIVersion != v1alpha1.GroupVersion.String() {
		return nil
	}
	switch head.Kind {
	case "AutomationRule":
		if !rules {
			return nil
		}
		var rule v1alpha1.AutomationRule
		if err := yaml.UnmarshalStrict(text, &rule); err != nil {
			const before = "error unmarshaling JSON: while decoding JSON: json: "
			return fmt.Errorf("AutomationRule %q: %s", head.Metadata.Name, strings.TrimPrefix(err.Error(), before))
		}
		f.rules = append(f.rules, rule)
	case "RecordType":
		if head.Metadata.Name == "contact" {
			return f.contact(text)
		}
	case "EventType":
		return f.eventType(text)
	case "ConsentPolicy":
		return f.purposes(text)
	case "CRMTenant":
		var tenant v1alpha1.CRMTenant
		if err := yaml.Unmarshal(text, &tenant); err != nil {
			return err
		}
		f.zone = tenant.Spec.TimeZoneOrDefault()
	}
	return nil
}

func (f *ruleFiles) contact(text []byte) error {
	var record v1alpha1.RecordType
	if err := yaml.Unmarshal(text, &record); err != nil {
		return err
	}
	for _, a := range record.Spec.Attributes {
		f.schema.Attributes = append(f.schema.Attributes, crm.Attribute{
			Name: string(a.Name), Type: crm.ValueType(a.Type), Enum: a.Enum, Indexed: a.Indexed, Personal: a.Personal, Role: crm.Role(a.Role),
		})
	}
	return nil
}

func (f *ruleFiles) eventType(text []byte) error {
	var declared v1alpha1.EventType
	if err := yaml.Unmarshal(text, &declared); err != nil {
		return err
	}
	event := crm.EventType{Name: declared.Name}
	for _, p := range declared.Spec.Properties {
		event.Properties = append(event.Properties, crm.Property{Name: string(p.Name), Type: crm.ValueType(p.Type)})
	}
	f.schema.Events = append(f.schema.Events, event)
	return nil
}

func (f *ruleFiles) purposes(text []byte) error {
	var policy v1alpha1.ConsentPolicy
	if err := yaml.Unmarshal(text, &policy); err != nil {
		return err
	}
	for _, p := range policy.Spec.Purposes {
		f.schema.Purposes = append(f.schema.Purposes, string(p.Name))
	}
	return nil
}

// rule is the one of a name, or the only one, with what is wrong with it.
func (f *ruleFiles) rule(file, name string) (string, *automate.Plan, error) {
	var names []string
	for i := range f.rules {
		r := &f.rules[i]
		names = append(names, r.Name)
		if r.Name != name && (name != "" || len(f.rules) > 1) {
			continue
		}
		read, err := automationrule.Read(&r.Spec)
		if err != nil {
			return "", nil, fmt.Errorf("rule %q: %w", r.Name, err)
		}
		if s := read.On.Schedule; s != nil && s.TimeZone == "" {
			s.TimeZone = f.zone
		}
		plan, err := automate.Compile(read, automate.Known{Name: r.Name, Schema: f.schema})
		if err != nil {
			return "", nil, f.complaint(r.Name, err)
		}
		return r.Name, plan, nil
	}
	switch {
	case len(names) == 0:
		return "", nil, fmt.Errorf("%s has no AutomationRule", file)
	case name == "":
		return "", nil, fmt.Errorf("%s has several rules (%s): say which by --rule", file, strings.Join(names, ", "))
	}
	return "", nil, fmt.Errorf("%s has no rule %q%s", file, name, crm.DidYouMean(name, names))
}

// complaint tells what is wrong with a rule, a line for each.
func (f *ruleFiles) complaint(name string, err error) error {
	lines := []string{fmt.Sprintf("rule %q cannot be carried out:", name)}
	var failed *automate.Error
	if !errors.As(err, &failed) {
		return fmt.Errorf("%s %w", lines[0], err)
	}
	for _, issue := range failed.Issues {
		lines = append(lines, "  "+issue.String())
	}
	if len(f.schema.Attributes) == 0 || len(f.schema.Events) == 0 {
		lines = append(lines, "No types of contacts or events were found beside it: name their files or folders by --with.")
	}
	return errors.New(strings.Join(lines, "\n"))
}
