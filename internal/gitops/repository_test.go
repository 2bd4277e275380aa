package gitops

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
)

// The folders of the worked example: the teams' repository, and what Flux and Argo CD are told of it.
var (
	repository = filepath.Join("..", "..", "config", "gitops", "repository")
	fluxFolder = filepath.Join("..", "..", "config", "gitops", "flux")
)

// teams are those of the worked example.
var teams = []string{"norte", "velo"}

// rendered is what kustomize, and with it both tools, makes of a folder.
func rendered(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return documents(t, "\n"+string(text))
}

// plain is what a folder of manifests without a kustomization holds.
func plain(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	var list []*unstructured.Unstructured
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // of this repository
		if err != nil {
			return err
		}
		list = append(list, documents(t, string(content))...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func text(o *unstructured.Unstructured, fields ...string) string {
	value, _, _ := unstructured.NestedString(o.Object, fields...)
	return value
}

// foreign installs Flux's and Argo CD's kinds, and the namespaces that they are in.
func foreign(t *testing.T) *team {
	t.Helper()
	v := &team{world: inWorld(t), t: t}
	if err := controlplane.InstallCRDs(t.Context(), v.plane.Config(), os.DirFS(filepath.Join("testdata", "kinds"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"flux-system", "argocd", "tertulia-system"} {
		namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
		v.applied(namespace)
	}
	return v
}

// TestFluxAndArgoTakeTheirManifests has an API server with the kinds of both judge each manifest strictly.
func TestFluxAndArgoTakeTheirManifests(t *testing.T) {
	v := foreign(t)
	lists := map[string][]*unstructured.Unstructured{
		"Flux":          rendered(t, fluxFolder),
		"Argo CD":       plain(t, filepath.Join(argoFolder, "root")),
		"Argo CD teams": plain(t, filepath.Join(argoFolder, "teams")),
	}
	root, err := os.ReadFile(filepath.Join(argoFolder, "root.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lists["Argo CD root"] = documents(t, string(root))
	for name, objects := range lists {
		if len(objects) == 0 {
			t.Errorf("%s: no manifests", name)
		}
		for _, o := range objects {
			arguments := []string{"apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"}
			if o.GetNamespace() != "" {
				arguments = append(arguments, "-n", o.GetNamespace())
			}
			if output, err := v.kubectl([]*unstructured.Unstructured{o}, arguments...); err != nil {
				t.Errorf("%s: %s %s: %s", name, o.GetKind(), o.GetName(), output)
			}
		}
	}
}

// TestFluxOrder follows dependsOn: the operator and its kinds, the platform, a team's tenant, its campaigns.
func TestFluxOrder(t *testing.T) {
	byName := map[string]*unstructured.Unstructured{}
	for _, o := range rendered(t, fluxFolder) {
		byName[o.GetKind()+"/"+o.GetName()] = o
	}
	accounts := map[string]bool{}
	for _, o := range rendered(t, filepath.Join(repository, "platform")) {
		if o.GetKind() == "ServiceAccount" && o.GetNamespace() == "flux-system" {
			accounts[o.GetName()] = true
		}
	}
	want := map[string]string{"crm-platform": ""}
	for _, team := range teams {
		want[team+"-tenant"], want[team+"-campaigns"] = "crm-platform", team+"-tenant"
	}
	for name, after := range want {
		o := byName["Kustomization/"+name]
		if o == nil {
			t.Errorf("there is no Kustomization %s", name)
			continue
		}
		var before []string
		dependsOn, _, _ := unstructured.NestedSlice(o.Object, "spec", "dependsOn")
		for _, d := range dependsOn {
			before = append(before, d.(map[string]any)["name"].(string))
		}
		if after != "" && !slices.Equal(before, []string{after}) {
			t.Errorf("%s depends on %q, want %q", name, before, after)
		}
		if len(rendered(t, filepath.Join(repository, text(o, "spec", "path")))) == 0 {
			t.Errorf("%s: nothing is at %s", name, text(o, "spec", "path"))
		}
		if account := text(o, "spec", "serviceAccountName"); after != "" && !accounts[account] {
			t.Errorf("%s: the platform makes no ServiceAccount %q", name, account)
		}
		checks, _, _ := unstructured.NestedSlice(o.Object, "spec", "healthChecks")
		for _, check := range checks {
			if o := check.(map[string]any); o["kind"] == "HelmRelease" && byName["HelmRelease/"+o["name"].(string)] == nil {
				t.Errorf("%s waits for a HelmRelease that is not there: %v", name, o)
			}
		}
		if waits, _, _ := unstructured.NestedBool(o.Object, "spec", "wait"); !waits && len(checks) == 0 {
			t.Errorf("who depends on %s waits for nothing", name)
		}
	}
}

// TestArgoOrder follows the waves of the root and of each team.
func TestArgoOrder(t *testing.T) {
	waves := func(folder string) map[string]int {
		found := map[string]int{}
		for _, o := range plain(t, folder) {
			wave, err := strconv.Atoi(o.GetAnnotations()["argocd.argoproj.io/sync-wave"])
			if err != nil {
				t.Errorf("%s %s has no wave", o.GetKind(), o.GetName())
			}
			found[o.GetKind()+"/"+o.GetName()] = wave
			if path := text(o, "spec", "source", "path"); path != "" && len(rendered(t, filepath.Join(repository, path))) == 0 {
				t.Errorf("%s: nothing is at %s", o.GetName(), path)
			}
		}
		return found
	}
	if w := waves(filepath.Join(argoFolder, "root")); len(w) != 3 ||
		w["Application/tertulia"] >= w["Application/crm-platform"] || w["Application/crm-platform"] >= w["ApplicationSet/crm-teams"] {
		t.Errorf("the operator, the platform and the teams are in the waves %v", w)
	}
	for _, team := range teams {
		w := waves(filepath.Join(argoFolder, "teams", team))
		tenant, campaigns := w["Application/"+team+"-tenant"], w["Application/"+team+"-campaigns"]
		if len(w) != 4 || w["AppProject/"+team+"-tenant"] >= tenant || w["AppProject/"+team+"-campaigns"] >= campaigns || tenant >= campaigns {
			t.Errorf("team %s is in the waves %v", team, w)
		}
	}
}

// TestTeamsRepository applies the worked repository as the ServiceAccounts that Flux takes: in order it is in force, and no
// team reaches into another's namespace, touches a Secret, or changes its tenant among its campaigns.
func TestTeamsRepository(t *testing.T) {
	v := foreign(t)
	v.applied(plain(t, filepath.Join("..", "..", "config", "rbac", "people.yaml"))...)
	v.applied(rendered(t, filepath.Join(repository, "platform"))...)
	as := func(account, namespace string, objects []*unstructured.Unstructured) (string, error) {
		return v.kubectl(objects, "apply", "--server-side", "-f", "-", "-n", namespace, "--as", "system:serviceaccount:flux-system:"+account)
	}
	for _, team := range teams {
		secret := documents(t, "{apiVersion: v1, kind: Secret, metadata: {name: smtp, labels: {crm.tertulia.dev/use: channel}}, stringData: {username: u, password: p}}")
		v.must(secret, "apply", "--server-side", "-f", "-", "-n", team)
		for _, part := range []string{"tenant", "campaigns"} {
			objects := rendered(t, filepath.Join(repository, map[string]string{"tenant": "tenants", "campaigns": "campaigns"}[part], team))
			v.eventually(func(g gomega.Gomega) { // until the API server knows the roles
				output, err := as(team+"-"+part, team, objects)
				g.Expect(err).NotTo(gomega.HaveOccurred(), output)
			})
			for _, o := range objects {
				if ours(o) {
					v.reads(o, status.CurrentStatus)
				}
			}
		}
		other := teams[1-slices.Index(teams, team)]
		if output, err := as(team+"-campaigns", other, rendered(t, filepath.Join(repository, "campaigns", other))); err == nil || !strings.Contains(output, "forbidden") {
			t.Errorf("the campaigns of %s may reach into %s: %s", team, other, output)
		}
		for _, question := range [][]string{
			{"get", "secrets"},
			{"create", "secrets"},
			{"patch", "crmtenants.crm.tertulia.dev"},
			{"patch", "campaigns.crm.tertulia.dev", "--subresource=status"},
			{"create", "deployments.apps"},
			{"create", "rolebindings.rbac.authorization.k8s.io"},
		} {
			output, _ := v.kubectl(nil, append([]string{"auth", "can-i", "-n", team, "--as", "system:serviceaccount:flux-system:" + team + "-campaigns"}, question...)...)
			if strings.TrimSpace(output) != "no" {
				t.Errorf("may the campaigns of %s %v: %s", team, question, output)
			}
		}
	}
}
