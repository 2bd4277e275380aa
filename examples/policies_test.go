package examples_test

import (
	"slices"
	"testing"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// TestCampaignsKeepThePolicies judges the campaigns of the example by the policies beside them.
func TestCampaignsKeepThePolicies(t *testing.T) {
	var purposes []string
	var rules []*policy.CompiledRule
	for _, object := range objectsOf(t, "velo/crm") {
		switch object.GetKind() {
		case "ConsentPolicy":
			for _, p := range typed[v1alpha1.ConsentPolicy](t, object).Spec.Purposes {
				purposes = append(purposes, string(p.Name))
			}
		case "SendPolicy":
			for _, r := range typed[v1alpha1.SendPolicy](t, object).Spec.Rules {
				rule, err := policy.Rule{Name: r.Name, Expression: r.Expression, Message: r.Message}.Compile()
				if err != nil {
					t.Fatal(err)
				}
				rules = append(rules, rule)
			}
		}
	}
	if len(rules) == 0 || len(purposes) == 0 {
		t.Fatalf("%d rules and %d purposes", len(rules), len(purposes))
	}
	for _, folder := range folders[1:] {
		for _, object := range objectsOf(t, folder) {
			if object.GetKind() != "Campaign" {
				continue
			}
			spec := typed[v1alpha1.Campaign](t, object).Spec
			if spec.Publication != nil {
				continue // policies are about people
			}
			if !slices.Contains(purposes, spec.Purpose) {
				t.Errorf("%s: no policy knows the purpose %s", folder, spec.Purpose)
			}
			judged := policy.Campaign{Name: object.GetName(), Purpose: spec.Purpose, MaxRecipients: spec.Audience.MaxRecipients}
			for _, s := range spec.Audience.Exclude {
				judged.Exclude = append(judged.Exclude, s.Name)
			}
			for _, rule := range rules {
				if broken := rule.Judge(judged); broken != "" {
					t.Errorf("%s: %s", folder, broken)
				}
			}
		}
	}
}
