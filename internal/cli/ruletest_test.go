package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

const ruleTypes = `apiVersion: crm.tertulia.dev/v1alpha1
kind: RecordType
metadata: {name: contact}
spec:
  attributes:
  - {name: plan, type: String, enum: [free, club]}
  - {name: first_name, type: String, personal: true}
---
apiVersion: crm.tertulia.dev/v1alpha1
kind: EventType
metadata: {name: purchase}
spec: {properties: [{name: amount, type: Decimal}]}
---
apiVersion: crm.tertulia.dev/v1alpha1
kind: CRMTenant
metadata: {name: default}
spec: {timeZone: Europe/Madrid}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: purchase}
`

const ruleManifest = `apiVersion: crm.tertulia.dev/v1alpha1
kind: AutomationRule
metadata: {name: review}
spec:
  trigger: {event: purchase}
  when: event.amount >= 20.0 && has(contact.first_name)
  steps:
  - name: ten-days
    wait: {for: 10d}
  - name: evening
    wait: {until: {timeOfDay: "18:30", weekdays: [Monday]}}
  - name: club
    if: contact.plan == "club"
    then: mark
    else: done
  - {name: mark, tag: reviewer}
  - {name: done, exit: {reason: asked}}
`

// ruleFolder has a folder with a rule and its types, and events beside it.
func ruleFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// runRule runs `tertulia rule` with arguments, in which DIR is the folder.
func runRule(t *testing.T, folder, input string, arguments ...string) (out, told string, err error) {
	t.Helper()
	for i := range arguments {
		arguments[i] = strings.ReplaceAll(arguments[i], "DIR", folder)
	}
	cmd := NewRuleCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetIn(strings.NewReader(input))
	cmd.SetArgs(arguments)
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

func TestRuleTest(t *testing.T) {
	folder := ruleFolder(t, map[string]string{
		"rules/review.yaml": ruleManifest, "rules/broken.yaml": "a: [", "crm/types.yaml": ruleTypes,
		"club.json":  `{"event": "purchase", "at": "2027-03-21T10:00:00Z", "fields": {"amount": 49.5}, "contact": {"attributes": {"plan": "club", "first_name": "Ana"}}}`,
		"cheap.json": `{"at": "2027-03-21T10:00:00Z", "fields": {"amount": 5}, "contact": {"attributes": {"first_name": "Ana"}}}`,
		"wrong.json": `{"fields": {"amuont": 5}}`,
	})
	out, told, err := runRule(t, folder, "", "test", "DIR/rules/review.yaml", "--with", "DIR/crm,DIR/rules", "--event", "DIR/club.json")
	if err != nil {
		t.Fatal(err)
	}
	want := `Rule review begins.
    event.amount >= 20.0 holds: event.amount is 49.5
    has(contact.first_name) holds

Sun 2027-03-21 11:00   ten-days   wait 10d                  waits
Wed 2027-03-31 12:00   ten-days   wait 10d                  over
Wed 2027-03-31 12:00   evening    wait until Monday 18:30   waits
Mon 2027-04-05 18:30   evening    wait until Monday 18:30   over
Mon 2027-04-05 18:30   club       if contact.plan == "club"   yes
    contact.plan == "club" holds: contact.plan is "club"
Mon 2027-04-05 18:30   mark       tag reviewer              would be done
Mon 2027-04-05 18:30   done       exit: asked               leaves

It is over: asked.
`
	if squeezed(out) != squeezed(want) {
		t.Errorf("-want +got:\n%s", cmp.Diff(want, out))
	}
	if !strings.Contains(told, "broken.yaml is left out") {
		t.Errorf("what could not be read is not told: %s", told)
	}
	out, _, err = runRule(t, folder, "", "test", "DIR/rules/review.yaml", "--with", "DIR/crm", "--event", "DIR/club.json", "--at", "2027-04-01T00:00:00Z")
	if err != nil || !strings.HasSuffix(out, "\nIt waits for Mon 2027-04-05 18:30.\n") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = runRule(t, folder, "", "test", "DIR/rules/review.yaml", "--with", "DIR/crm", "--event", "DIR/cheap.json")
	var verdict *verdictError
	if !errors.As(err, &verdict) || verdict.status != 1 || out != "Rule review does not begin:\n    event.amount >= 20.0 does not hold: event.amount is 5\n" {
		t.Errorf("%v\n%s", err, out)
	}
	// As JSON, with all that is needed in the standard input.
	out, _, err = runRule(t, folder, ruleTypes+"---\n"+ruleManifest, "test", "-", "--event", "DIR/club.json", "-o", "json")
	var trial automate.Trial
	if err != nil || json.Unmarshal([]byte(out), &trial) != nil || len(trial.Steps) != 7 || trial.Status != automate.Exited || strings.Contains(out, "Ana") {
		t.Errorf("%v\n%s", err, out)
	}
}

// squeezed leaves out how wide columns are.
func squeezed(text string) string {
	for strings.Contains(text, "  ") {
		text = strings.ReplaceAll(text, "  ", " ")
	}
	return text
}

func TestRuleTestRefuses(t *testing.T) {
	folder := ruleFolder(t, map[string]string{
		"rules/review.yaml": ruleManifest, "crm/types.yaml": ruleTypes, "none.yaml": ruleTypes, "two.yaml": ruleManifest + "---\n" + strings.ReplaceAll(ruleManifest, "review}", "other}"),
		"unknown.yaml": strings.ReplaceAll(ruleManifest, "steps:", "stesp:"), "duration.yaml": strings.ReplaceAll(ruleManifest, "10d", "ten days"),
		"wrong.yaml": strings.ReplaceAll(strings.ReplaceAll(ruleManifest, "else: done", "else: dnoe"), "contact.plan", "contact.paln"),
		"event.json": `{}`, "wrong.json": `{"fields": {"amuont": 5}}`,
	})
	for name, c := range map[string]struct {
		arguments []string
		want      []string
	}{
		"no types":     {[]string{"DIR/rules/review.yaml", "--event", "DIR/event.json"}, []string{`rule "review" cannot be carried out:`, `no event and no EventType "purchase"`, "by --with"}},
		"mistakes":     {[]string{"DIR/wrong.yaml", "--with", "DIR/crm", "--event", "DIR/event.json"}, []string{`step "club", if:1:9: contact has no attribute "paln": did you mean "plan"?`, `step "club", else: there is no step "dnoe": did you mean "done"?`}},
		"a field":      {[]string{"DIR/unknown.yaml", "--event", "DIR/event.json"}, []string{`document 1: AutomationRule "review"`, `unknown field "stesp"`}},
		"a duration":   {[]string{"DIR/duration.yaml", "--with", "DIR/crm", "--event", "DIR/event.json"}, []string{"ten days", "must be a duration"}},
		"no rule":      {[]string{"DIR/none.yaml", "--event", "DIR/event.json"}, []string{"none.yaml has no AutomationRule"}},
		"which":        {[]string{"DIR/two.yaml", "--event", "DIR/event.json"}, []string{"has several rules (review, other): say which by --rule"}},
		"not there":    {[]string{"DIR/two.yaml", "--rule", "othr", "--event", "DIR/event.json"}, []string{`has no rule "othr": did you mean "other"?`}},
		"wrong event":  {[]string{"DIR/rules/review.yaml", "--with", "DIR/crm", "--event", "DIR/wrong.json"}, []string{`wrong.json: fields: event has no field "amuont": did you mean "amount"?`}},
		"no time":      {[]string{"DIR/rules/review.yaml", "--event", "DIR/event.json", "--at", "tomorrow"}, []string{`--at "tomorrow" is no time`}},
		"no file":      {[]string{"DIR/gone.yaml", "--event", "DIR/event.json"}, []string{"no such file"}},
		"no folder":    {[]string{"DIR/rules/review.yaml", "--with", "DIR/gone", "--event", "DIR/event.json"}, []string{"look for types in"}},
		"both":         {[]string{"-", "--event", "-"}, []string{"the standard input is one document"}},
		"without it":   {[]string{"DIR/rules/review.yaml"}, []string{"event"}},
		"other output": {[]string{"DIR/rules/review.yaml", "--event", "DIR/event.json", "-o", "xml"}, []string{"--output"}},
	} {
		_, _, err := runRule(t, folder, "", append([]string{"test"}, c.arguments...)...)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s says %v\nwant: %s", name, err, want)
			}
		}
	}
}

// TestRuleTestAs tries a rule with a contact of the tenant.
func TestRuleTestAs(t *testing.T) {
	folder := ruleFolder(t, map[string]string{
		"rules/review.yaml": ruleManifest, "crm/types.yaml": ruleTypes, "buys.json": `{"at": "2027-03-21T10:00:00Z", "fields": {"amount": 49.5}}`,
		"other.json": `{"fields": {"amount": 49.5}, "contact": {}}`,
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/contacts/ana/sample" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(`{"id": "ana", "time_zone": "America/Lima", "created_at": "2026-01-01T00:00:00Z", "tags": ["vip"],
			"attributes": {"plan": "club", "first_name": "Ana", "nobody_declares": 3}, "segments": [], "consents": ["newsletter"], "identifiers": ["email"],
			"events": [{"event": "purchase", "at": "2027-01-01T00:00:00Z", "fields": {"amount": 3, "more": true}}, {"event": "unknown", "at": "2027-01-01T00:00:00Z", "fields": {}}],
			"messages": [{"what": "opened", "campaign": "spring", "at": "2027-01-01T00:00:00Z"}]}`))
	}))
	defer server.Close()
	t.Setenv("TERTULIA_TOKEN", "secret")
	as := func(contact, event string, more ...string) (string, error) {
		args := append([]string{"test", "DIR/rules/review.yaml", "--with", "DIR/crm", "--as", contact, "--server", server.URL}, more...)
		if event != "" {
			args = append(args, "--event", event)
		}
		out, _, err := runRule(t, folder, "", args...)
		return out, err
	}
	out, err := as("ana", "DIR/buys.json")
	if err != nil || !strings.Contains(out, "Mon 2027-04-05 18:30   mark       tag reviewer") || !strings.Contains(out, `contact.plan is "club"`) || strings.Contains(out, "Ana") {
		t.Errorf("%v\n%s", err, out)
	}
	// What happened is not told: the condition asks for it.
	var verdict *verdictError
	if out, err = as("ana", ""); !errors.As(err, &verdict) || !strings.Contains(out, "event.amount >= 20.0 does not hold") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err = as("ana", "DIR/other.json"); err == nil || !strings.Contains(err.Error(), "--as names another") {
		t.Error(err)
	}
	if _, err = as("bea", "DIR/buys.json"); err == nil || !strings.Contains(err.Error(), "read the contact") {
		t.Error(err)
	}
	if _, _, err = runRule(t, folder, "", "test", "DIR/rules/review.yaml"); err == nil || !strings.Contains(err.Error(), "event as") {
		t.Error(err)
	}
}

func TestRuleGraph(t *testing.T) {
	folder := ruleFolder(t, map[string]string{"rules/review.yaml": ruleManifest, "crm/types.yaml": ruleTypes})
	fromFile, _, err := runRule(t, folder, "", "graph", "DIR/rules/review.yaml", "--with", "DIR/crm")
	if err != nil || !strings.HasPrefix(fromFile, "flowchart TD\n  on([\"purchase\"])\n") || !strings.Contains(fromFile, "s2 -->|\"yes\"| s3") {
		t.Fatalf("%v\n%s", err, fromFile)
	}
	files, err := readRuleFiles(nil, filepath.Join(folder, "rules/review.yaml"), []string{filepath.Join(folder, "crm")})
	if err != nil {
		t.Fatal(err)
	}
	_, plan, err := files.rule("", "")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/rules/review" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "review", "definition": plan.Rule})
	}))
	defer server.Close()
	t.Setenv("TERTULIA_TOKEN", "secret")
	inForce, _, err := runRule(t, folder, "", "graph", "review", "--server", server.URL)
	if err != nil || inForce != fromFile {
		t.Errorf("%v\n%s", err, cmp.Diff(fromFile, inForce))
	}
	if _, _, err := runRule(t, folder, "", "graph", "gone", "--server", server.URL); err == nil {
		t.Error("a rule that is not there is drawn")
	}
}
