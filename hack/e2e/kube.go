package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// connect makes clients of the API server. They have no limit of their own: the drills are impatient.
func (s *stage) connect(context.Context) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	config := s.node.ControlPlane().Config()
	config.Timeout = 20 * time.Second
	var err error
	if s.kube, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	// The mapper is made from what the API server serves now, and learns the kinds that are installed later.
	if s.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	return nil
}

// kubectl runs kubectl as a person would.
func (s *stage) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	plane := s.node.ControlPlane()
	return command(ctx, stdin, plane.Kubectl(), append([]string{"--kubeconfig", plane.Kubeconfig()}, args...)...)
}

// apply does what a GitOps tool does with a manifest.
func (s *stage) apply(ctx context.Context, manifest string) error {
	_, err := s.kubectl(ctx, manifest, "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// helm runs helm as a person would.
func (s *stage) helm(ctx context.Context, args ...string) (string, error) {
	return command(ctx, "", s.built.helm, append([]string{"--kubeconfig", s.node.ControlPlane().Kubeconfig()}, args...)...)
}

func command(ctx context.Context, stdin, program string, args ...string) (string, error) {
	var out, trouble bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &trouble
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+os.TempDir(), "HELM_CONFIG_HOME="+os.TempDir(), "HELM_DATA_HOME="+os.TempDir())
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(trouble.String()))
	}
	return out.String(), nil
}

// errTooLong ends a wait.
var errTooLong = errors.New("it took too long")

// await asks again and again until nothing is missing. While something is, the answer says what; an error ends the wait.
func await(ctx context.Context, atMost time.Duration, ask func(context.Context) (missing string, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, fmt.Errorf("%w (%s)", errTooLong, atMost))
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for {
		missing, err := ask(ctx)
		switch {
		case ctx.Err() != nil: // and whatever the answer was, it is the clock's doing
		case err != nil || missing == "":
			return err
		default:
			last = missing
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

// pods lists the pods of one component (worker, server) of a namespace that are not on their way out.
func (s *stage) pods(ctx context.Context, namespace, component string) ([]corev1.Pod, error) {
	var list corev1.PodList
	ours := client.MatchingLabels{"app.kubernetes.io/name": "tertulia", "app.kubernetes.io/component": component}
	err := s.client.List(ctx, &list, client.InNamespace(namespace), ours)
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s in %s: %w", component, namespace, err)
	}
	var staying []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			staying = append(staying, pod)
		}
	}
	return staying, nil
}

// isReady tells whether a pod answers its readiness probe.
func isReady(pod corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// containerID is the id of a pod's only container.
func containerID(pod corev1.Pod) (string, error) {
	if len(pod.Status.ContainerStatuses) != 1 || pod.Status.ContainerStatuses[0].ContainerID == "" {
		return "", fmt.Errorf("pod %s has no container that runs", pod.Name)
	}
	return pod.Status.ContainerStatuses[0].ContainerID, nil
}

// awaitPods waits until a component has so many pods, and all of them are ready.
func (s *stage) awaitPods(ctx context.Context, namespace, component string, n int) error {
	err := await(ctx, 3*time.Minute, func(ctx context.Context) (string, error) {
		pods, err := s.pods(ctx, namespace, component)
		if err != nil {
			return err.Error(), nil // the API server may be away for a moment
		}
		ready := 0
		for _, pod := range pods {
			if isReady(pod) {
				ready++
			}
		}
		if ready != n || len(pods) != n {
			return fmt.Sprintf("%d pods, %d of them ready, want %d", len(pods), ready, n), nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for the pods of %s in %s: %w", component, namespace, err)
	}
	return nil
}

// unrestarted does something, and wants no container of the example tenant's workers and server to be restarted for it.
func (s *stage) unrestarted(ctx context.Context, do func(context.Context) error) error {
	count := func() (n int32, err error) {
		for _, component := range []string{"worker", "server"} {
			pods, err := s.pods(ctx, velo, component)
			if err != nil {
				return 0, err
			}
			for _, pod := range pods {
				for _, container := range pod.Status.ContainerStatuses {
					n += container.RestartCount
				}
			}
		}
		return n, nil
	}
	before, err := count()
	if err != nil {
		return err
	}
	if err := do(ctx); err != nil {
		return err
	}
	after, err := count()
	if err == nil && after != before {
		err = fmt.Errorf("containers of the tenant were restarted %d times for it", after-before)
	}
	return err
}

// logs returns the end of a pod's log.
func (s *stage) logs(ctx context.Context, namespace, pod string, lines int64, previous bool) (string, error) {
	stream, err := s.kube.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{TailLines: &lines, Previous: previous}).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	text, err := io.ReadAll(io.LimitReader(stream, 1<<20))
	return string(text), err
}
