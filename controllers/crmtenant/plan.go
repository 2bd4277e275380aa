package crmtenant

import (
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The Secret that the operator makes for a tenant's administrators, and its keys.
const (
	adminSecret = "tertulia-admin" // who may read it is admin
	tokenKey    = "token"
	serverKey   = "server"
)

// The keys of a Secret that names a database which the tenant brings.
const (
	uriKey        = "uri"
	runtimeURIKey = "runtime-uri"
)

// facts are what the Secrets of a namespace say.
type facts struct {
	brought  bool
	uri      string // of the tenant's own database, as its owner
	runtime  string // the login that the tenant brings for workers; "" if none
	saved    string // the login that the operator made before; "" if none
	clusters clusterNames
}

// clusterNames tells where a tenant's database is on the default cluster.
type clusterNames interface {
	TenantURL(id string) string
}

// planPlace tells where the tenant's database is.
func planPlace(spec v1alpha1.CRMTenantSpec, f facts) (tenancy.Place, error) {
	if f.brought {
		if err := store.CheckBroughtURL(f.uri); err != nil {
			return tenancy.Place{}, invalidURL(spec, uriKey)
		}
		return tenancy.Place{URL: f.uri}, nil
	}
	if f.clusters == nil {
		return tenancy.Place{}, reconciling.Stall(v1alpha1.InvalidSpecReason,
			"The operator has no default cluster on which to make a database: name one with spec.database.secretRef.")
	}
	return tenancy.Place{URL: f.clusters.TenantURL(spec.ID), Role: store.OwnerRole(spec.ID)}, nil
}

// invalidURL says which key cannot be read, and never what it holds.
func invalidURL(spec v1alpha1.CRMTenantSpec, key string) error {
	return reconciling.Wait(v1alpha1.InvalidDatabaseURLReason,
		"Key %q of Secret %q is no PostgreSQL URL: it must look like postgresql://user:password@host:5432/name, "+
			"with no parameters but those of TLS and time limits, such as sslmode=require.", key, spec.Database.SecretRef.Name)
}

// login is how workers and servers enter a tenant's database.
type login struct {
	url, role string
	password  string // of a login that the operator makes; "" for one that it was given
}

// planLogin decides as whom workers and servers log in: as the tenant says, else as a role that the operator makes.
// What it made before it keeps; newPassword is for the first time.
func planLogin(spec v1alpha1.CRMTenantSpec, place tenancy.Place, f facts, newPassword string) (login, error) {
	if f.runtime != "" {
		if err := store.CheckBroughtURL(f.runtime); err != nil {
			return login{}, invalidURL(spec, runtimeURIKey)
		}
		role, err := store.LoginOf(f.runtime)
		if err != nil {
			return login{}, err
		}
		return login{url: f.runtime, role: role}, nil
	}
	role := store.RuntimeRole(spec.ID)
	password := store.PasswordOf(f.saved, role)
	if password == "" {
		password = newPassword
	}
	url, err := store.URLAs(place.URL, role, password)
	if err != nil {
		return login{}, err
	}
	return login{url: url, role: role, password: password}, nil
}

// planTenant is the row that the data plane reads.
func planTenant(t *v1alpha1.CRMTenant) (store.Tenant, error) {
	zone := t.Spec.TimeZoneOrDefault()
	// "Local" is this machine's zone to Go, and no zone to an author.
	if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
		return store.Tenant{}, reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.timeZone %q is unknown: name an IANA zone, such as Europe/Madrid.", zone)
	}
	locales := make([]string, 0, len(t.Spec.Locales))
	for _, l := range t.Spec.Locales {
		locales = append(locales, string(l))
	}
	return store.Tenant{
		ID: t.Spec.ID, Namespace: t.Namespace, DisplayName: t.Spec.DisplayName, TimeZone: zone,
		Locales: locales, PublicURL: t.Spec.PublicURL, Suspended: t.Spec.Suspend,
	}, nil
}

// planServer is where clients find the tenant's API.
func planServer(spec v1alpha1.CRMTenantSpec, serverURL string) string {
	if serverURL == "" {
		return spec.PublicURL
	}
	return serverURL + "/t/" + spec.ID
}
