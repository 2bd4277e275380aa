package overview

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { controlplanetest.Main(m) }

// now is when every screen of these tests is looked at.
var now = time.Date(2027, 3, 1, 8, 10, 0, 0, time.UTC)

// city is a namespace with a tenant, on a real API server.
type city struct {
	t         *testing.T
	api       client.Client
	namespace string
}

func newCity(t *testing.T, namespace string) *city {
	t.Helper()
	c := &city{t: t, api: clientAs(t, controlplanetest.Shared(t).Config()), namespace: namespace}
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	c.do(c.api.Create(t.Context(), n))
	t.Cleanup(func() {
		// The namespace takes a while to end, and the next test looks at all of them.
		for _, kind := range []client.Object{&v1alpha1.CRMTenant{}, &appsv1.Deployment{}} {
			c.do(c.api.DeleteAllOf(context.Background(), kind, client.InNamespace(namespace)))
		}
		c.do(c.api.Delete(context.Background(), n))
	})
	return c
}

func clientAs(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func (c *city) do(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *city) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: c.namespace, Name: name}
}

// put makes an object with a status, as the operator would have left it.
func (c *city) put(o v1alpha1.Object, conditions ...metav1.Condition) {
	c.t.Helper()
	with := o.DeepCopyObject().(v1alpha1.Object)
	c.do(c.api.Create(c.t.Context(), o))
	with.SetResourceVersion(o.GetResourceVersion())
	with.CommonStatus().ObservedGeneration = o.GetGeneration()
	for _, condition := range conditions {
		condition.ObservedGeneration, condition.LastTransitionTime = o.GetGeneration(), metav1.NewTime(now.Add(-time.Hour))
		with.CommonStatus().Conditions = append(with.CommonStatus().Conditions, condition)
	}
	c.do(c.api.Status().Update(c.t.Context(), with))
}

func is(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message}
}

func isNot(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

var inForce = is(v1alpha1.ReadyCondition, v1alpha1.InForceReason, "In force.")

func (c *city) tenant(status v1alpha1.CRMTenantStatus, conditions ...metav1.Condition) {
	c.t.Helper()
	c.put(&v1alpha1.CRMTenant{ObjectMeta: c.named("default"), Spec: v1alpha1.CRMTenantSpec{
		ID: c.namespace + "-production", DisplayName: "Velo Ciclismo", TimeZone: "Europe/Madrid", Locales: []v1alpha1.Locale{"es"},
		PublicURL: "https://" + c.namespace + ".example",
	}, Status: status}, conditions...)
}

func (c *city) segment(name string, conditions ...metav1.Condition) {
	c.t.Helper()
	c.put(&v1alpha1.Segment{ObjectMeta: c.named(name), Spec: v1alpha1.SegmentSpec{Match: "true"}}, conditions...)
}

func (c *city) campaign(name string, suspend bool, status v1alpha1.CampaignStatus, conditions ...metav1.Condition) {
	c.t.Helper()
	c.put(&v1alpha1.Campaign{ObjectMeta: c.named(name), Spec: v1alpha1.CampaignSpec{
		SendKey: name, Purpose: "newsletter", ChannelRef: v1alpha1.LocalReference{Name: "newsletter"}, Suspend: suspend,
		Audience: v1alpha1.Audience{Segments: []v1alpha1.LocalReference{{Name: "all"}}, MaxRecipients: 100},
		Variants: []v1alpha1.Variant{{Name: "a", TemplateRef: v1alpha1.LocalReference{Name: "spring"}}},
		Schedule: v1alpha1.Schedule{At: "2027-03-21T09:00:00"},
	}, Status: status}, conditions...)
}

func (c *city) deployment(component, image string, desired, ready int32) {
	c.t.Helper()
	labels := map[string]string{nameLabel: ourName, componentLabel: component}
	d := &appsv1.Deployment{ObjectMeta: c.named("tertulia-" + component), Spec: appsv1.DeploymentSpec{
		Replicas: &desired, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: component, Image: image}}},
		},
	}}
	d.Labels = labels
	c.do(c.api.Create(c.t.Context(), d))
	d.Status.Replicas, d.Status.ReadyReplicas = desired, ready
	c.do(c.api.Status().Update(c.t.Context(), d))
}

func (c *city) began(campaign string, at time.Time) {
	c.t.Helper()
	c.do(c.api.Create(c.t.Context(), &corev1.Event{
		ObjectMeta: c.named("began"), InvolvedObject: corev1.ObjectReference{Kind: "Campaign", Name: campaign, Namespace: c.namespace},
		Reason: v1alpha1.SendingStartedReason, Type: corev1.EventTypeNormal, EventTime: metav1.NewMicroTime(at),
		ReportingController: "tertulia-operator", ReportingInstance: "tertulia-operator-0", Action: "Reconcile",
	}))
}

// overview is what somebody sees.
func (c *city) overview(reader client.Reader, o Options) Overview {
	c.t.Helper()
	facts, err := Gather(c.t.Context(), reader, o)
	c.do(err)
	return Plan(facts, now)
}

func golden(t *testing.T, name string, write func(*bytes.Buffer) error) {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func count(n int64) *int64 { return &n }

// busy is a tenant that is well and has a lot to do.
func busy(t *testing.T, namespace string) *city {
	c := newCity(t, namespace)
	c.tenant(v1alpha1.CRMTenantStatus{
		Database: "tertulia_" + namespace, SchemaVersion: 3,
		Workers: &v1alpha1.ProcessCount{Desired: 2, Ready: 2}, Servers: &v1alpha1.ProcessCount{Desired: 1, Ready: 1},
	}, inForce, is(v1alpha1.WorkloadsReadyCondition, v1alpha1.RunningReason, "All run."),
		isNot(v1alpha1.RuntimeRoleCondition, v1alpha1.OwnerRunsReason, "Workers and servers use the owner's login, because the owner may not create roles."))
	c.deployment(operatorPart, "registry.example:5000/tertulia:1.4.0", 2, 2)
	c.deployment(workerPart, "registry.example:5000/tertulia:1.4.0", 2, 2)
	c.deployment(serverPart, "registry.example:5000/tertulia@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 1, 1)
	c.segment("all", inForce)
	c.segment("lapsed-club", isNot(v1alpha1.ReadyCondition, v1alpha1.BuildingReason, "The definition is accepted. A worker is to build the membership."),
		is(v1alpha1.ReconcilingCondition, v1alpha1.BuildingReason, "The definition is accepted. A worker is to build the membership."))
	healthy := is(v1alpha1.HealthyCondition, v1alpha1.DeliveringReason, "Nothing holds the delivery up.")
	c.campaign("spring-2027", false, v1alpha1.CampaignStatus{
		Phase: v1alpha1.CampaignSending, Planned: count(48_231), Sent: count(23_000), Failed: count(12), Ambiguous: count(3),
		Skipped: count(1_216), Pending: count(24_000),
	}, inForce, healthy)
	c.began("spring-2027", now.Add(-5*time.Minute))
	soon := metav1.NewTime(now.Add(74 * time.Hour))
	c.campaign("women-s-day", false, v1alpha1.CampaignStatus{Phase: v1alpha1.CampaignScheduled, ScheduledFor: &soon}, inForce, healthy)
	c.campaign("winter", true, v1alpha1.CampaignStatus{Phase: v1alpha1.CampaignPaused}, inForce, healthy)
	ended := metav1.NewTime(now.Add(-50 * time.Hour))
	c.campaign("autumn", false, v1alpha1.CampaignStatus{
		Phase: v1alpha1.CampaignCompleted, FinishedAt: &ended, Planned: count(2_089), Sent: count(1_717), Skipped: count(372), Failed: count(0), Ambiguous: count(0),
	}, inForce, healthy)
	return c
}

func TestScreenOfATenantThatIsWell(t *testing.T) {
	c := busy(t, "velo")
	o := c.overview(c.api, Options{Namespace: c.namespace})
	if !o.Well() {
		t.Error("a tenant that is well is told to be wrong")
	}
	golden(t, "well", func(w *bytes.Buffer) error { return Screen(w, o, Look{}) })
	golden(t, "narrow", func(w *bytes.Buffer) error { return Screen(w, o, Look{Width: 60}) })
	golden(t, "colour", func(w *bytes.Buffer) error { return Screen(w, o, Look{Width: 80, Colour: true}) })
}

// TestScreenForWhoMayReadOurKindsOnly: more is not needed, and what is missing is said.
func TestScreenForWhoMayReadOurKindsOnly(t *testing.T) {
	c := busy(t, "vista")
	rules := []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"crmtenants", "campaigns", "segments"}, Verbs: []string{"list"}}}
	c.do(c.api.Create(t.Context(), &rbacv1.Role{ObjectMeta: c.named("reader"), Rules: rules}))
	c.do(c.api.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: c.named("reader"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "marketer"}},
	}))
	config := controlplanetest.Shared(t).Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: "marketer"}
	reader := clientAs(t, config)
	// Who decides what is allowed hears of a role some moments after it was made.
	c.do(wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := reader.List(ctx, &v1alpha1.CRMTenantList{}, client.InNamespace(c.namespace))
		if apierrors.IsForbidden(err) {
			return false, nil
		}
		return true, err
	}))
	golden(t, "restricted", func(w *bytes.Buffer) error {
		return Screen(w, c.overview(reader, Options{Namespace: c.namespace}), Look{})
	})
	if _, err := Gather(t.Context(), reader, Options{}); err == nil {
		t.Error("somebody who may read one namespace was shown all")
	}
}

func TestScreenOfTenantsThatAreNotWell(t *testing.T) {
	c := newCity(t, "malo")
	c.tenant(v1alpha1.CRMTenantStatus{
		Database: "tertulia_malo_production", SchemaVersion: 3,
		Workers: &v1alpha1.ProcessCount{Desired: 2, Ready: 0}, Servers: &v1alpha1.ProcessCount{Desired: 1, Ready: 1},
	},
		isNot(v1alpha1.ReadyCondition, v1alpha1.DatabaseDownReason, "The tenant's database cannot be reached. The operator keeps trying."),
		is(v1alpha1.ReconcilingCondition, v1alpha1.DatabaseDownReason, "The tenant's database cannot be reached. The operator keeps trying."),
		isNot(v1alpha1.WorkloadsReadyCondition, v1alpha1.PodsCrashReason, "Of 2 workers, 2 end again and again with exit code 1."),
		is(v1alpha1.QuarantinedCondition, v1alpha1.LedgerBehindReason, "The ledger knows fewer messages than the cluster remembers."))
	c.deployment(operatorPart, "tertulia:1.4.0", 2, 0)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		c.segment(name, isNot(v1alpha1.ReadyCondition, v1alpha1.TenantNotReadyReason, "The CRMTenant is not ready: DatabaseUnavailable."))
	}
	wrong := "spec.match: 1:9: contact has no attribute \"plam\"\x1b[2J: did you mean \"plan\"?"
	for _, name := range []string{"typo-1", "typo-2", "typo-3", "typo-4", "typo-5"} {
		c.segment(name, isNot(v1alpha1.ReadyCondition, v1alpha1.ExpressionInvalidReason, wrong), is(v1alpha1.StalledCondition, v1alpha1.ExpressionInvalidReason, wrong))
	}
	c.campaign("summer", false, v1alpha1.CampaignStatus{Phase: v1alpha1.CampaignHeld}, inForce,
		isNot(v1alpha1.HealthyCondition, v1alpha1.AttentionNeededReason, "The audience of 61,204 is larger than spec.audience.maxRecipients, 50,000: raise the bound or narrow the audience."))
	other := newCity(t, "bueno")
	other.tenant(v1alpha1.CRMTenantStatus{Database: "tertulia_bueno_production", SchemaVersion: 3}, inForce)
	edited := other.named("edited")
	other.do(other.api.Create(t.Context(), &v1alpha1.Segment{ObjectMeta: edited, Spec: v1alpha1.SegmentSpec{Match: "true"}}))

	o := c.overview(c.api, Options{Namespace: c.namespace, OperatorNamespace: c.namespace})
	if o.Well() {
		t.Error("a tenant with troubles is told to be well")
	}
	golden(t, "wrong", func(w *bytes.Buffer) error { return Screen(w, o, Look{}) })
	all := c.overview(c.api, Options{})
	golden(t, "all", func(w *bytes.Buffer) error { return Table(w, all, Look{}) })
	if got := []bool{all.Tenants[0].Well, all.Tenants[1].Well}; !cmp.Equal(got, []bool{true, false}) {
		t.Errorf("well: got %v, want the first only", got)
	}
}

func TestGatherWithoutATenant(t *testing.T) {
	api := clientAs(t, controlplanetest.Shared(t).Config())
	if _, err := Gather(t.Context(), api, Options{Namespace: "nobody-s"}); err == nil {
		t.Error("a namespace without a tenant has a status")
	}
}
