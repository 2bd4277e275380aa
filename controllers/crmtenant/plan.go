package crmtenant

import (
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
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
	if _, err := crm.ParseZone(zone); err != nil {
		return store.Tenant{}, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.timeZone: %s.", err)
	}
	locales := make([]string, 0, len(t.Spec.Locales))
	for _, l := range t.Spec.Locales {
		locales = append(locales, string(l))
	}
	row := store.Tenant{
		ID: t.Spec.ID, Namespace: t.Namespace, DisplayName: t.Spec.DisplayName, TimeZone: zone,
		Locales: locales, PublicURL: t.Spec.PublicURL, Suspended: t.Spec.Suspend,
	}
	var err error
	if row.Sentiment, err = planSentiment(t.Spec.Sentiment); err != nil {
		return store.Tenant{}, err
	}
	return row, planTracking(t.Spec.Tracking, &row)
}

// planTracking says whether mails may be tracked, and for how long it is kept what came of it.
func planTracking(spec *v1alpha1.TenantTracking, row *store.Tenant) error {
	if spec == nil {
		return nil
	}
	row.TrackingForbidden = spec.Policy == v1alpha1.TrackingForbidden
	if spec.Retention == "" {
		return nil
	}
	retention, err := campaign.ParseDuration(string(spec.Retention))
	if err == nil && retention < minTrackingRetention {
		err = fmt.Errorf("%q is less than a day: what people do with a mail is counted for some days", spec.Retention)
	}
	if err != nil {
		return reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.tracking.retention: %s.", err)
	}
	row.TrackingRetention = retention
	return nil
}

// minTrackingRetention keeps a retention from ending while a campaign is still sent.
const minTrackingRetention = 24 * time.Hour

// planServer is where clients find the tenant's API.
func planServer(spec v1alpha1.CRMTenantSpec, serverURL string) string {
	if serverURL == "" {
		return spec.PublicURL
	}
	return serverURL + "/t/" + spec.ID
}
