package messagetemplate

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// TestExplainDoesNotStallOnAnOldSchema: attributes came into force between the moment at which the schema was read and the
// one at which their object was looked at.
func TestExplainDoesNotStallOnAnOldSchema(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	settled := &v1alpha1.RecordType{ObjectMeta: metav1.ObjectMeta{Namespace: "velo", Name: "contact"}, Status: v1alpha1.RecordTypeStatus{
		Status: v1alpha1.Status{Conditions: []metav1.Condition{{Type: v1alpha1.ReadyCondition, Status: metav1.ConditionTrue}}},
	}}
	r := &Reconciler{Controller: tenancy.Controller{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(settled).Build()}}
	db := storetest.New(t)
	before, err := db.LoadSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.EnsureAttributes(t.Context(), []crm.Attribute{{Name: "plan", Type: crm.String}}); err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("contact has no attribute plan")
	if got := r.explain(t.Context(), "velo", db, before, wrong); !errors.Is(got, errSchemaUnderWay) {
		t.Errorf("got %v, want to wait", got)
	}
	now, err := db.LoadSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := r.explain(t.Context(), "velo", db, now, wrong); !errors.Is(got, wrong) {
		t.Errorf("checked against what is in force: got %v, want what is wrong", got)
	}
}
