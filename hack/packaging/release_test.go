package main

import (
	"crypto/x509"
	"path/filepath"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/internal/local/postgres"
)

// release is an installation of the chart whose operator runs here as its ServiceAccount, with a token and under RBAC, as
// in a pod.
type release struct {
	*cluster
	system, account string // the operator's namespace and ServiceAccount
	rules           map[string][]rbacv1.PolicyRule
	rendered        []*unstructured.Unstructured
	deployment      *appsv1.Deployment
	kubeconfig      string
	database        *postgres.Server
	// mounts are directories of this machine, by where the operator has them.
	mounts map[string]string
	// trusted signed the metrics' certificate; nil where that is self-signed.
	trusted *x509.CertPool
}

func install(c *cluster, name, system string, args ...string) *release {
	c.t.Helper()
	c.namespace(system)
	rendered := helmTemplateAs(c.t, name, append([]string{"--namespace", system}, args...)...)
	c.apply("helm", rendered)
	r := &release{cluster: c, system: system, rendered: rendered, rules: map[string][]rbacv1.PolicyRule{}}
	for _, o := range rendered {
		switch o.GetKind() {
		case "Deployment":
			r.deployment = typed[appsv1.Deployment](c.t, o)
		case "Role":
			role := typed[rbacv1.Role](c.t, o)
			r.rules[role.Namespace] = append(r.rules[role.Namespace], role.Rules...)
		}
	}
	r.account = r.deployment.Spec.Template.Spec.ServiceAccountName
	for _, o := range rendered {
		if o.GetKind() == "ClusterRole" && o.GetName() == r.account {
			r.rules[""] = typed[rbacv1.ClusterRole](c.t, o).Rules
		}
	}
	r.kubeconfig = r.login(r.system, r.account)
	for _, volume := range r.deployment.Spec.Template.Spec.Containers[0].VolumeMounts {
		r.certify(volume.MountPath)
	}
	var err error
	r.database, err = postgres.Start(c.t.Context(), postgres.Options{Dir: c.t.TempDir()})
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.t.Cleanup(func() { _ = r.database.Kill() })
	return r
}

// certify makes the certificate of the operator's metrics, as cert-manager would.
func (r *release) certify(mountPath string) {
	r.t.Helper()
	certificate, private, err := cert.GenerateSelfSignedCertKey(r.metricsHost(), nil, nil)
	r.Expect(err).NotTo(gomega.HaveOccurred())
	r.mounts = map[string]string{mountPath: mount(r.t, &corev1.Secret{Data: map[string][]byte{"tls.crt": certificate, "tls.key": private}})}
	r.trusted = x509.NewCertPool()
	r.Expect(r.trusted.AppendCertsFromPEM(certificate)).To(gomega.BeTrue())
}

// metricsHost is the name under which a ServiceMonitor verifies the operator.
func (r *release) metricsHost() string { return r.account + "-metrics." + r.system + ".svc" }

// login writes a kubeconfig with a token of a ServiceAccount.
func (c *cluster) login(namespace, account string) string {
	c.t.Helper()
	admin := c.plane.Config()
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthorityData: admin.CAData, CertificateAuthority: admin.CAFile}
	config.AuthInfos["account"] = &clientcmdapi.AuthInfo{Token: c.token(namespace, account)}
	config.Contexts["local"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: "account"}
	config.CurrentContext = "local"
	file := filepath.Join(c.t.TempDir(), "kubeconfig")
	c.Expect(clientcmd.WriteToFile(*config, file)).To(gomega.Succeed())
	return file
}

func (c *cluster) token(namespace, account string) string {
	c.t.Helper()
	client, err := kubernetes.NewForConfig(c.plane.Config())
	c.Expect(err).NotTo(gomega.HaveOccurred())
	answer, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(c.t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	c.Expect(err).NotTo(gomega.HaveOccurred())
	return answer.Status.Token
}

// operator starts one of the Deployment's pods.
func (r *release) operator(env ...string) *program {
	r.t.Helper()
	env = append(env, "POD_NAMESPACE="+r.system, databaseURLVariable+"="+r.database.URL("postgres"))
	return runContainer(r.t, r.deployment.Spec.Template.Spec.Containers[0], r.mounts, env, "--kubeconfig", r.kubeconfig).ready()
}

// tenantPod starts one of the pods that the operator wants for a tenant.
func (r *release) tenantPod(namespace, component string) *program {
	r.t.Helper()
	deployment := &appsv1.Deployment{}
	r.Eventually(func() error {
		return r.api.Get(r.t.Context(), client.ObjectKey{Namespace: namespace, Name: "tertulia-" + component}, deployment)
	}).WithTimeout(patience).Should(gomega.Succeed())
	if err := r.admit(namespace, deployment.Spec.Template); err != nil {
		r.t.Errorf("restricted Pod Security refuses the %s: %v", component, err)
	}
	secret := &corev1.Secret{}
	r.Expect(r.api.Get(r.t.Context(), client.ObjectKey{Namespace: namespace, Name: "tertulia-runtime"}, secret)).To(gomega.Succeed())
	container := deployment.Spec.Template.Spec.Containers[0]
	return runContainer(r.t, container, map[string]string{container.VolumeMounts[0].MountPath: mount(r.t, secret)}, nil).ready()
}
