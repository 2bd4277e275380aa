package support

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// TestNoAccountLeaves: of monitors and sources all is told but whose accounts they look for.
func TestNoAccountLeaves(t *testing.T) {
	terms := []v1alpha1.TopicTerm{{Word: "velo"}, {Account: "ana"}, {Author: "luis"}}
	status := v1alpha1.Status{Conditions: []metav1.Condition{{Type: "Ready", Message: `topic "velo": any 2, account "ana": write the name of luis`}}}
	monitor := &v1alpha1.Monitor{
		Spec: v1alpha1.MonitorSpec{
			Topics: []v1alpha1.MonitorTopic{{Name: "velo", Role: "Brand", Any: terms, None: []v1alpha1.TopicTerm{{Author: "eva"}}}}, Accounts: []v1alpha1.AccountName{"rosa"},
		},
		Status: v1alpha1.MonitorStatus{Status: status},
	}
	source := &v1alpha1.SocialSource{
		Spec:   v1alpha1.SocialSourceSpec{Type: "Bluesky", Bluesky: &v1alpha1.BlueskySettings{Keywords: terms, SecretRef: &v1alpha1.LocalReference{Name: "bluesky"}}},
		Status: v1alpha1.SocialSourceStatus{Status: status},
	}
	for what, object := range map[string]v1alpha1.Object{"a monitor": monitor, "a source": source} {
		text, err := yaml.Marshal(describeObject(object))
		if err != nil {
			t.Fatal(err)
		}
		for _, person := range []string{"ana", "luis", "eva", "rosa"} {
			if strings.Contains(string(text), person) {
				t.Errorf("%s names %q:\n%s", what, person, text)
			}
		}
		for _, kept := range []string{"word: velo", "account: '[account]'", "[text]"} {
			if !strings.Contains(string(text), kept) {
				t.Errorf("%s does not tell %q:\n%s", what, kept, text)
			}
		}
	}
	if monitor.Spec.Accounts[0] != "rosa" {
		t.Error("the object itself was changed")
	}
	b := &bundle{}
	b.mask([]v1alpha1.Object{monitor, source})
	if got := b.masks["/"]; len(got) != 6 {
		t.Errorf("messages about them hide %v", got)
	}
}
