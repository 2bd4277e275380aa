package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// within is how soon a change of the tenants' directories must be noticed, also by a machine that stalls: well before directories are read anew
// that show no change, every 30 seconds.
const within = 20 * time.Second

func (f *fixture) status(path string) int {
	return f.requestAs("", http.MethodGet, f.url+path, "").status
}

func TestTenantsComeAndGo(t *testing.T) {
	f := newFixture(t)
	g := gomega.NewWithT(t)
	description := "/t/" + tenantID + "/openapi.json"
	status := func() int { return f.status(description) }
	if got := status(); got != http.StatusOK {
		t.Fatalf("a tenant that was there: status %d", got)
	}
	for _, path := range []string{"/t/other/openapi.json", "/t//openapi.json", "/t/", "/t/..%2f" + tenantID + "/openapi.json"} {
		if got := f.status(path); got != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, got)
		}
	}
	tenant, err := credentials.Read(filepath.Join(f.roots, tenantID))
	if err != nil {
		t.Fatal(err)
	}
	if err := credentials.Remove(f.roots, tenantID); err != nil {
		t.Fatal(err)
	}
	g.Eventually(status, within).Should(gomega.Equal(http.StatusNotFound))

	if err := os.Mkdir(filepath.Join(f.roots, tenantID), 0o700); err != nil { // half of it
		t.Fatal(err)
	}
	tenant.DatabaseURL = strings.Replace(tenant.DatabaseURL, "runtime@", "wrong@", 1)
	if err := credentials.Write(f.roots, tenant); err != nil {
		t.Fatal(err)
	}
	contact := func() int {
		return f.request(http.MethodGet, "/v1/contacts/7f000000-0000-4000-8000-000000000000", "").status
	}
	g.Eventually(status, within).Should(gomega.Equal(http.StatusOK))
	if got := contact(); got == http.StatusNotFound {
		t.Errorf("with a wrong password: status %d", got)
	}
	tenant.DatabaseURL = strings.Replace(tenant.DatabaseURL, "wrong@", "runtime@", 1)
	if err := credentials.Write(f.roots, tenant); err != nil {
		t.Fatal(err)
	}
	g.Eventually(contact, within).Should(gomega.Equal(http.StatusNotFound)) // it looked
	if log := f.log.String(); strings.Contains(log, "runtime@") || strings.Contains(log, "wrong") || strings.Contains(log, "ttl_") {
		t.Errorf("the log holds a secret: %s", log)
	}
}

func TestTenantsAreServedAtTheirHost(t *testing.T) {
	f := newFixture(t)
	tenant, err := credentials.Read(filepath.Join(f.roots, tenantID))
	if err != nil {
		t.Fatal(err)
	}
	tenant.PublicURL = "https://crm.velo.example"
	if err := credentials.Write(f.roots, tenant); err != nil {
		t.Fatal(err)
	}
	// A tenant may own its database: what it writes there must not bring it another tenant's requests.
	f.exec("update tenant set public_url = 'https://other.example'")
	f.stop()
	f.url = f.serve()
	g := gomega.NewWithT(t)
	at := func(host, path string) int {
		return f.requestAs("", http.MethodGet, f.url+path, "", "Host", host).status
	}
	g.Eventually(func() int { return at("crm.velo.example", "/openapi.json") }, within).Should(gomega.Equal(http.StatusOK))
	for name, c := range map[string]struct {
		host, path string
		want       int
	}{
		"with a port":                     {"CRM.velo.example:443", "/openapi.json", 200},
		"another host":                    {"other.example", "/openapi.json", 404},
		"metrics are not for the world":   {"crm.velo.example", "/metrics", 404},
		"health neither":                  {"crm.velo.example", "/livez", 404},
		"by path as before":               {"other.example", "/t/" + tenantID + "/openapi.json", 200},
		"nor metrics for who asks the IP": {"10.0.0.1:8080", "/metrics", 404},
		"nor health":                      {"10.0.0.1:8080", "/readyz", 404},
	} {
		t.Run(name, func(t *testing.T) {
			if got := at(c.host, c.path); got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
		})
	}
}

// health asks a probe.
func (f *fixture) health(path string) int {
	return f.requestAs("", http.MethodGet, "http://"+f.probe+path, "").status
}

func TestHealthWithoutTheDatabase(t *testing.T) {
	f := newFixture(t)
	g := gomega.NewWithT(t)
	ready := func() int { return f.health("/readyz") }
	g.Eventually(ready, within).Should(gomega.Equal(200))
	database := f.db.Pool.Config().ConnConfig.Database
	f.asAdmin("alter database " + database + " allow_connections false")
	f.cutConnections()
	g.Eventually(ready, 3*within).Should(gomega.Equal(503))
	if live := f.health("/livez"); live != 200 {
		t.Errorf("a server whose database is away lives: status %d", live)
	}
	got := f.request(http.MethodPost, "/v1/contacts:batch", `{"contacts": [{"external_id": "a"}]}`)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a request: status %d, %v: %s", got.status, got.header, got.body)
	}
	f.asAdmin("alter database " + database + " allow_connections true")
	g.Eventually(ready, 3*within).Should(gomega.Equal(200))
	if err := credentials.Remove(f.roots, tenantID); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() int { return ready() + f.status("/t/"+tenantID+"/openapi.json") }, within).Should(gomega.Equal(200 + 404))
}

func TestMetricsAreForTheBearerOfTheToken(t *testing.T) {
	f := newFixture(t)
	scrape := func(token string) int {
		return f.requestAs(token, http.MethodGet, "http://"+f.metrics+"/metrics", "").status
	}
	if got := scrape(""); got != 200 {
		t.Errorf("where no tenant names a token: status %d", got)
	}
	tenant, err := credentials.Read(filepath.Join(f.roots, tenantID))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("scraper"))
	tenant.MetricsTokenSHA256 = hex.EncodeToString(sum[:])
	if err := credentials.Write(f.roots, tenant); err != nil {
		t.Fatal(err)
	}
	gomega.NewWithT(t).Eventually(func() int { return scrape("") }, within).Should(gomega.Equal(401))
	if got := scrape("scraper"); got != 200 {
		t.Errorf("with the token: status %d", got)
	}
	if got := scrape(f.token); got != 401 {
		t.Errorf("with the tenant's own token: status %d", got)
	}
}

func TestMetricsAreBoundedAndHoldNobody(t *testing.T) {
	f := newFixture(t)
	f.request(http.MethodGet, "/u/some-token", "")
	f.request(http.MethodGet, "/v1/contacts/7f000000-0000-4000-8000-000000000000", "")
	f.request("BREW", "/made/up/path", "")
	f.importCSV("external_id,email\nC1,ana@example.com\nC2,nonsense\n")
	got := f.requestAs("", http.MethodGet, "http://"+f.metrics+"/metrics", "").body
	for _, want := range []string{
		`tertulia_http_requests_total{code="404",method="GET",route="GET /u/{token}",tenant="velo-test"} 1`,
		`tertulia_http_requests_total{code="404",method="GET",route="GET /v1/contacts/{id}",tenant="velo-test"} 1`,
		`tertulia_http_requests_total{code="404",method="other",route="other",tenant="velo-test"} 1`,
		`tertulia_contact_rows_total{outcome="created",tenant="velo-test"} 1`, `tertulia_contact_rows_total{outcome="rejected",tenant="velo-test"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, never := range []string{"some-token", "7f000000", "made", "ana@", "BREW"} {
		if strings.Contains(got, never) {
			t.Errorf("the metrics hold %s", never)
		}
	}
}

func TestAServerOfSingleDirectories(t *testing.T) {
	f := newFixture(t)
	f.stop()
	f.dirs = []string{filepath.Join(f.roots, tenantID), filepath.Join(t.TempDir(), "absent")}
	f.roots = t.TempDir()
	f.url = f.serve()
	gomega.NewWithT(t).Eventually(func() int { return f.status("/t/" + tenantID + "/openapi.json") }, within).Should(gomega.Equal(200))
}
