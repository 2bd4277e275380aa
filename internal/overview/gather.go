package overview

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// The labels of what the operator runs, and of the operator itself.
const (
	nameLabel      = "app.kubernetes.io/name"
	componentLabel = "app.kubernetes.io/component"
	ourName        = "tertulia"
	operatorPart   = "operator"
	workerPart     = "worker"
	serverPart     = "server"
)

// page is how many objects are asked for at a time.
const page = 500

// Options say what to look at.
type Options struct {
	// Namespace is the tenant's; "" is all of them.
	Namespace string
	// OperatorNamespace is where the operator runs; "" looks in all namespaces.
	OperatorNamespace string
}

// Facts are what the API server says.
type Facts struct {
	homes     map[string]*home // by namespace
	operators []appsv1.Deployment
	// unseen names what may not be read.
	unseen []string
}

// home is what is in one namespace.
type home struct {
	tenant      *v1alpha1.CRMTenant
	objects     []v1alpha1.Object // the tenant too
	deployments []appsv1.Deployment
	events      []corev1.Event
}

// kinds are lists of everything of ours.
func kinds() []client.ObjectList {
	return []client.ObjectList{
		&v1alpha1.CRMTenantList{}, &v1alpha1.RecordTypeList{}, &v1alpha1.EventTypeList{}, &v1alpha1.MessageChannelList{},
		&v1alpha1.MessageTemplateList{}, &v1alpha1.SegmentList{}, &v1alpha1.CampaignList{},
		&v1alpha1.SendPolicyList{}, &v1alpha1.ConsentPolicyList{}, &v1alpha1.SocialSourceList{}, &v1alpha1.MonitorList{},
		&v1alpha1.AutomationRuleList{}, &v1alpha1.ServiceQueueList{},
	}
}

// Gather reads everything that the reader may see. Only our own kinds are needed: what else is forbidden is left out and
// named. It is an error when no tenant can be seen.
func Gather(ctx context.Context, reader client.Reader, o Options) (*Facts, error) {
	f := &Facts{homes: map[string]*home{}}
	for _, list := range kinds() {
		if err := f.gatherKind(ctx, reader, o.Namespace, list); err != nil {
			return nil, err
		}
	}
	ours := client.MatchingLabels{nameLabel: ourName}
	var deployments appsv1.DeploymentList
	if f.read(ctx, reader, "Deployments", &deployments, client.InNamespace(o.Namespace), ours) {
		for _, d := range deployments.Items {
			if h := f.homes[d.Namespace]; h != nil && d.Labels[componentLabel] != operatorPart {
				h.deployments = append(h.deployments, d)
			}
		}
	}
	if o.Namespace != "" { // a cluster's events are too many to read for the little that they add
		var events corev1.EventList
		if f.read(ctx, reader, "Events", &events, client.InNamespace(o.Namespace)) {
			f.homes[o.Namespace].events = events.Items
		}
	}
	var operators appsv1.DeploymentList
	where := "Deployments of all namespaces"
	if o.OperatorNamespace != "" {
		where = "Deployments of namespace " + o.OperatorNamespace
	}
	f.read(ctx, reader, where, &operators, client.InNamespace(o.OperatorNamespace),
		client.MatchingLabels{nameLabel: ourName, componentLabel: operatorPart})
	f.operators = operators.Items
	return f, nil
}

// Nothing is what is known where nothing can be read: at most that somebody means this namespace.
func Nothing(namespace string) *Facts {
	f := &Facts{homes: map[string]*home{}}
	if namespace != "" {
		f.homes[namespace] = &home{tenant: &v1alpha1.CRMTenant{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}}
	}
	return f
}

// Namespaces are those of the tenants, in order.
func (f *Facts) Namespaces() []string { return slices.Sorted(maps.Keys(f.homes)) }

// Objects are all that were read, by namespace, kind and name as the API server lists them.
func (f *Facts) Objects() []v1alpha1.Object {
	var objects []v1alpha1.Object
	for _, namespace := range f.Namespaces() {
		objects = append(objects, f.homes[namespace].objects...)
	}
	return objects
}

// gatherKind reads the objects of one of our kinds.
func (f *Facts) gatherKind(ctx context.Context, reader client.Reader, namespace string, list client.ObjectList) error {
	plural := strings.ReplaceAll(strings.TrimSuffix(fmt.Sprintf("%T", list)[len("*v1alpha1."):], "List")+"s", "ys", "ies")
	tenants := plural == "CRMTenants"
	for next := ""; ; {
		err := reader.List(ctx, list, client.InNamespace(namespace), client.Limit(page), client.Continue(next))
		switch {
		case apierrors.IsForbidden(err) && !tenants:
			f.unseen = append(f.unseen, plural)
			return nil
		case apierrors.IsForbidden(err) && namespace == "":
			return fmt.Errorf("you may not list the CRMTenants of all namespaces: name one with --namespace: %w", err)
		case meta.IsNoMatchError(err):
			return fmt.Errorf("the cluster does not know the kinds of %s: is the chart installed?", v1alpha1.GroupVersion.Group)
		case err != nil:
			return fmt.Errorf("list the %s: %w", plural, err)
		}
		if err := meta.EachListItem(list, f.add); err != nil {
			return fmt.Errorf("read the list of %s: %w", plural, err)
		}
		if next = list.GetContinue(); next == "" {
			break
		}
	}
	if tenants && len(f.homes) == 0 {
		if namespace == "" {
			return fmt.Errorf("there is no CRMTenant in the cluster")
		}
		return fmt.Errorf("namespace %q has no CRMTenant: name the tenant's with --namespace, or see all with --all-namespaces", namespace)
	}
	return nil
}

func (f *Facts) add(o runtime.Object) error {
	object, ok := o.DeepCopyObject().(v1alpha1.Object) // the list is used again for the next page
	if !ok {
		return fmt.Errorf("%T is no kind of ours", o)
	}
	if tenant, ok := object.(*v1alpha1.CRMTenant); ok {
		f.homes[tenant.Namespace] = &home{tenant: tenant}
	}
	// What is in a namespace without a tenant belongs to nobody.
	if h := f.homes[object.GetNamespace()]; h != nil {
		h.objects = append(h.objects, object)
	}
	return nil
}

// read lists what adds to the picture, and notes what may not be read.
func (f *Facts) read(ctx context.Context, reader client.Reader, what string, list client.ObjectList, options ...client.ListOption) bool {
	err := reader.List(ctx, list, append(options, client.Limit(10*page))...)
	if err == nil {
		return true
	}
	note := what
	if !apierrors.IsForbidden(err) {
		note += " (" + err.Error() + ")"
	}
	if !slices.Contains(f.unseen, note) {
		f.unseen = append(f.unseen, note)
	}
	return false
}
