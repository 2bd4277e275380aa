package manifests

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

func TestMain(m *testing.M) { controlplanetest.Main(m) }

// fixture is a directory of manifests, a namespace, and an Applier between them.
type fixture struct {
	*WithT
	t         *testing.T
	dir       string
	inventory string
	namespace string
	client    kubernetes.Interface
	progress  *strings.Builder
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	client, err := kubernetes.NewForConfig(controlplanetest.Shared(t).Config())
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{
		WithT: NewWithT(t), t: t, dir: t.TempDir(), inventory: filepath.Join(t.TempDir(), "inventory.json"),
		namespace: controlplanetest.Namespace(t), client: client, progress: &strings.Builder{},
	}
}

func (f *fixture) applier(directories ...string) *Applier {
	f.t.Helper()
	a, err := New(Options{
		Config: controlplanetest.Shared(f.t).Config(), Directories: append(directories, f.dir), Inventory: f.inventory,
		Progress: f.progress, Debounce: 20 * time.Millisecond,
	})
	f.Expect(err).NotTo(HaveOccurred())
	return a
}

func (f *fixture) write(name, content string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	f.Expect(os.MkdirAll(filepath.Dir(path), 0o700)).To(Succeed())
	f.Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
}

func (f *fixture) remove(name string) {
	f.t.Helper()
	f.Expect(os.RemoveAll(filepath.Join(f.dir, name))).To(Succeed())
}

func (f *fixture) configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {key: %q}\n", name, f.namespace, value)
}

// values are the ConfigMaps in the namespace, without the one that every namespace has.
func (f *fixture) values() map[string]string {
	list, err := f.client.CoreV1().ConfigMaps(f.namespace).List(f.t.Context(), metav1.ListOptions{})
	f.Expect(err).NotTo(HaveOccurred())
	values := map[string]string{}
	for _, each := range list.Items {
		if each.Name != "kube-root-ca.crt" {
			values[each.Name] = each.Data["key"]
		}
	}
	return values
}

// sync makes one pass and returns its problems as text.
func (f *fixture) sync(a *Applier) []string {
	problems, _ := a.Sync(f.t.Context())
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Error())
	}
	return texts
}

func TestApplyEditRemove(t *testing.T) {
	f := newFixture(t)
	f.write("a.yaml", f.configMap("one", "1")+"---\n# nothing here\n---\n"+f.configMap("two", "2"))
	f.write("deep/er/b.yml", f.configMap("three", "3"))
	f.write(".hidden/c.yaml", f.configMap("four", "4"))
	f.write("notes.txt", "not a manifest")
	a := f.applier()
	f.Expect(f.sync(a)).To(BeEmpty())
	f.Expect(f.values()).To(Equal(map[string]string{"one": "1", "two": "2", "three": "3"}))

	t.Log("an edit is applied, a document removed from a file and a removed file are removed")
	f.write("a.yaml", f.configMap("one", "changed"))
	f.remove("deep")
	f.Expect(f.sync(a)).To(BeEmpty())
	f.Expect(f.values()).To(Equal(map[string]string{"one": "changed"}))

	t.Log("what others change is undone")
	_, err := f.client.CoreV1().ConfigMaps(f.namespace).Update(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "one"}, Data: map[string]string{"key": "meddled"},
	}, metav1.UpdateOptions{})
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(f.sync(a)).To(BeEmpty())
	f.Expect(f.values()).To(Equal(map[string]string{"one": "changed"}))

	t.Log("what was removed while nobody looked is removed by the next process")
	f.remove("a.yaml")
	f.Expect(f.sync(f.applier())).To(BeEmpty())
	f.Expect(f.values()).To(BeEmpty())
}

func TestSettledObjectsAreNotWritten(t *testing.T) {
	f := newFixture(t)
	f.write("a.yaml", f.configMap("one", "1"))
	a := f.applier()
	f.Expect(f.sync(a)).To(BeEmpty())
	version := func() string {
		one, err := f.client.CoreV1().ConfigMaps(f.namespace).Get(t.Context(), "one", metav1.GetOptions{})
		f.Expect(err).NotTo(HaveOccurred())
		return one.ResourceVersion
	}
	before, told := version(), f.progress.String()
	f.Expect(f.sync(a)).To(BeEmpty())
	f.Expect(f.sync(f.applier())).To(BeEmpty())
	f.Expect(version()).To(Equal(before))
	f.Expect(strings.Count(told, "\n")).To(Equal(1))
}

// What cannot be read, or is refused, is named, stops nothing else, and never counts as removed.
func TestProblems(t *testing.T) {
	segment := func(namespace, field string) string {
		return "apiVersion: crm.tertulia.dev/v1alpha1\nkind: Segment\nmetadata: {name: s, namespace: " + namespace + "}\nspec: {description: x, " + field + ": 'true'}\n"
	}
	tests := map[string]struct {
		reason  string
		content func(f *fixture) string
		want    []string
	}{
		"UnknownField": {
			"a field that the kind does not have is refused, and named",
			func(f *fixture) string { return segment(f.namespace, "macth") },
			[]string{"bad.yaml: Segment ", "/s: spec.macth: Segment has no such field; kubectl explain segment.spec lists those it has"},
		},
		"WrongType": {
			"a number where a text is meant, as YAML makes one of what looks like it",
			func(f *fixture) string { return strings.Replace(segment(f.namespace, "match"), "'true'", "3", 1) },
			[]string{"bad.yaml: Segment ", "/s: spec.match: expected string, got 3"},
		},
		"UnknownKind": {
			"a kind that the API server does not know",
			func(f *fixture) string { return strings.Replace(segment(f.namespace, "match"), "Segment", "Segmnt", 1) },
			[]string{"bad.yaml: Segmnt ", "knows no kind Segmnt in crm.tertulia.dev/v1alpha1"},
		},
		"Syntax": {
			"a file that is no YAML; the object it had is not taken for removed",
			func(*fixture) string { return "a: [" },
			[]string{"bad.yaml: document 1: "},
		},
		"TwiceTheField": {
			"a field given twice: which one is meant is not for us to guess",
			func(*fixture) string { return "apiVersion: v1\nkind: ConfigMap\nkind: Secret" },
			[]string{"bad.yaml: document 1: ", `key "kind" already set`},
		},
		"NoKind": {
			"a YAML file that is no manifest",
			func(*fixture) string { return "a: b" },
			[]string{"bad.yaml: document 1: it has no apiVersion or no kind"},
		},
		"NoName":      {"an object without a name", func(*fixture) string { return "apiVersion: v1\nkind: ConfigMap" }, []string{"the ConfigMap has no metadata.name"}},
		"NoNamespace": {"a namespace that is not there", func(*fixture) string { return segment("nowhere", "match") }, []string{`bad.yaml: Segment nowhere/s: namespaces "nowhere" not found`}},
		"Duplicate": {
			"an object that two files have",
			func(f *fixture) string { return f.configMap("good", "2") + "---\n" + f.configMap("kept", "2") },
			[]string{"good", "another manifest has this object already"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.write("bad.yaml", f.configMap("kept", "1"))
			a := f.applier()
			f.Expect(f.sync(a)).To(BeEmpty())
			f.write("bad.yaml", tc.content(f)+"\n")
			f.write("good.yaml", f.configMap("good", "1"))
			problems := f.sync(a)
			f.Expect(problems).To(HaveLen(1))
			for _, text := range tc.want {
				f.Expect(problems[0]).To(ContainSubstring(text), tc.reason)
			}
			f.Expect(f.values()).To(HaveKey("good"), "the others are applied")
			if strings.Contains(problems[0], ": document ") {
				f.Expect(f.values()).To(HaveKeyWithValue("kept", "1"))
			}
			told := f.progress.String()
			f.Expect(f.sync(a)).To(Equal(problems), "it is tried again")
			f.Expect(f.progress.String()).To(Equal(told), "and told once")
			f.write("bad.yaml", f.configMap("kept", "1"))
			f.Expect(f.sync(a)).To(BeEmpty())
			f.Expect(f.progress.String()).To(ContainSubstring("mended"))
		})
	}
}

func TestAMissingDirectoryRemovesNothing(t *testing.T) {
	f := newFixture(t)
	f.write("a.yaml", f.configMap("one", "1"))
	f.Expect(f.sync(f.applier())).To(BeEmpty())
	away := f.dir + ".away"
	f.Expect(os.Rename(f.dir, away)).To(Succeed())
	f.Expect(f.sync(f.applier())).To(ConsistOf(ContainSubstring("no such file or directory")))
	f.Expect(f.values()).To(HaveKey("one"))
	t.Log("nor does a directory that is not asked for any more")
	f.dir = t.TempDir()
	f.Expect(f.sync(f.applier())).To(BeEmpty())
	f.Expect(f.values()).To(HaveKey("one"))
	t.Log("and when it comes back empty, what it had goes")
	f.dir = strings.TrimSuffix(away, ".away")
	f.Expect(os.Mkdir(f.dir, 0o700)).To(Succeed())
	f.Expect(f.sync(f.applier())).To(BeEmpty())
	f.Expect(f.values()).To(BeEmpty())
}

func TestOnlyWhatWeAppliedIsRemoved(t *testing.T) {
	f := newFixture(t)
	_, err := f.client.CoreV1().ConfigMaps(f.namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{})
	f.Expect(err).NotTo(HaveOccurred())
	f.write("a.yaml", f.configMap("theirs", "1")+"unknown: field\n")
	a := f.applier()
	f.Expect(f.sync(a)).To(ConsistOf(ContainSubstring("unknown")))
	f.remove("a.yaml")
	f.Expect(f.sync(a)).To(BeEmpty())
	f.Expect(f.values()).To(HaveKey("theirs"))
}

func TestKustomization(t *testing.T) {
	f := newFixture(t)
	overlay := "resources: [../base]\nnamespace: " + f.namespace + "\n" +
		"configMapGenerator:\n- {name: made, files: [key=page.html]}\n"
	f.write("base/kustomization.yaml", "resources: [one.yaml]\n")
	f.write("base/one.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {key: base}\n")
	f.write("overlay/kustomization.yaml", overlay)
	f.write("overlay/page.html", "<p>hola</p>")
	root := f.dir
	f.dir = filepath.Join(root, "overlay")
	a := f.applier()
	f.Expect(f.sync(a)).To(BeEmpty())
	values := f.values()
	f.Expect(values).To(HaveLen(2))
	f.Expect(values).To(HaveKeyWithValue("one", "base"))
	f.Expect(values).To(ContainElement("<p>hola</p>"))
	one, err := f.client.CoreV1().ConfigMaps(f.namespace).Get(t.Context(), "one", metav1.GetOptions{})
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(one.Annotations).To(BeEmpty(), "kustomize's note of the origin is for us only")
	_, folders := a.Sync(t.Context())
	f.Expect(folders).To(ContainElement(filepath.Join(root, "base")), "a base lies outside of the directory, and is watched too")

	t.Log("a changed file makes a ConfigMap of another name; the old one goes")
	f.write("page.html", "<p>adiós</p>")
	f.Expect(f.sync(a)).To(BeEmpty())
	f.Expect(f.values()).To(HaveLen(2))
	f.Expect(f.values()).To(ContainElement("<p>adiós</p>"))

	t.Log("a problem names the file of the base, not the kustomization")
	f.dir = root
	f.write("base/one.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\nunknown: field\n")
	f.Expect(f.sync(a)).To(ConsistOf(And(ContainSubstring("base/one.yaml: ConfigMap "), ContainSubstring("unknown"))))

	t.Log("a kustomization that cannot be built removes nothing")
	f.write("overlay/kustomization.yaml", overlay+"rsources: []\n")
	f.Expect(f.sync(a)).To(ConsistOf(And(ContainSubstring("overlay/kustomization.yaml: "), ContainSubstring("rsources"))))
	f.Expect(f.values()).To(HaveLen(2))
}

func TestOrder(t *testing.T) {
	f := newFixture(t)
	f.write("a.yaml", strings.ReplaceAll(f.configMap("one", "1"), f.namespace, "made-"+f.namespace)+
		"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: made-"+f.namespace+"}\n")
	f.Expect(f.sync(f.applier())).To(BeEmpty(), "a namespace is there before what is in it, wherever it stands in the file")
	f.remove("a.yaml")
	f.Expect(f.sync(f.applier())).To(BeEmpty())
	f.Eventually(func() bool {
		_, err := f.client.CoreV1().Namespaces().Get(t.Context(), "made-"+f.namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}).WithTimeout(2 * time.Minute).Should(BeTrue())
}

func TestWatch(t *testing.T) {
	f := newFixture(t)
	f.write("a.yaml", f.configMap("one", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	a := f.applier()
	go func() { ended <- a.Watch(ctx) }()
	expect := func(want map[string]string) {
		t.Helper()
		f.Eventually(f.values).WithTimeout(time.Minute).Should(Equal(want))
	}
	expect(map[string]string{"one": "1"})
	f.write("a.yaml", f.configMap("one", "2"))
	expect(map[string]string{"one": "2"})
	t.Log("as editors save: written aside and renamed")
	f.write("a.yaml~", f.configMap("one", "3"))
	f.Expect(os.Rename(filepath.Join(f.dir, "a.yaml~"), filepath.Join(f.dir, "a.yaml"))).To(Succeed())
	expect(map[string]string{"one": "3"})
	t.Log("in a new folder")
	f.write("new/folder/b.yaml", f.configMap("two", "2"))
	expect(map[string]string{"one": "3", "two": "2"})
	t.Log("a folder is removed")
	f.remove("new")
	expect(map[string]string{"one": "3"})
	cancel()
	f.Expect(<-ended).To(Succeed())
}

func TestNextRetry(t *testing.T) {
	tests := map[string]struct {
		reason   string
		previous time.Duration
		problems bool
		want     time.Duration
	}{
		"Fine":    {"nothing to try again", 8 * time.Second, false, 0},
		"First":   {"what may mend itself is tried again soon", 0, true, firstRetry},
		"Growing": {"what does not is tried less often", 4 * time.Second, true, 8 * time.Second},
		"Bounded": {"and never less often than everything is", 20 * time.Second, true, 30 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := nextRetry(tc.previous, tc.problems, 30*time.Second); got != tc.want {
				t.Errorf("%s: got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}
