package cli

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

const (
	tenantManifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: demo}\n---\n" +
		"apiVersion: crm.tertulia.dev/v1alpha1\nkind: CRMTenant\nmetadata: {name: default, namespace: demo}\n" +
		"spec: {id: up-test, displayName: Up, locales: [es], publicURL: 'http://127.0.0.1:8080/t/up-test'}\n"
	segmentManifest = "apiVersion: crm.tertulia.dev/v1alpha1\nkind: Segment\nmetadata: {name: everyone, namespace: demo}\n" +
		"spec: {description: Everyone., match: 'true'}\n"
)

// upRun is a `tertulia up` process of a test.
type upRun struct {
	*WithT
	t        *testing.T
	cmd      *exec.Cmd
	ready    upReady
	progress string // file
	ended    chan error
}

// runUpProcess starts `tertulia up` and returns when it says that it is ready.
func runUpProcess(t *testing.T, dir, manifests string) *upRun {
	t.Helper()
	g := NewWithT(t)
	r := &upRun{WithT: g, t: t, progress: filepath.Join(t.TempDir(), "progress"), ended: make(chan error, 1)}
	r.cmd = exec.Command(os.Args[0], "up", "--data-dir", dir, "--manifests", manifests, "--output", "json", //nolint:gosec // this test binary
		"--listen", "127.0.0.1:0", "--mail-listen", "127.0.0.1:0", "--mail-web-listen", "127.0.0.1:0")
	r.cmd.Env = append(os.Environ(), runAsProgram+"=yes")
	progress, err := os.Create(r.progress)
	g.Expect(err).NotTo(HaveOccurred())
	defer progress.Close() //nolint:errcheck // the child has a descriptor of its own
	r.cmd.Stderr = progress
	out, err := r.cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.cmd.Start()).To(Succeed())
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	go func() { r.ended <- r.cmd.Wait() }()
	g.Expect(err).NotTo(HaveOccurred(), "%s", r.said())
	g.Expect(json.Unmarshal(line, &r.ready)).To(Succeed())
	g.Expect(r.ready.Ready).To(BeTrue())
	return r
}

func (r *upRun) said() string {
	content, err := os.ReadFile(r.progress)
	r.Expect(err).NotTo(HaveOccurred())
	return string(content)
}

func (r *upRun) stop(sig syscall.Signal) error {
	r.t.Helper()
	r.Expect(r.cmd.Process.Signal(sig)).To(Succeed())
	return <-r.ended
}

// condition is a function that asks for the Ready condition of an object in the namespace "demo", or why there is none.
func (r *upRun) condition(object client.Object, name string, conditions func() []metav1.Condition) func() string {
	config, err := clientcmd.BuildConfigFromFlags("", r.ready.Kubeconfig)
	r.Expect(err).NotTo(HaveOccurred())
	scheme := runtime.NewScheme()
	r.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	api, err := client.New(config, client.Options{Scheme: scheme})
	r.Expect(err).NotTo(HaveOccurred())
	return func() string {
		if err := api.Get(r.t.Context(), client.ObjectKey{Namespace: "demo", Name: name}, object); err != nil {
			return err.Error()
		}
		if ready := meta.FindStatusCondition(conditions(), "Ready"); ready != nil {
			return string(ready.Status)
		}
		return "no condition"
	}
}

func (r *upRun) tenantReady() func() string {
	tenant := &v1alpha1.CRMTenant{}
	return r.condition(tenant, "default", func() []metav1.Condition { return tenant.Status.Conditions })
}

func (r *upRun) segmentReady() func() string {
	segment := &v1alpha1.Segment{}
	return r.condition(segment, "everyone", func() []metav1.Condition { return segment.Status.Conditions })
}

// mails asks the mailbox how many mails it has.
func (r *upRun) mails() int {
	response, err := http.Get(r.ready.Mailbox + "/api/count") //nolint:noctx // a local server
	r.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close() //nolint:errcheck // read whole
	var tally struct{ Count int }
	r.Expect(json.NewDecoder(response.Body).Decode(&tally)).To(Succeed())
	return tally.Count
}

// processes are those that name the data directory in their arguments, or are children of such a one, without `up` itself.
func processes(t *testing.T, dir string) map[int]string {
	t.Helper()
	found := map[int]string{}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file) //nolint:gosec // /proc
		if err != nil {
			continue // ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		args := strings.ReplaceAll(string(content), "\x00", " ")
		if strings.Contains(args, dir) && !strings.Contains(args, " up --data-dir ") {
			found[pid] = args
		}
	}
	return found
}

func named(found map[int]string, word string) (pids []int) {
	for pid, args := range found {
		if strings.Contains(args, word) {
			pids = append(pids, pid)
		}
	}
	return pids
}

const upPatience = 3 * time.Minute

// From nothing to a tenant that is ready; through the death of a worker, of everything, and an ordered stop.
func TestUp(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("processes are looked up in /proc")
	}
	dir, manifests := t.TempDir(), t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(manifests, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("tenant.yaml", tenantManifest)
	up := runUpProcess(t, dir, manifests)

	t.Log("operator, server, worker and mailbox do their work")
	up.Eventually(up.tenantReady()).WithTimeout(upPatience).Should(Equal("True"))
	up.Eventually(func() int {
		response, err := http.Get(up.ready.Server + "/t/up-test/openapi.json") //nolint:noctx // a local server
		up.Expect(err).NotTo(HaveOccurred())
		up.Expect(response.Body.Close()).To(Succeed())
		return response.StatusCode
	}).WithTimeout(upPatience).Should(Equal(http.StatusOK))
	up.Expect(smtp.SendMail(up.ready.SMTP, nil, "a@velo.example", []string{"ana@example.com"}, []byte("Subject: hola\r\n\r\nHola\r\n"))).To(Succeed())
	up.Expect(up.mails()).To(Equal(1))
	write("segment.yaml", segmentManifest)
	up.Eventually(up.segmentReady()).WithTimeout(upPatience).Should(Equal("True"), "an edit is applied while it runs")

	t.Log("a process that dies is started again")
	for _, program := range []string{" worker ", "/kube-apiserver ", "/postgres -D"} {
		var running []int
		up.Eventually(func() []int { // a child that PostgreSQL has just made looks like its parent for a moment
			running = named(processes(t, dir), program)
			return running
		}).WithTimeout(upPatience).Should(HaveLen(1), program)
		up.Expect(syscall.Kill(running[0], syscall.SIGKILL)).To(Succeed())
		up.Eventually(func() []int { return named(processes(t, dir), program) }).WithTimeout(upPatience).
			Should(And(HaveLen(1), Not(ContainElement(running[0]))), program)
	}
	up.Eventually(up.tenantReady()).WithTimeout(upPatience).Should(Equal("True"))

	t.Log("no password is in anybody's arguments")
	_, secret, found := strings.Cut(up.ready.Database, "postgres://postgres:")
	up.Expect(found).To(BeTrue())
	secret, _, _ = strings.Cut(secret, "@")
	up.Expect(named(processes(t, dir), secret)).To(BeEmpty())

	t.Log("after kill -9, another on the same directory takes over, and removes what was removed meanwhile")
	before := processes(t, dir)
	_ = up.stop(syscall.SIGKILL)
	up.Expect(os.Remove(filepath.Join(manifests, "segment.yaml"))).To(Succeed())
	up = runUpProcess(t, dir, manifests)
	after := processes(t, dir)
	for pid := range before {
		up.Expect(after).NotTo(HaveKey(pid), "left over: %s", before[pid])
	}
	for _, program := range []string{"/etcd ", "/kube-apiserver ", "/kube-controller-manager ", " operator ", " server ", " worker "} {
		up.Expect(named(after, program)).To(HaveLen(1), program)
	}
	up.Eventually(up.tenantReady()).WithTimeout(upPatience).Should(Equal("True"))
	up.Eventually(up.segmentReady()).WithTimeout(upPatience).Should(ContainSubstring("not found"))
	up.Expect(up.mails()).To(Equal(1))

	t.Log("SIGTERM ends everything")
	up.Expect(up.stop(syscall.SIGTERM)).To(Succeed(), "%s", up.said())
	up.Expect(processes(t, dir)).To(BeEmpty())
	up.Expect(up.said()).To(ContainSubstring("everything is kept in " + dir))
}
