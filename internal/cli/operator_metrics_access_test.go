package cli

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestWhoReadsTheOperatorsMetrics asks as everybody who may come, at an API server that is there and one that is not.
func TestWhoReadsTheOperatorsMetrics(t *testing.T) {
	plane, api := startCluster(t)
	for _, o := range []client.Object{
		&rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "metrics"}, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
		},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "metrics"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "metrics", APIGroup: rbacv1.GroupName},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "reader"}},
		},
	} {
		if err := api.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	away := rest.CopyConfig(plane.Config())
	away.Host = "https://127.0.0.1:1"
	reader, stranger := "Bearer "+tokenOf(t, api, "reader"), tokenOf(t, api, "stranger")
	there, nowhere := guarded(t, plane.Config()), guarded(t, away)
	for name, tc := range map[string]struct {
		guard                       http.Handler
		method, path, authorization string
		want                        int
	}{
		"nobody":                     {there, http.MethodGet, "/metrics", "", http.StatusUnauthorized},
		"a password":                 {there, http.MethodGet, "/metrics", "Basic cmVhZGVyOnJlYWRlcg==", http.StatusUnauthorized},
		"a token that is made up":    {there, http.MethodGet, "/metrics", "Bearer eyJhbGciOiJub25lIn0.e30.", http.StatusUnauthorized},
		"somebody without a right":   {there, http.MethodGet, "/metrics", "Bearer " + stranger, http.StatusForbidden},
		"the reader":                 {there, http.MethodGet, "/metrics", reader, http.StatusOK},
		"the reader, elsewhere":      {there, http.MethodGet, "/debug", reader, http.StatusForbidden},
		"the reader, to write":       {there, http.MethodPost, "/metrics", reader, http.StatusForbidden},
		"while there is no answer":   {nowhere, http.MethodGet, "/metrics", reader, http.StatusServiceUnavailable},
		"nobody, while there's none": {nowhere, http.MethodGet, "/metrics", "", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), tc.method, tc.path, nil)
			request.Header.Set("Authorization", tc.authorization)
			answer := httptest.NewRecorder()
			tc.guard.ServeHTTP(answer, request)
			if answer.Code != tc.want {
				t.Errorf("got %d, want %d", answer.Code, tc.want)
			}
		})
	}
}

// guarded is a page that the API server of config guards.
func guarded(t *testing.T, config *rest.Config) http.Handler {
	t.Helper()
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	filter, err := guardMetrics(config, transport)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := filter(logr.Discard(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// tokenOf makes a ServiceAccount of the namespace default, and a token of it.
func tokenOf(t *testing.T, api client.Client, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}}
	if err := api.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{}
	if err := api.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}
