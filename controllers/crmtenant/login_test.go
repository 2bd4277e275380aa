package crmtenant

import (
	"testing"

	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// TestTheDefaultClustersAdministratorIsNoTenantsLogin has the operator's login on its default cluster lose the right to create
// roles after it made a tenant's database. The owner of a brought database shares its login with workers then; this one must not:
// it opens every tenant's database, and the Secret is the tenant's.
func TestTheDefaultClustersAdministratorIsNoTenantsLogin(t *testing.T) {
	db := storetest.New(t)
	database := db.Pool.Config().ConnConfig.Database
	admin := database + "_administrator"
	if err := db.EnsureLogin(t.Context(), admin, "secret"); err != nil {
		t.Fatal(err)
	}
	url, err := store.URLAs(storetest.URL(t, db), admin, "secret")
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := store.OpenCluster(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	runtime, err := store.URLAs(url, database+"_runtime", "other")
	if err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Cluster: cluster}
	wanted := login{url: runtime, role: database + "_runtime", password: "other"}
	for name, tc := range map[string]struct {
		place  tenancy.Place
		shared bool
	}{
		"a brought database":  {tenancy.Place{URL: url}, true},
		"the default cluster": {tenancy.Place{URL: url, Role: "owner"}, false},
	} {
		owner, err := store.Open(t.Context(), url, store.Options{MaxConns: 1})
		if err != nil {
			t.Fatal(err)
		}
		way, err := r.ensureLogin(t.Context(), tc.place, owner, wanted)
		owner.Close()
		if tc.shared != (err == nil) || tc.shared != (way.url == url) {
			t.Errorf("%s: the administrator's login is handed out: %t, error %v", name, way.url == url, err)
		}
	}
}
