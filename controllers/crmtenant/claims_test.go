package crmtenant

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// declared is a tenant of a namespace; inForce is the URL that its status tells, "" before it was accepted.
func declared(namespace, id, url, inForce string) v1alpha1.CRMTenant {
	t := v1alpha1.CRMTenant{Spec: v1alpha1.CRMTenantSpec{ID: id, PublicURL: url}}
	t.Namespace, t.UID, t.Status.PublicURL = namespace, types.UID("uid-of-"+namespace), inForce
	return t
}

func TestPlanClaim(t *testing.T) {
	const url = "https://crm.velo.example"
	asking := declared("asking", "velo", url, "")
	tests := map[string]struct {
		reason string
		other  v1alpha1.CRMTenant
		made   map[string]claim
		want   string // the namespace that has it
		host   bool   // it is the host that is taken
	}{
		"nobody has anything":       {"the first gets it", declared("other", "other", "https://other.example", "https://other.example"), nil, "", false},
		"the id is taken":           {"roles and databases are named after it", declared("other", "velo", "https://other.example", "https://other.example"), nil, "other", false},
		"the host is taken":         {"in whatever case", declared("other", "other", url, "https://CRM.velo.example"), nil, "other", true},
		"the other asks for both":   {"who asks has nothing yet", declared("other", "velo", url, ""), nil, "", false},
		"the other asks for it now": {"what is in force counts, not what is asked", declared("other", "other", url, "https://other.example"), nil, "", false},
		"taken a moment ago": {
			"its status does not tell yet", declared("other", "other", url, "https://other.example"),
			map[string]claim{"other": {uid: "uid-of-other", id: "other", host: "crm.velo.example"}},
			"other", true,
		},
		"left a moment ago": {
			"its servers may still answer there", declared("other", "other", "https://new.example", url),
			map[string]claim{"other": {uid: "uid-of-other", id: "other", host: "new.example"}},
			"other", true,
		},
		"taken by an object that is no more": {
			"its name is another's", declared("other", "other", "https://other.example", ""),
			map[string]claim{"other": {uid: "of-an-earlier-one", id: "velo", host: "crm.velo.example"}},
			"", false,
		},
		"a path beside the host": {"it tells them apart", declared("other", "other", url+"/t/other", url+"/t/other"), nil, "", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := planClaim(&asking, []v1alpha1.CRMTenant{asking, tc.other}, tc.made)
			var taken *credentials.TakenError
			var host *credentials.HostTakenError
			got := ""
			switch {
			case errors.As(err, &taken):
				got = taken.Namespace
			case errors.As(err, &host):
				got = host.Namespace
			}
			if got != tc.want || (host != nil) != tc.host {
				t.Errorf("got %v, want that of %q (%s)", err, tc.want, tc.reason)
			}
		})
	}
}
