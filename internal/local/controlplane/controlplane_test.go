package controlplane

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func start(t *testing.T, o Options) (*ControlPlane, kubernetes.Interface) {
	t.Helper()
	o.Volatile, o.Progress = true, os.Stderr
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	return c, client
}

func TestControlPlane(t *testing.T) {
	g := NewWithT(t)
	ctx := t.Context()
	dir := t.TempDir()
	begun := time.Now()
	c, client := start(t, Options{Dir: dir})
	t.Logf("ready after %s", time.Since(begun))

	t.Log("kubectl reads the kubeconfig and the server's version")
	out, err := exec.Command(c.Kubectl(), "--kubeconfig", c.Kubeconfig(), "version").CombinedOutput() //nolint:gosec // our own paths
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	g.Expect(string(out)).To(ContainSubstring("Server Version: v1."))

	t.Log("a namespace gets its ServiceAccount and finishes deleting with what is in it")
	for _, name := range []string{"kept", "gone"} {
		_, err = client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Eventually(func() error {
		_, err := client.CoreV1().ServiceAccounts("gone").Get(ctx, "default", metav1.GetOptions{})
		return err
	}).WithTimeout(readyTimeout).Should(Succeed())
	g.Expect(client.CoreV1().Namespaces().Delete(ctx, "gone", metav1.DeleteOptions{})).To(Succeed())
	g.Eventually(func() bool {
		_, err := client.CoreV1().Namespaces().Get(ctx, "gone", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}).WithTimeout(readyTimeout).Should(BeTrue())

	t.Log("the API server goes away and comes back at the same address")
	g.Expect(c.StopAPIServer(ctx)).To(Succeed())
	_, err = client.CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{})
	g.Expect(err).To(HaveOccurred())
	g.Expect(c.StartAPIServer(ctx)).To(Succeed())
	_, err = client.CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	t.Log("a new control plane on the same folder has the same objects and honours the same kubeconfig")
	before := c.Config()
	g.Expect(c.Stop(ctx)).To(Succeed())
	again, _ := start(t, Options{Dir: dir})
	g.Expect(again.URL()).To(Equal(before.Host))
	old, err := kubernetes.NewForConfig(before)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = old.CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
}

func TestAProgramThatEndsShowsItsLog(t *testing.T) {
	g := NewWithT(t)
	c, _ := start(t, Options{Dir: t.TempDir(), WithoutControllers: true})
	busy := Options{Dir: t.TempDir(), Port: c.options.Port, Volatile: true}
	_, err := Start(t.Context(), busy)
	g.Expect(err).To(MatchError(And(ContainSubstring("kube-apiserver ended while starting"), ContainSubstring("address already in use"))))
}

// A cluster that was made anew has the same address and the same certificates, and none of its objects.
func TestWipeEtcd(t *testing.T) {
	g := NewWithT(t)
	ctx := t.Context()
	c, client := start(t, Options{Dir: t.TempDir(), WithoutControllers: true})
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.WipeEtcd()).To(MatchError(ContainSubstring("stop it first")))

	t.Log("etcd alone is restarted, under an API server that runs")
	g.Expect(c.StopEtcd(ctx)).To(Succeed())
	g.Expect(c.StartEtcd(ctx)).To(Succeed())
	g.Eventually(func() error {
		_, err := client.CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{})
		return err
	}).WithTimeout(readyTimeout).Should(Succeed())

	t.Log("etcd's data is deleted")
	g.Expect(c.StopAPIServer(ctx)).To(Succeed())
	g.Expect(c.StopEtcd(ctx)).To(Succeed())
	g.Expect(c.WipeEtcd()).To(Succeed())
	g.Expect(c.StartEtcd(ctx)).To(Succeed())
	g.Expect(c.StartAPIServer(ctx)).To(Succeed())
	_, err = client.CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{})
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue())
}
