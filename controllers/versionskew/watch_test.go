package versionskew

import (
	"context"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

func TestMain(m *testing.M) { controlplanetest.Main(m) }

// numbers are what a watcher was told of a kind.
type numbers struct{ unknown, missing int }

// An operator whose definitions are the API server's, and two others of which one is older and one newer.
func TestWatcherTellsWhatEitherSideDoesNotKnow(t *testing.T) {
	plane := controlplanetest.Shared(t)
	same := map[string]numbers{
		"CRMTenant": {}, "RecordType": {}, "EventType": {}, "MessageChannel": {}, "MessageTemplate": {}, "Segment": {}, "Campaign": {}, "SendPolicy": {}, "ConsentPolicy": {},
		"SocialSource": {}, "Monitor": {}, "AutomationRule": {}, "ServiceQueue": {},
	}
	with := func(kind string, n numbers) map[string]numbers {
		differing := map[string]numbers{}
		for k, v := range same {
			differing[k] = v
		}
		differing[kind] = n
		return differing
	}
	for name, test := range map[string]struct {
		change func(schema map[string]any)
		want   map[string]numbers
	}{
		"the same": {func(map[string]any) {}, same},
		// Its definition lacks a field of the spec and one within it, which the API server takes.
		"an older operator": {func(s map[string]any) { delete(below(s, "spec"), "schedule") }, with("Campaign", numbers{unknown: scheduleFields(t)})},
		// Its definition has a field and two values more than the API server's.
		"a newer operator": {func(s map[string]any) {
			below(s, "spec")["mood"] = map[string]any{"type": "string", "enum": []any{"gay", "grave"}}
		}, with("Campaign", numbers{missing: 3})},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := discovery.NewDiscoveryClientForConfig(plane.Config())
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			told := map[string]numbers{}
			w := &Watcher{
				Server: client.OpenAPIV3(), Definitions: changed(t, test.change), Version: v1alpha1.GroupVersion, Interval: 50 * time.Millisecond,
				Told: func(kind string, unknown, missing int) {
					mu.Lock()
					defer mu.Unlock()
					told[kind] = numbers{unknown, missing}
				},
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.Start(ctx) }()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			gomega.NewWithT(t).Eventually(func() string {
				mu.Lock()
				defer mu.Unlock()
				return cmp.Diff(test.want, told, cmp.AllowUnexported(numbers{}))
			}, 30*time.Second).Should(gomega.BeEmpty())
		})
	}
}

// The API server's definitions are replaced while an operator runs, as an upgrade does it.
func TestWatcherNoticesAnUpgradeOfTheKinds(t *testing.T) {
	plane := controlplanetest.Shared(t)
	client, err := discovery.NewDiscoveryClientForConfig(plane.Config())
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan numbers, 100)
	w := &Watcher{
		Server: client.OpenAPIV3(), Definitions: crd.Files, Version: v1alpha1.GroupVersion, Interval: 50 * time.Millisecond,
		Told: func(kind string, unknown, missing int) {
			if kind == "Campaign" {
				told <- numbers{unknown, missing}
			}
		},
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	await := func(want numbers) {
		t.Helper()
		gomega.NewWithT(t).Eventually(told, 30*time.Second).Should(gomega.Receive(gomega.Equal(want)))
	}
	await(numbers{})
	newer := changed(t, func(s map[string]any) { below(s, "spec")["mood"] = map[string]any{"type": "string"} })
	if err := controlplane.InstallCRDs(t.Context(), plane.Config(), newer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := controlplane.InstallCRDs(context.Background(), plane.Config(), crd.Files); err != nil {
			t.Error(err)
		}
	})
	await(numbers{unknown: 1})
}

func TestWordsNameAFewFieldsOfEachSide(t *testing.T) {
	d := difference{Missing: []string{"spec.a"}}
	for range 12 {
		d.Unknown = append(d.Unknown, "spec.b")
	}
	want := "not taken by the API server: spec.a; unknown here: " +
		"spec.b, spec.b, spec.b, spec.b, spec.b, spec.b, spec.b, spec.b, spec.b, spec.b and 2 more"
	if got := d.words(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadOpenAPIRefusesWhatIsNone(t *testing.T) {
	if _, err := readOpenAPI([]byte(`{"components": []}`)); err == nil {
		t.Error("a document of another shape was taken")
	}
}

// changed is this operator's definitions with a change of the Campaign's schema.
func changed(t *testing.T, change func(schema map[string]any)) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	names, err := fs.Glob(crd.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(crd.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		var definition map[string]any
		if err := yaml.Unmarshal(text, &definition); err != nil {
			t.Fatal(err)
		}
		spec := definition["spec"].(map[string]any)
		if spec["names"].(map[string]any)["kind"] == "Campaign" {
			version := spec["versions"].([]any)[0].(map[string]any)
			change(version["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any))
			if text, err = yaml.Marshal(definition); err != nil {
				t.Fatal(err)
			}
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	return files
}

func below(schema map[string]any, field string) map[string]any {
	return schema["properties"].(map[string]any)[field].(map[string]any)["properties"].(map[string]any)
}

// scheduleFields is how many fields and values a Campaign's schedule has, itself included.
func scheduleFields(t *testing.T) int {
	t.Helper()
	words, err := readDefinitions(crd.Files, v1alpha1.GroupVersion.Version)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for path := range words["Campaign"] {
		if strings.HasPrefix(path, "spec.schedule") {
			n++
		}
	}
	if n < 3 {
		t.Fatalf("a schedule has only %d fields", n)
	}
	return n
}
