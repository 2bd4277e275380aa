package operatortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// user is as whom an operator acts that has the rights of the generated roles and no others.
const user = "operator-under-test"

// Grant binds the generated roles, which a file holds, to the user as whom an operator acts: the ClusterRole, and the Role in the
// operator's own namespace, unless it has none. It returns when the API server knows of them.
func Grant(ctx context.Context, api client.Client, file, ownNamespace string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var kind struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ObjectMeta `json:"metadata"`
			Rules             []rbacv1.PolicyRule `json:"rules"`
		}
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind.Kind, Name: kind.Name}
		var role, binding client.Object
		switch {
		case kind.Kind == "ClusterRole":
			role = &rbacv1.ClusterRole{}
			binding = &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user}, Subjects: subjects, RoleRef: ref}
		case kind.Kind == "Role" && ownNamespace != "":
			role = &rbacv1.Role{}
			binding = &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: user}, Subjects: subjects, RoleRef: ref}
		default:
			continue
		}
		if err := yaml.Unmarshal(document, role); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		if err := errors.Join(api.Create(ctx, role), api.Create(ctx, binding)); err != nil {
			return err
		}
		if err := awaitGranted(ctx, api, binding.GetNamespace(), kind.Rules[0]); err != nil {
			return fmt.Errorf("wait until %s %s is in force: %w", kind.Kind, kind.Name, err)
		}
	}
	return nil
}

// awaitGranted waits until the user may do what a rule says: who decides that hears of a role some moments after it was made.
func awaitGranted(ctx context.Context, api client.Client, namespace string, rule rbacv1.PolicyRule) error {
	return wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Group: rule.APIGroups[0], Resource: rule.Resources[0], Verb: rule.Verbs[0],
			},
		}}
		err := api.Create(ctx, review)
		return review.Status.Allowed, err
	})
}

// Writes counts by namespace what operators write. The zero value works.
type Writes struct{ counters sync.Map }

// Acting is the configuration of an operator that acts as the user to whom Grant gives rights, and whose writes are counted.
func (w *Writes) Acting(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return countingTransport{next, w} })
	return config
}

// In counts the writes in a namespace.
func (w *Writes) In(namespace string) *atomic.Int64 {
	counter, _ := w.counters.LoadOrStore(namespace, &atomic.Int64{})
	return counter.(*atomic.Int64)
}

// countingTransport counts the requests that change something in a namespace.
type countingTransport struct {
	next   http.RoundTripper
	writes *Writes
}

// RoundTrip implements http.RoundTripper.
func (c countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		c.writes.In(namespaceOf(r.URL.Path)).Add(1)
	}
	return c.next.RoundTrip(r)
}

// namespaceOf is the namespace in a path such as /apis/crm.tertulia.dev/v1alpha1/namespaces/velo/segments/all/status.
func namespaceOf(path string) string {
	_, rest, _ := strings.Cut(path, "/namespaces/")
	namespace, _, _ := strings.Cut(rest, "/")
	return namespace
}
