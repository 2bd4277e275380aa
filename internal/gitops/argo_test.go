package gitops

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// argoFolder is what a platform team takes from us for Argo CD.
var argoFolder = filepath.Join("..", "..", "config", "gitops", "argocd")

// healthKey begins the keys of argocd-cm that hold health checks.
const healthKey = "resource.customizations.health."

// healthScripts reads the patch of argocd-cm: a script for each <group>_<Kind>.
func healthScripts(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(argoFolder, "health", "argocd-cm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var patch corev1.ConfigMap
	if err := yaml.UnmarshalStrict(content, &patch); err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{}
	for key, script := range patch.Data {
		kind, ok := strings.CutPrefix(key, healthKey)
		if !ok {
			t.Errorf("the patch has the key %q, which is no health check", key)
		}
		scripts[kind] = script
	}
	return scripts
}

// argoHealth is what Argo CD makes of an object: its own answer where the object is being deleted, else the script's.
func argoHealth(t *testing.T, o *unstructured.Unstructured) (health, message string) {
	t.Helper()
	if o.GetDeletionTimestamp() != nil {
		return "Progressing", "Pending deletion"
	}
	kind := o.GroupVersionKind().Group + "_" + o.GetKind()
	script, ok := healthScripts(t)[kind]
	if !ok {
		t.Fatalf("there is no health check of %s", kind)
	}
	health, message, err := runHealth(t.Context(), script, o)
	if err != nil {
		t.Fatalf("%s: %v\n%v", kind, err, o.Object)
	}
	return health, message
}

// runHealth runs a script as Argo CD does: without the libraries of Lua but for the base, the table's and package's,
// in bounded time, with the object as the global obj. Argo CD gives it a second, for which a busy machine may stand still.
func runHealth(ctx context.Context, script string, o *unstructured.Unstructured) (health, message string, err error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			return "", "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", luaValue(state, o.Object))
	if err := state.DoString(script); err != nil {
		return "", "", err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("the script returns a %s, and no table", state.Get(-1).Type())
	}
	values := map[string]string{}
	for _, field := range []string{"status", "message"} {
		text, ok := state.GetField(table, field).(lua.LString)
		if !ok {
			return "", "", fmt.Errorf("the script's %s is a %s, and no string", field, state.GetField(table, field).Type())
		}
		values[field] = string(text)
	}
	switch values["status"] {
	case "Healthy", "Progressing", "Suspended", "Degraded":
		return values["status"], values["message"], nil
	}
	return "", "", fmt.Errorf("the script says %q, which Argo CD does not know", values["status"])
}

func luaValue(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.CreateTable(len(value), 0)
		for _, item := range value {
			table.Append(luaValue(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetH(lua.LString(key), luaValue(state, item))
		}
		return table
	}
	return lua.LNil
}

// TestEveryKindHasItsHealthCheck compares the patch with the kinds and the scripts that it is made of.
func TestEveryKindHasItsHealthCheck(t *testing.T) {
	scripts := healthScripts(t)
	want := map[string]string{"argoproj.io_Application": "application.lua"}
	for _, o := range documents(t, veloYAML) {
		if ours(o) {
			want[v1alpha1.GroupVersion.Group+"_"+o.GetKind()] = "health.lua"
		}
	}
	if len(scripts) != len(want) {
		t.Errorf("%d health checks, want %d", len(scripts), len(want))
	}
	for kind, file := range want {
		content, err := os.ReadFile(filepath.Join(argoFolder, "health", file))
		if err != nil {
			t.Fatal(err)
		}
		if scripts[kind] != string(content) {
			t.Errorf("the health check of %s is not that of %s: run make generate", kind, file)
		}
	}
}

// TestHealthOfStatuses runs the script on statuses of every shape that the controllers can write.
func TestHealthOfStatuses(t *testing.T) {
	condition := func(kind, status, reason, message string) string {
		return fmt.Sprintf(`{type: %s, status: "%s", reason: %s, message: "%s", observedGeneration: 2}`, kind, status, reason, message)
	}
	ready := condition("Ready", "True", "InForce", "The send is declared.")
	tests := map[string]struct {
		reason          string
		kind, status    string
		health, message string
	}{
		"no status": {"a kind without the default of ours", "Segment", "{}", "Progressing", "The operator has not looked at this version yet."},
		"new":       {"the schema's default", "Segment", "{observedGeneration: -1}", "Progressing", "The operator has not looked at this version yet."},
		"edited": {
			"a verdict of the version before says nothing", "Segment",
			"{observedGeneration: 1, conditions: [{type: Ready, status: 'True', reason: InForce, message: x, observedGeneration: 1}]}",
			"Progressing", "The operator has not looked at this version yet.",
		},
		"edited while the database is away": {
			"the operator has come to no answer and says why", "Segment",
			"{observedGeneration: 1, conditions: [" + condition("Ready", "False", "DatabaseUnavailable", "The operator keeps trying.") + "," +
				condition("Reconciling", "True", "DatabaseUnavailable", "The operator keeps trying.") + "]}",
			"Progressing", "DatabaseUnavailable: The operator keeps trying.",
		},
		"looked at without an answer": {"no condition yet", "Segment", "{observedGeneration: 2}", "Progressing", "The operator has said nothing yet."},
		"waiting": {
			"it heals by itself", "Campaign", "{observedGeneration: 2, conditions: [" + condition("Ready", "False", "SegmentNotFound", "Apply it.") + "]}",
			"Progressing", "SegmentNotFound: Apply it.",
		},
		"a condition without a message": {
			"the reason is enough", "Campaign", "{observedGeneration: 2, conditions: [{type: Ready, status: 'False', reason: SegmentNotFound}]}",
			"Progressing", "SegmentNotFound",
		},
		"building": {
			"a worker is at it", "Segment",
			"{observedGeneration: 2, conditions: [" + condition("Ready", "False", "Building", "Soon.") + "," + condition("Reconciling", "True", "Building", "Soon.") + "]}",
			"Progressing", "Building: Soon.",
		},
		"stalled": {
			"only an edit mends it", "Segment",
			"{observedGeneration: 2, conditions: [" + condition("Ready", "False", "ExpressionInvalid", "Mend it.") + "," + condition("Stalled", "True", "ExpressionInvalid", "Mend it.") + "]}",
			"Degraded", "ExpressionInvalid: Mend it.",
		},
		"in force":  {"nothing is wrong", "EventType", "{observedGeneration: 2, conditions: [" + ready + "]}", "Healthy", "The send is declared."},
		"suspended": {"its author said so", "EventType", "{observedGeneration: 2, conditions: [" + condition("Ready", "True", "Suspended", "At rest.") + "]}", "Suspended", "At rest."},
		"a tenant whose owner runs": {
			"it works, and could be better", "CRMTenant",
			"{observedGeneration: 2, conditions: [" + ready + "," + condition("RuntimeRole", "False", "OwnerRuns", "Add a key.") + "]}",
			"Healthy", "The send is declared. Add a key.",
		},
		"a tenant that is quarantined": {
			"a person must decide, whatever else is said", "CRMTenant",
			"{observedGeneration: 2, conditions: [" + condition("Ready", "True", "Suspended", "x") + "," + condition("Quarantined", "True", "LedgerBehind", "A backup was restored.") + "]}",
			"Degraded", "Quarantined: LedgerBehind: A backup was restored.",
		},
		"a tenant that is permitted": {
			"Quarantined=False is good news", "CRMTenant",
			"{observedGeneration: 2, conditions: [" + ready + "," + condition("Quarantined", "False", "Permitted", "x") + "," + condition("WorkloadsReady", "True", "Running", "x") + "]}",
			"Healthy", "The send is declared.",
		},
		"a tenant whose processes are replaced": {
			"it passes by itself", "CRMTenant",
			"{observedGeneration: 2, conditions: [" + ready + "," + condition("WorkloadsReady", "False", "RollingOut", "One by one.") + "]}",
			"Progressing", "RollingOut: One by one.",
		},
		"a tenant whose image is not there": {
			"a person must mend it", "CRMTenant",
			"{observedGeneration: 2, conditions: [" + ready + "," + condition("WorkloadsReady", "False", "ImageCannotBePulled", "Check it.") + "]}",
			"Degraded", "ImageCannotBePulled: Check it.",
		},
		"a campaign of a quarantined tenant": {
			"nothing is sent until a person decides", "Campaign",
			"{observedGeneration: 2, phase: Sending, conditions: [" + ready + "," + condition("Healthy", "False", "Quarantined", "Its CRMTenant says why.") + "]}",
			"Degraded", "Quarantined: Its CRMTenant says why.",
		},
		"a channel in trouble": {
			"mail waits", "MessageChannel",
			"{observedGeneration: 2, conditions: [" + ready + "," + condition("Healthy", "False", "ChannelTrouble", "The relay refuses AUTH.") + "]}",
			"Degraded", "ChannelTrouble: The relay refuses AUTH.",
		},
		"a channel that is suspended, in trouble": {
			"the trouble will be there when it wakes", "MessageChannel",
			"{observedGeneration: 2, conditions: [" + condition("Ready", "True", "Suspended", "x") + "," + condition("Healthy", "False", "ChannelTrouble", "The relay refuses AUTH.") + "]}",
			"Degraded", "ChannelTrouble: The relay refuses AUTH.",
		},
		"a campaign to come": {
			"it waits for its hour", "Campaign",
			"{observedGeneration: 2, phase: Scheduled, scheduledFor: '2027-03-21T08:00:00Z', conditions: [" + ready + "," + condition("Healthy", "True", "Delivering", "Nothing holds the delivery up.") + "]}",
			"Healthy", "Scheduled for 2027-03-21T08:00:00Z. Nothing holds the delivery up.",
		},
		"a campaign under way": {
			"how far it is", "Campaign",
			"{observedGeneration: 2, phase: Sending, planned: 1000000, sent: 4, failed: 1, ambiguous: 0, skipped: 2, pending: 3, conditions: [" + ready + "," + condition("Healthy", "True", "Delivering", "Fine.") + "]}",
			"Healthy", "Sending: 4 of 1000000 sent, 1 failed, 2 skipped, 3 pending. Fine.",
		},
		"a campaign that is paused": {
			"its author said so", "Campaign",
			"{observedGeneration: 2, phase: Paused, planned: 10, sent: 4, conditions: [" + condition("Ready", "True", "Suspended", "x") + "," + condition("Healthy", "True", "Delivering", "Fine.") + "]}",
			"Suspended", "Paused: 4 of 10 sent. Fine.",
		},
		"a campaign that is held": {
			"a person must decide, and learns of it", "Campaign",
			"{observedGeneration: 2, phase: Held, conditions: [" + ready + "," + condition("Healthy", "False", "AttentionNeeded", "The audience is too large.") + "]}",
			"Degraded", "AttentionNeeded: The audience is too large.",
		},
		"a campaign that is stopped": {
			"the tenant is suspended", "Campaign",
			"{observedGeneration: 2, phase: Sending, conditions: [" + ready + "," + condition("Healthy", "False", "Stopped", "Nothing is sent.") + "]}",
			"Suspended", "Stopped: Nothing is sent.",
		},
		"a campaign that is over, suspended": {
			"nothing is left to suspend", "Campaign",
			"{observedGeneration: 2, phase: Completed, planned: 10, sent: 10, conditions: [" + condition("Ready", "True", "Suspended", "x") + "," + condition("Healthy", "True", "Delivering", "Every outcome is known.") + "]}",
			"Healthy", "Completed: 10 of 10 sent. Every outcome is known.",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := documents(t, fmt.Sprintf("{apiVersion: crm.tertulia.dev/v1alpha1, kind: %s, metadata: {name: x, generation: 2}, status: %s}", tc.kind, tc.status))[0]
			if health, message := argoHealth(t, o); health != tc.health || message != tc.message {
				t.Errorf("%s: got %s %q, want %s %q", tc.reason, health, message, tc.health, tc.message)
			}
		})
	}
}

// TestHealthOfApplications runs the script by which a parent waits for its children in waves.
func TestHealthOfApplications(t *testing.T) {
	tests := map[string]struct {
		reason, status string
		want           string
	}{
		"new":         {"nobody has looked at it", "{}", "Progressing"},
		"progressing": {"the next wave waits", "{health: {status: Progressing}}", "Progressing"},
		"healthy":     {"the next wave begins", "{health: {status: Healthy}}", "Healthy"},
		"suspended":   {"a paused campaign keeps nothing waiting", "{health: {status: Suspended}}", "Healthy"},
		"degraded":    {"what is broken is told above", "{health: {status: Degraded}}", "Degraded"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := documents(t, fmt.Sprintf("{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: x}, status: %s}", tc.status))[0]
			if health, _ := argoHealth(t, o); health != tc.want {
				t.Errorf("got %s, want %s (%s)", health, tc.want, tc.reason)
			}
		})
	}
}
