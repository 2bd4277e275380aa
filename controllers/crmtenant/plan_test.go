package crmtenant

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

type fixedCluster struct{}

func (fixedCluster) TenantURL(id string) string { return "postgres://admin:a@db:5432/of-" + id }

func brings() v1alpha1.CRMTenantSpec {
	return v1alpha1.CRMTenantSpec{ID: "velo-demo", Database: &v1alpha1.TenantDatabase{SecretRef: v1alpha1.LocalReference{Name: "db"}}}
}

func TestPlanPlace(t *testing.T) {
	tests := map[string]struct {
		reason string
		spec   v1alpha1.CRMTenantSpec
		facts  facts
		want   tenancy.Place
		refuse string // reason of the condition
	}{
		"default cluster": {
			"the operator becomes the owner",
			v1alpha1.CRMTenantSpec{ID: "velo-demo"},
			facts{clusters: fixedCluster{}},
			tenancy.Place{URL: "postgres://admin:a@db:5432/of-velo-demo", Role: "tertulia_velo_demo_owner"},
			"",
		},
		"no default cluster": {"an edit can name one", v1alpha1.CRMTenantSpec{ID: "velo-demo"}, facts{}, tenancy.Place{}, v1alpha1.InvalidSpecReason},
		"brought": {
			"its owner logs in", brings(),
			facts{brought: true, uri: "postgresql://app:p@pg/app", clusters: fixedCluster{}},
			tenancy.Place{URL: "postgresql://app:p@pg/app"},
			"",
		},
		"brought, with a file of ours": {
			"its content would travel to a server of the tenant's choice",
			brings(),
			facts{brought: true, uri: "postgresql://app:hush@pg/app?passfile=/root/.pgpass"},
			tenancy.Place{},
			v1alpha1.InvalidDatabaseURLReason,
		},
		"brought, unreadable": {"the Secret can be mended", brings(), facts{brought: true, uri: "host=pg password=hush"}, tenancy.Place{}, v1alpha1.InvalidDatabaseURLReason},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := planPlace(tc.spec, tc.facts)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if (err == nil) != (tc.refuse == "") || err != nil && !strings.HasPrefix(err.Error(), tc.refuse) {
				t.Errorf("got %v, want %q (%s)", err, tc.refuse, tc.reason)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

func TestPlanLogin(t *testing.T) {
	place := tenancy.Place{URL: "postgres://app:p@pg:5432/app?sslmode=require"}
	made := "postgres://tertulia_velo_demo_runtime:%s@pg:5432/app?sslmode=require"
	tests := map[string]struct {
		reason string
		facts  facts
		want   login
	}{
		"first time":      {"a new password", facts{}, login{strings.Replace(made, "%s", "new", 1), "tertulia_velo_demo_runtime", "new"}},
		"made before":     {"workers keep their login", facts{saved: strings.Replace(made, "%s", "old", 1)}, login{strings.Replace(made, "%s", "old", 1), "tertulia_velo_demo_runtime", "old"}},
		"somebody else's": {"another role's password is not this one's", facts{saved: "postgres://x:old@pg/app"}, login{strings.Replace(made, "%s", "new", 1), "tertulia_velo_demo_runtime", "new"}},
		"brought":         {"the tenant knows best", facts{runtime: "postgres://runner:r@pg/app"}, login{"postgres://runner:r@pg/app", "runner", ""}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := planLogin(brings(), place, tc.facts, "new")
			if err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v (%s)", got, tc.want, tc.reason)
			}
		})
	}
}

func TestPlanTenantRefusesUnknownZones(t *testing.T) {
	for _, zone := range []string{"Madrid", "Local", "../etc/passwd"} {
		_, err := planTenant(&v1alpha1.CRMTenant{Spec: v1alpha1.CRMTenantSpec{TimeZone: zone}})
		var stalled *reconciling.Stalled
		if !errors.As(err, &stalled) {
			t.Errorf("zone %q: got %v, want it stalled", zone, err)
		}
	}
}

func TestPlanServer(t *testing.T) {
	spec := v1alpha1.CRMTenantSpec{ID: "velo-demo", PublicURL: "https://crm.velo.example"}
	for serverURL, want := range map[string]string{"": "https://crm.velo.example", "http://127.0.0.1:8080": "http://127.0.0.1:8080/t/velo-demo"} {
		if got := planServer(spec, serverURL); got != want {
			t.Errorf("server URL %q: got %q, want %q", serverURL, got, want)
		}
	}
}
