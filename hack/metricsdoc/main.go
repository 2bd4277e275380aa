// Command metricsdoc writes docs/metrics.md from the metrics that operator, workers and servers declare. With --json it
// writes every metric that they serve, those of libraries too, for the test of dashboards and alerts.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/tertulia-crm/tertulia/controllers"
	"github.com/tertulia-crm/tertulia/internal/metrics"
	"github.com/tertulia-crm/tertulia/internal/server"
	"github.com/tertulia-crm/tertulia/internal/work"
)

func main() {
	output := flag.String("output", "docs/metrics.md", "file to write; - is the standard output")
	asJSON := flag.Bool("json", false, "write every metric as JSON in place of the document")
	flag.Parse()
	if err := run(*output, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "metricsdoc:", err)
		os.Exit(1)
	}
}

func run(output string, asJSON bool) error {
	rows, err := declared()
	if err != nil {
		return err
	}
	write := func(w io.Writer) error { return document(w, rows) }
	if asJSON {
		write = func(w io.Writer) error { return everything(w, rows) }
	}
	if output == "-" {
		return write(os.Stdout)
	}
	var text strings.Builder
	if err := write(&text); err != nil {
		return err
	}
	return os.WriteFile(output, []byte(text.String()), 0o644) //nolint:gosec // a document for everybody
}

// row is a metric with the processes that serve it.
type row struct {
	metrics.Definition
	processes []string
}

func declared() ([]row, error) {
	sets := map[string]*metrics.Set{
		"operator": controllers.NewMetrics().Set, "worker": work.NewMetrics().Set, "server": server.NewMetrics().Set,
	}
	var rows []row
	for _, process := range []string{"operator", "worker", "server"} {
		sets[process].BuildInfo(process, "")
		for _, d := range sets[process].Definitions() {
			at := slices.IndexFunc(rows, func(r row) bool { return r.Name == d.Name })
			if at < 0 {
				rows = append(rows, row{d, []string{process}})
				continue
			}
			if !reflect.DeepEqual(rows[at].Definition, d) {
				return nil, fmt.Errorf("%s means one thing in the %s and another in the %s", d.Name, rows[at].processes[0], process)
			}
			rows[at].processes = append(rows[at].processes, process)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.Name, b.Name) })
	return rows, nil
}

const head = `# Metrics

What operator, workers and servers tell Prometheus, made from their declarations by ` + "`make generate`" + `. [sre.md](sre.md) says where
they are served and to whom, [runbooks](runbooks) what to do when one of them gives an alarm.

Units are seconds, bytes and numbers of things. No label names a person, an address or a path. What a worker finds in a database
(everything but what it counts itself) is the same for every worker of a tenant: take the maximum over workers, and not the sum.

| metric | type | unit | labels | process | meaning |
|---|---|---|---|---|---|
`

func document(w io.Writer, rows []row) error {
	var b strings.Builder
	b.WriteString(head)
	used := map[string]bool{}
	for _, r := range rows {
		labels := make([]string, 0, len(r.Labels))
		for _, l := range r.Labels {
			used[l] = true
			labels = append(labels, "`"+l+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n",
			r.Name, r.Type, r.Unit(), strings.Join(labels, ", "), strings.Join(r.processes, ", "), cell(r.Help))
	}
	b.WriteString("\n## Labels\n\n| label | holds |\n|---|---|\n")
	for label := range metrics.Labels {
		if !used[label] {
			return fmt.Errorf("label %q is allowed and no metric has it", label)
		}
	}
	for _, label := range sortedKeys(used) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", label, cell(metrics.Labels[label]))
	}
	b.WriteString("\nBeside these, every process serves the Go runtime's and its own (`go_*`, `process_*`), and the operator controller-runtime's " +
		"(`controller_runtime_*`, `workqueue_*`, `rest_client_*`).\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// served is a metric as a query may name it.
type served struct {
	Type   string   `json:"type,omitempty"` // "" where a library does not tell
	Labels []string `json:"labels"`
}

func everything(w io.Writer, rows []row) error {
	all := map[string]served{}
	libraries, err := metrics.Registry()
	if err != nil {
		return err
	}
	for _, c := range []any{libraries, ctrlmetrics.Registry} {
		collector, ok := c.(prometheus.Collector)
		if !ok {
			return fmt.Errorf("%T does not tell what it collects", c)
		}
		for _, d := range describe(collector) {
			name, labels, err := parse(d)
			if err != nil {
				return err
			}
			all[name] = served{Labels: labels}
		}
	}
	for _, r := range rows {
		all[r.Name] = served{Type: string(r.Type), Labels: append([]string{}, r.Labels...)}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}

func describe(c prometheus.Collector) []*prometheus.Desc {
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		c.Describe(descriptions)
	}()
	var all []*prometheus.Desc
	for d := range descriptions {
		all = append(all, d)
	}
	return all
}

// A description tells its name and its labels in its text alone.
var described = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", .*, variableLabels: \{([^}]*)\}\}$`)

func parse(d *prometheus.Desc) (name string, labels []string, err error) {
	parts := described.FindStringSubmatch(d.String())
	if parts == nil {
		return "", nil, fmt.Errorf("cannot read the description %s", d)
	}
	labels = []string{}
	for _, label := range strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' || r == ' ' }) {
		labels = append(labels, strings.TrimSuffix(strings.TrimPrefix(label, "c("), ")"))
	}
	return parts[1], labels, nil
}
