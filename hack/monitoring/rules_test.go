package monitoring

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	rulesDir   = "../../config/monitoring/rules"
	runbooks   = "../../docs/runbooks"
	runbookURL = "https://github.com/tertulia-crm/tertulia/blob/main/docs/runbooks/"
)

var queries = parser.NewParser(parser.Options{})

// metric is one that is served, with the labels that the program gives it.
type metric struct {
	Type   string   `json:"type"`
	Labels []string `json:"labels"`
}

// served asks the program which metrics its processes serve.
var served = sync.OnceValues(func() (map[string]metric, error) {
	command := exec.Command("go", "run", "./hack/metricsdoc", "--json", "--output", "-")
	command.Dir, command.Stderr = "../..", os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, err
	}
	all := map[string]metric{}
	return all, json.Unmarshal(out, &all)
})

// Labels that Prometheus gives to everything that it scrapes from pods.
var targetLabels = []string{"namespace", "pod", "container", "instance", "job", "endpoint", "service"}

// check finds the metrics and labels of a query that nothing serves.
func check(t *testing.T, query string) {
	t.Helper()
	all, err := served()
	if err != nil {
		t.Fatalf("ask which metrics are served: %v", err)
	}
	expression, err := queries.ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v", query, err)
		return
	}
	known := slices.Clone(targetLabels)
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		m, ok := find(all, selector.Name)
		if !ok {
			t.Errorf("%s: no process serves %q", query, selector.Name)
			return nil
		}
		has := slices.Concat(m.Labels, targetLabels)
		known = append(known, m.Labels...)
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name != model.MetricNameLabel && !slices.Contains(has, matcher.Name) {
				t.Errorf("%s: %s has no label %q", query, selector.Name, matcher.Name)
			}
		}
		return nil
	})
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		var named []string
		switch n := node.(type) {
		case *parser.AggregateExpr:
			named = n.Grouping
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				named = slices.Concat(n.VectorMatching.MatchingLabels, n.VectorMatching.Include)
			}
		}
		for _, label := range named {
			if !slices.Contains(known, label) && label != "le" {
				t.Errorf("%s: nothing in it has a label %q", query, label)
			}
		}
		return nil
	})
}

// find finds a metric by the name of one of its series.
func find(all map[string]metric, series string) (metric, bool) {
	if m, ok := all[series]; ok {
		return m, m.Type != "histogram"
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if m, ok := all[strings.TrimSuffix(series, suffix)]; ok && strings.HasSuffix(series, suffix) && (m.Type == "histogram" || m.Type == "") {
			return metric{m.Type, append(slices.Clone(m.Labels), "le")}, true
		}
	}
	return metric{Labels: nil}, series == "up"
}

// rules reads every rule, as Prometheus would.
func rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(rulesDir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules in %s: %v", rulesDir, err)
	}
	var all []rulefmt.Rule
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		groups, errs := rulefmt.Parse(content, false, model.UTF8Validation, queries, slog.New(slog.DiscardHandler))
		for _, err := range errs {
			t.Errorf("%s: %v", file, err)
		}
		if groups == nil {
			t.FailNow()
		}
		for _, g := range groups.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

func TestRulesAskForWhatIsServed(t *testing.T) {
	for _, r := range rules(t) {
		check(t, r.Expr)
	}
}

// Whoever is woken finds what the alert means, how to look, what to do, and that somebody has tried it.
func TestEveryAlertHasItsPage(t *testing.T) {
	pages := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		name, ok := strings.CutPrefix(r.Alert, "Tertulia")
		if !ok {
			t.Errorf("alert %s: its name does not begin with Tertulia", r.Alert)
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("alert %s: severity %q is neither critical nor warning", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("alert %s: summary or description is missing", r.Alert)
		}
		if r.Annotations["runbook_url"] != runbookURL+name+".md" {
			t.Errorf("alert %s: runbook_url is %q", r.Alert, r.Annotations["runbook_url"])
		}
		page, err := os.ReadFile(filepath.Join(runbooks, name+".md"))
		if err != nil {
			t.Errorf("alert %s: %v", r.Alert, err)
			continue
		}
		pages[name] = true
		at := 0
		for _, part := range []string{"# " + name + "\n", "\n## Meaning\n", "\n## How to look\n", "\n## What to do\n", "\n## How it was tried\n"} {
			next := strings.Index(string(page)[at:], part)
			if next < 0 {
				t.Errorf("%s.md: %q is missing or out of its place", name, strings.TrimSpace(part))
				break
			}
			at += next
		}
	}
	if len(pages) == 0 {
		t.Error("there is no alert")
	}
}

// A label that an annotation shows must be one that the expression keeps.
func TestAnnotationsShowLabelsThatAreThere(t *testing.T) {
	for _, r := range rules(t) {
		expression, err := queries.ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		kept := keptLabels(expression)
		for key, text := range r.Annotations {
			for _, part := range strings.Split(text, "$labels.")[1:] {
				label := part[:strings.IndexFunc(part+" ", func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') })]
				if kept != nil && !slices.Contains(kept, label) {
					t.Errorf("alert %s: %s shows label %q, which its expression drops", r.Alert, key, label)
				}
			}
		}
	}
}

// keptLabels are the labels of an expression's result; nil where it keeps all.
func keptLabels(e parser.Expr) []string {
	switch e := e.(type) {
	case *parser.AggregateExpr:
		if e.Without {
			return nil
		}
		return e.Grouping
	case *parser.BinaryExpr:
		if kept := keptLabels(e.LHS); kept != nil {
			return kept
		}
		return keptLabels(e.RHS)
	case *parser.ParenExpr:
		return keptLabels(e.Expr)
	}
	return nil
}
