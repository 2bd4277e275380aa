package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
)

const dashboardsDir = "../../config/monitoring/dashboards"

// dashboard is what a test looks at of a dashboard of Grafana's.
type dashboard struct {
	Title      string  `json:"title"`
	UID        string  `json:"uid"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name  string          `json:"name"`
			Type  string          `json:"type"`
			Query json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		H, W, X, Y int
	} `json:"gridPos"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dashboardsDir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards in %s: %v", dashboardsDir, err)
	}
	all := map[string]dashboard{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

// filled is a panel's query as Grafana would ask it.
func filled(query string) string {
	return strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$tenant", ".*").Replace(query)
}

func TestDashboardsAskForWhatIsServed(t *testing.T) {
	storage := promqltest.LoadedStorage(t, "load 1m\n  up 1x10\n")
	engine := promqltest.NewTestEngine(t, false, 0, 10_000)
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				query := filled(target.Expr)
				if strings.Contains(query, "$") {
					t.Errorf("%s, %q: a variable is not known: %s", file, p.Title, query)
				}
				check(t, query)
				asked, err := engine.NewInstantQuery(context.Background(), storage, nil, query, time.Unix(600, 0))
				if err == nil {
					err = asked.Exec(context.Background()).Err
				}
				if err != nil {
					t.Errorf("%s, %q: %v", file, p.Title, err)
				}
			}
		}
	}
}

var legendLabel = regexp.MustCompile(`{{\s*([a-z_]+)\s*}}`)

// A legend shows labels that its query keeps.
func TestLegendsShowLabelsThatAreThere(t *testing.T) {
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				expression, err := queries.ParseExpr(filled(target.Expr))
				if err != nil {
					t.Fatalf("%s, %q: %v", file, p.Title, err)
				}
				kept := keptLabels(expression)
				for _, label := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
					if kept != nil && !slices.Contains(kept, label[1]) && !strings.Contains(target.Expr, "group_left") {
						t.Errorf("%s, %q: the legend shows %q, which its query drops", file, p.Title, label[1])
					}
				}
			}
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\(([a-z_]+), ([a-z_]+)\)$`)

func TestDashboardsAreWhole(t *testing.T) {
	all, err := served()
	if err != nil {
		t.Fatal(err)
	}
	for file, d := range dashboards(t) {
		if d.Title == "" || d.UID == "" {
			t.Errorf("%s has no title or no uid", file)
		}
		for _, v := range d.Templating.List {
			var asked struct{ Query string }
			if v.Type != "query" {
				continue
			}
			if err := json.Unmarshal(v.Query, &asked); err != nil {
				t.Fatal(err)
			}
			parts := labelValues.FindStringSubmatch(asked.Query)
			if parts == nil || !slices.Contains(all[parts[1]].Labels, parts[2]) {
				t.Errorf("%s: variable %q asks for what nobody serves: %s", file, v.Name, asked.Query)
			}
		}
		taken := map[string]string{}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.Title == "" {
				t.Errorf("%s, %q: its id is another panel's, or it has no title", file, p.Title)
			}
			ids[p.ID] = true
			if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}") {
				t.Errorf("%s, %q: it says not what it shows, shows nothing, or not from the chosen source", file, p.Title)
			}
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					at := fmt.Sprint(x, ",", y)
					if other, ok := taken[at]; ok || x >= 24 {
						t.Errorf("%s: %q lies over %q, or beside the page", file, p.Title, other)
					}
					taken[at] = p.Title
				}
			}
		}
	}
}

// What is declared and neither shown nor watched is a metric that nobody looks at.
func TestEveryMetricIsShownOrWatched(t *testing.T) {
	all, err := served()
	if err != nil {
		t.Fatal(err)
	}
	var asked strings.Builder
	for _, r := range rules(t) {
		asked.WriteString(r.Expr + "\n")
	}
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				asked.WriteString(target.Expr + "\n")
			}
		}
	}
	for name := range all {
		if strings.HasPrefix(name, "tertulia_") && !regexp.MustCompile(`\b`+name+`(_bucket)?\b`).MatchString(asked.String()) {
			t.Errorf("no dashboard and no alert asks for %s", name)
		}
	}
}
