package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/internal/local/mailbox"
)

// people is how many contacts the campaign is sent to.
const people = 25

// unseen are the grants that the life of a campaign does not show in the audit, and why the operator has them.
var unseen = map[string]string{
	"update crmtenants/finalizers.crm.tertulia.dev": "no request of its own: OpenShift, which enables OwnerReferencesPermissionEnforcement, asks for it when an " +
		"object is made whose owner is not to be deleted before it",
	"patch events.events.k8s.io": "an event that is told twice of one version of an object within minutes is patched, and nothing in this life is told twice",
}

// ready waits until every object of ours in a namespace is in force, and says what is not.
func (r *release) ready(list []*unstructured.Unstructured) {
	r.t.Helper()
	r.Eventually(func() []string {
		var waiting []string
		for _, o := range list {
			if o.GroupVersionKind().Group != "crm.tertulia.dev" {
				continue
			}
			stored := o.DeepCopy()
			if err := r.api.Get(r.t.Context(), client.ObjectKeyFromObject(o), stored); err != nil {
				waiting = append(waiting, err.Error())
				continue
			}
			conditions, _, _ := unstructured.NestedSlice(stored.Object, "status", "conditions")
			ready := slices.ContainsFunc(conditions, func(c any) bool {
				m := c.(map[string]any)
				return m["type"] == "Ready" && m["status"] == "True" && m["observedGeneration"] == stored.GetGeneration()
			})
			if !ready {
				waiting = append(waiting, fmt.Sprintf("%s: %v", key(o), conditions))
			}
		}
		return waiting
	}).WithTimeout(patience).Should(gomega.BeEmpty())
}

// manifests are what a team applies in its namespace.
func (r *release) manifests(namespace, smtp string) []*unstructured.Unstructured {
	r.t.Helper()
	text, err := os.ReadFile("testdata/campaign.yaml")
	r.Expect(err).NotTo(gomega.HaveOccurred())
	_, port, err := net.SplitHostPort(smtp)
	r.Expect(err).NotTo(gomega.HaveOccurred())
	return objects(r.t, strings.NewReplacer("NAMESPACE", namespace, "SMTP_PORT", port).Replace(string(text)))
}

// bring imports people through the tenant's server, as the administrator whose token the operator wrote.
func (r *release) bring(namespace string, server *program) {
	r.t.Helper()
	admin := &corev1.Secret{}
	r.Expect(r.api.Get(r.t.Context(), client.ObjectKey{Namespace: namespace, Name: "tertulia-admin"}, admin)).To(gomega.Succeed())
	rows := "external_id,email,first_name,consent:newsletter\n"
	for i := range people {
		rows += fmt.Sprintf("C%d,c%d@example.com,Ana,true\n", i, i)
	}
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost,
		"http://"+server.addresses["http"]+"/t/"+namespace+"/v1/imports/contacts?source=shop", strings.NewReader(rows))
	r.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Authorization", "Bearer "+string(admin.Data["token"]))
	request.Header.Set("Content-Type", "text/csv")
	response, err := http.DefaultClient.Do(request)
	r.Expect(err).NotTo(gomega.HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	r.Expect(err).NotTo(gomega.HaveOccurred())
	r.Expect(response.StatusCode).To(gomega.Equal(http.StatusOK), string(answer))
	r.Expect(string(answer)).To(gomega.ContainSubstring(`"created":%d`, people))
}

// edit changes an object as its author would.
func (r *release) edit(o *unstructured.Unstructured, value any, path ...string) {
	r.t.Helper()
	r.Expect(unstructured.SetNestedField(o.Object, value, path...)).To(gomega.Succeed())
	r.apply("team", []*unstructured.Unstructured{o})
}

// live leads a tenant from its namespace to the end of that, through everything that the operator has to do for it.
func (r *release) live(namespace string, mail *mailbox.Mailbox) {
	r.t.Helper()
	r.namespace(namespace)
	operator := r.operator()
	all := r.manifests(namespace, mail.SMTPAddr())
	named := byKey(r.t, all)
	campaign := named["Campaign.crm.tertulia.dev "+namespace+"/hello"]
	before := slices.DeleteFunc(slices.Clone(all), func(o *unstructured.Unstructured) bool { return o == campaign })
	r.apply("team", before)
	r.t.Log("the tenant gets its server and its worker")
	server := r.tenantPod(namespace, "server")
	worker := r.tenantPod(namespace, "worker")
	r.bring(namespace, server)
	r.ready(before)
	r.Eventually(r.status(named["Segment.crm.tertulia.dev "+namespace+"/everyone"], "members")).WithTimeout(patience).Should(gomega.BeEquivalentTo(people))

	r.t.Log("a campaign is sent")
	r.apply("team", all)
	r.Eventually(mail.Store().Len).WithTimeout(patience).Should(gomega.Equal(people))
	r.Eventually(r.status(campaign, "phase")).WithTimeout(patience).Should(gomega.Equal("Completed"))

	r.t.Log("what it stands on is changed, again and again, so that the same is told twice")
	for _, description := range []string{"All.", "All of them.", "Everybody."} {
		r.edit(named["Segment.crm.tertulia.dev "+namespace+"/everyone"], description, "spec", "description")
		r.ready(before)
	}
	r.edit(named["Secret "+namespace+"/relay"], "second", "stringData", "password")
	r.edit(named["Secret "+namespace+"/care"], "another-key-of-24-bytes-or-more", "stringData", "signing-key")
	r.edit(named["SocialSource.crm.tertulia.dev "+namespace+"/care"], "90d", "spec", "keep")
	r.edit(named["Monitor.crm.tertulia.dev "+namespace+"/velo"], "What is said of us.", "spec", "description")
	r.edit(named["AutomationRule.crm.tertulia.dev "+namespace+"/thanks"], "For who buys.", "spec", "description")
	r.edit(named["ServiceQueue.crm.tertulia.dev "+namespace+"/care"], "Who complains.", "spec", "description")
	r.edit(named["ConfigMap "+namespace+"/texts"], `<p>Hola</p><p><a href="{{ unsubscribe_url }}">Baja</a></p>`, "data", "es.html")
	r.edit(named["CRMTenant.crm.tertulia.dev "+namespace+"/default"], "Velo Ciclismo", "spec", "displayName")
	r.ready(all)

	r.t.Log("somebody meddles with what the operator made, which makes it anew")
	r.meddle(namespace)

	r.t.Log("another operator takes over; all is applied once more, and nobody is written to again")
	operator.stop()
	// Before Kubernetes 1.34, a watch does not begin with what is there already: it is listed first.
	operator = r.operator("KUBE_FEATURE_WatchListClient=false")
	r.apply("team", all)
	r.ready(all)
	r.prometheus(operator)

	r.t.Log("the campaign goes and comes back, and the namespace ends")
	r.remove(campaign)
	r.apply("team", []*unstructured.Unstructured{campaign})
	r.Eventually(r.status(campaign, "phase")).WithTimeout(patience).Should(gomega.Equal("Completed"))
	r.Expect(mail.Store().Len()).To(gomega.Equal(people))
	if len(r.rules[namespace]) > 0 {
		// With the namespace goes the Role, before the operator could let go of what is in it.
		for _, o := range slices.Backward(all) {
			r.remove(o)
		}
	}
	r.remove(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	worker.stop()
	server.stop()
	operator.stop()
}

// status asks for a field of an object's status.
func (r *release) status(o *unstructured.Unstructured, field string) func() (any, error) {
	return func() (any, error) {
		stored := o.DeepCopy()
		err := r.api.Get(r.t.Context(), client.ObjectKeyFromObject(o), stored)
		value, _, _ := unstructured.NestedFieldNoCopy(stored.Object, "status", field)
		return value, err
	}
}

// remove deletes an object and waits until it is gone.
func (r *release) remove(o client.Object) {
	r.t.Helper()
	o = o.DeepCopyObject().(client.Object)
	r.Expect(r.api.Delete(r.t.Context(), o)).To(gomega.Succeed())
	r.Eventually(func() string {
		err := r.api.Get(r.t.Context(), client.ObjectKeyFromObject(o), o)
		switch {
		case apierrors.IsNotFound(err):
			return ""
		case err != nil:
			return err.Error()
		}
		if namespace, ok := o.(*corev1.Namespace); ok {
			return fmt.Sprint(namespace.Status.Conditions)
		}
		return "still there"
	}).WithTimeout(patience).Should(gomega.BeEmpty())
}

// meddle deletes and changes what the operator owns, and waits for it to be as it was.
func (r *release) meddle(namespace string) {
	r.t.Helper()
	ctx := r.t.Context()
	admin := &corev1.Secret{}
	r.Expect(r.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "tertulia-admin"}, admin)).To(gomega.Succeed())
	server := admin.Data["server"]
	admin.Data["server"] = []byte("http://nowhere.example")
	r.Expect(r.api.Update(ctx, admin)).To(gomega.Succeed())
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tertulia-worker"}}
	r.Expect(r.api.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(gomega.Succeed())
	was := deployment.Generation
	deployment.Spec.Template.Spec.Containers[0].Image = "other"
	r.Expect(r.api.Update(ctx, deployment)).To(gomega.Succeed())
	r.Eventually(func(g gomega.Gomega) {
		g.Expect(r.api.Get(ctx, client.ObjectKeyFromObject(admin), admin)).To(gomega.Succeed())
		g.Expect(admin.Data["server"]).To(gomega.Equal(server))
		g.Expect(r.api.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(gomega.Succeed())
		g.Expect(deployment.Generation).To(gomega.BeNumerically(">", was+1))
		g.Expect(deployment.Spec.Template.Spec.Containers[0].Image).NotTo(gomega.Equal("other"))
	}).WithTimeout(patience).Should(gomega.Succeed())
	metrics := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.system, Name: "tertulia-metrics"}}
	r.Expect(r.api.Get(ctx, client.ObjectKeyFromObject(metrics), metrics)).To(gomega.Succeed())
	metrics.Data = nil
	r.Expect(r.api.Update(ctx, metrics)).To(gomega.Succeed())
	r.Eventually(func(g gomega.Gomega) {
		g.Expect(r.api.Get(ctx, client.ObjectKeyFromObject(metrics), metrics)).To(gomega.Succeed())
		g.Expect(metrics.Data).To(gomega.HaveKey("token"))
	}).WithTimeout(patience).Should(gomega.Succeed())
}

// comeBack makes a namespace again that was looked after and ended: an operator that begins meanwhile looks after the
// others, and begins anew when there is a Role for it.
func (r *release) comeBack(namespace string) {
	r.t.Helper()
	operator := r.operator()
	r.namespace(namespace)
	r.apply("helm", slices.DeleteFunc(slices.Clone(r.rendered), func(o *unstructured.Unstructured) bool { return o.GetNamespace() != namespace }))
	r.Eventually(operator.ended).WithTimeout(patience).Should(gomega.BeClosed())
	r.Expect(operator.log.String()).To(gomega.ContainSubstring("begin anew, because namespaces may be looked after now: " + namespace))
	r.operator().stop()
}

// prometheus asks for the operator's metrics as three different clients.
func (r *release) prometheus(operator *program) {
	r.t.Helper()
	for account, want := range map[string]int{"": http.StatusUnauthorized, "stranger": http.StatusForbidden, "prometheus": http.StatusOK} {
		request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "https://"+operator.addresses["metrics"]+"/metrics", nil)
		r.Expect(err).NotTo(gomega.HaveOccurred())
		if account != "" {
			object := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: r.system, Name: account}}
			r.Expect(client.IgnoreAlreadyExists(r.api.Create(r.t.Context(), object))).To(gomega.Succeed())
			request.Header.Set("Authorization", "Bearer "+r.token(r.system, account))
		}
		trust := &tls.Config{RootCAs: r.trusted, ServerName: r.metricsHost(), InsecureSkipVerify: r.trusted == nil} //nolint:gosec // self-signed then
		transport := &http.Transport{TLSClientConfig: trust}
		defer transport.CloseIdleConnections()
		r.Eventually(func() (int, error) { // the listener opens beside the probes'
			response, err := (&http.Client{Transport: transport}).Do(request)
			if err != nil {
				return 0, err
			}
			return response.StatusCode, response.Body.Close()
		}).WithTimeout(patience).Should(gomega.Equal(want), "metrics for %q", account)
	}
}

// TestOperatorIsAllowedWhatItDoesAndNoMore runs the operator with the chart's ServiceAccount, and compares what it asked the API
// server for with what its roles allow.
func TestOperatorIsAllowedWhatItDoesAndNoMore(t *testing.T) {
	for name, tt := range map[string]struct {
		release, system, tenant string
		values                  []string
	}{
		"in the whole cluster": {"whole", "whole-system", "whole", []string{"--set", "rbac.people=false"}},
		"in one namespace": {"one", "one-system", "alone", []string{
			"--set", "watchNamespaces={alone,quiet},crds.install=false,rbac.people=false", "--set", "metrics.certificateSecret=certificate",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := inCluster(t)
			c.apply("helm", slices.DeleteFunc(helmTemplate(t), func(o *unstructured.Unstructured) bool { return o.GetKind() != "CustomResourceDefinition" }))
			for _, namespace := range []string{tt.tenant, "quiet"} { // Roles need them
				c.namespace(namespace)
			}
			mail, err := mailbox.Start(mailbox.Options{Dir: t.TempDir(), SMTP: "127.0.0.1:0", Web: "127.0.0.1:0"})
			c.Expect(err).NotTo(gomega.HaveOccurred())
			t.Cleanup(func() { _ = mail.Stop(context.Background()) })
			r := install(c, tt.release, tt.system, append(tt.values,
				"--set", "fullnameOverride="+tt.release+"-operator,metrics.readers[0].name=prometheus,metrics.readers[0].namespace="+tt.system)...)
			asked := func() []request { return r.requests("system:serviceaccount:" + r.system + ":" + r.account) }
			defer func() { // also where it went no further for that
				for _, q := range asked() {
					if q.forbidden() {
						t.Errorf("forbidden: %s", q)
					}
				}
			}()
			r.live(tt.tenant, mail)
			if len(r.rules[tt.tenant]) > 0 {
				r.comeBack(tt.tenant)
			}

			idle := unused(r.rules[""], nil, asked())
			for _, namespace := range []string{r.system, tt.tenant} {
				idle = append(idle, unused(r.rules[namespace], []string{namespace}, asked())...)
			}
			for grant := range unseen {
				if i := slices.Index(idle, grant); i >= 0 {
					idle = slices.Delete(idle, i, i+1)
				}
			}
			if len(idle) > 0 {
				t.Errorf("the operator may do what it never did:\n%s", strings.Join(idle, "\n"))
			}
		})
	}
}
