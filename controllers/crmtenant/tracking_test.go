package crmtenant

import (
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestPlanTracking(t *testing.T) {
	for name, c := range map[string]struct {
		reason    string
		spec      *v1alpha1.TenantTracking
		forbidden bool
		retention time.Duration // 0 is the default
		refused   string
	}{
		"nothing is said":      {"campaigns may, where they declare it", nil, false, 0, ""},
		"allowed":              {"the same", &v1alpha1.TenantTracking{Policy: v1alpha1.TrackingAllowed}, false, 0, ""},
		"forbidden":            {"whatever campaigns say", &v1alpha1.TenantTracking{Policy: v1alpha1.TrackingForbidden}, true, 0, ""},
		"a retention":          {"days are of 24 hours", &v1alpha1.TenantTracking{Retention: "90d"}, false, 90 * 24 * time.Hour, ""},
		"a retention of hours": {"it would end while a campaign is sent", &v1alpha1.TenantTracking{Retention: "6h"}, false, 0, "less than a day"},
		"no retention at all":  {"the schema lets it through", &v1alpha1.TenantTracking{Retention: "d"}, false, 0, "must be a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			var row store.Tenant
			err := planTracking(c.spec, &row)
			if (err != nil) != (c.refused != "") || err != nil && (!strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "spec.tracking.retention")) {
				t.Fatalf("%s: got %v", c.reason, err)
			}
			if row.TrackingForbidden != c.forbidden || row.TrackingRetention != c.retention {
				t.Errorf("%s: got %+v", c.reason, row)
			}
		})
	}
}
