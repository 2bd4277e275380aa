package support

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// ours is the label of the operator and of everything that it runs.
var ours = client.MatchingLabels{"app.kubernetes.io/name": "tertulia"}

// ourPrefix begins the names of the Secrets that the operator makes.
const ourPrefix = "tertulia"

// The bounds of logs.
const (
	maxLogBytes = 4 << 20
	logTime     = 20 * time.Second
	allLogsTime = 5 * time.Minute
)

// home collects what runs in a namespace and what happened there. In the operator's namespace, which may hold things of
// others, only what is named after us is looked at.
func (b *bundle) home(ctx context.Context, namespace string, operators bool) {
	part := "tenants"
	if operators {
		part = "operator"
	}
	for name, list := range map[string]client.ObjectList{
		"deployments": &appsv1.DeploymentList{}, "pods": &corev1.PodList{}, "replicasets": &appsv1.ReplicaSetList{},
		"services": &corev1.ServiceList{}, "networkpolicies": &networkingv1.NetworkPolicyList{},
		"poddisruptionbudgets": &policyv1.PodDisruptionBudgetList{},
	} {
		b.list(ctx, path(part, namespace, name+".yaml"), namespace, list, func(o client.Object) any {
			if pod, ok := o.(*corev1.Pod); ok {
				b.remember(pod)
			}
			return describeWorkload(o)
		}, ours)
	}
	b.list(ctx, path(part, namespace, "secrets.yaml"), namespace, &corev1.SecretList{}, func(o client.Object) any {
		if operators && !strings.HasPrefix(o.GetName(), ourPrefix) {
			return nil
		}
		return describeSecret(o.(*corev1.Secret))
	})
	if !operators {
		b.list(ctx, path(part, namespace, "configmaps.yaml"), namespace, &corev1.ConfigMapList{}, func(o client.Object) any {
			return describeConfigMap(o.(*corev1.ConfigMap))
		})
	}
	b.list(ctx, path(part, namespace, "events.yaml"), namespace, &corev1.EventList{}, func(o client.Object) any {
		e := o.(*corev1.Event)
		if !strings.HasPrefix(e.InvolvedObject.APIVersion, v1alpha1.GroupVersion.Group) && !strings.Contains(e.InvolvedObject.Name, ourPrefix) {
			return nil
		}
		described := describeEvent(e)
		described["message"] = replaceTexts(e.Message, b.masks[e.InvolvedObject.Namespace+"/"+e.InvolvedObject.Name])
		return described
	})
}

// list writes what there is of a kind in a namespace; what describe makes nil of is left out.
func (b *bundle) list(ctx context.Context, name, namespace string, list client.ObjectList, describe func(client.Object) any, options ...client.ListOption) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if err := b.API.List(ctx, list, append(options, client.InNamespace(namespace), client.Limit(1000))...); err != nil {
		b.note(name, err)
		return
	}
	found := []any{}
	err := meta.EachListItem(list, func(o runtime.Object) error {
		if described := describe(o.(client.Object)); described != nil {
			found = append(found, described)
		}
		return nil
	})
	if err != nil {
		b.note(name, err)
		return
	}
	if list.GetContinue() != "" {
		b.note(name, fmt.Errorf("only the first %d are here", len(found)))
	}
	b.document(name, found)
}

// podLog is a log that is to be taken.
type podLog struct {
	namespace, pod, container string
	previous                  bool
}

// remember notes the logs of a pod's containers, and of those that ended before.
func (b *bundle) remember(pod *corev1.Pod) {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		b.pods = append(b.pods, podLog{namespace: pod.Namespace, pod: pod.Name, container: c.Name})
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if s.RestartCount > 0 {
			b.pods = append(b.pods, podLog{namespace: pod.Namespace, pod: pod.Name, container: s.Name, previous: true})
		}
	}
}

func (l podLog) name() string {
	name := l.container + ".log"
	if l.previous {
		name = l.container + ".previous.log"
	}
	return path("logs", l.namespace, l.pod, name)
}

func (b *bundle) logs(ctx context.Context) {
	if b.options.LogLines == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, allLogsTime)
	defer cancel()
	for _, l := range b.pods {
		lines, err := b.log(ctx, l)
		if err == nil {
			err = b.archive.text(l.name(), lines)
		}
		if err != nil {
			b.note(l.name(), err)
		}
	}
}

// log reads the end of a container's log.
func (b *bundle) log(ctx context.Context, l podLog) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	most := int64(maxLogBytes)
	stream, err := b.Cluster.Pods(l.namespace).GetLogs(l.pod, &corev1.PodLogOptions{
		Container: l.container, Previous: l.previous, TailLines: &b.options.LogLines, LimitBytes: &most, Timestamps: true,
	}).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	return io.ReadAll(io.LimitReader(stream, most))
}
