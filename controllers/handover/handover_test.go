package handover_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/handover"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

func TestMain(m *testing.M) { controlplanetest.Main(m) }

// TestASecretThatSomebodyWroteMakesNobodyElse has a tenant's people write into their own Secret that they are another tenant,
// with a database of theirs, just before one of their channels names its login. Workers and servers of this machine must not
// take them for the other one.
func TestASecretThatSomebodyWroteMakesNobodyElse(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	api, err := client.New(controlplanetest.Shared(t).Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	directory := &credentials.Directory{Root: t.TempDir()}
	other := credentials.Tenant{ID: "other", Namespace: "other", DatabaseURL: "postgres://other"}
	if err := directory.SaveTenant(other); err != nil {
		t.Fatal(err)
	}
	namespace := controlplanetest.Namespace(t)
	owner := &v1alpha1.CRMTenant{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"},
		Spec:       v1alpha1.CRMTenantSpec{ID: "velo-" + namespace, DisplayName: "Velo", Locales: []v1alpha1.Locale{"es"}, PublicURL: "https://velo.example"},
	}
	if err := api.Create(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	k := &handover.Keeper{Client: api, Live: api, Directory: directory}
	said := credentials.Tenant{ID: owner.Spec.ID, Namespace: namespace, DatabaseURL: "postgres://velo"}
	if _, err := k.SaveTenant(t.Context(), owner, said); err != nil {
		t.Fatal(err)
	}

	secret := &corev1.Secret{}
	key := types.NamespacedName{Namespace: namespace, Name: handover.SecretName}
	if err := api.Get(t.Context(), key, secret); err != nil {
		t.Fatal(err)
	}
	forged := other
	forged.DatabaseURL = "postgres://u:p@velo.example/d?passfile=/root/.pgpass"
	secret.Data = map[string][]byte{}
	for name, value := range forged.Files() {
		secret.Data[name] = []byte(value)
	}
	if err := api.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	login := credentials.Channel{Username: "u", Password: "p"}
	if err := k.SaveLogin(t.Context(), namespace, "news", &login); err != nil {
		t.Fatal(err)
	}
	said.Channels = map[string]credentials.Channel{"news": login}
	other.Channels = map[string]credentials.Channel{}
	for _, want := range []credentials.Tenant{said, other} {
		got, err := credentials.Read(filepath.Join(directory.Root, want.ID))
		if err != nil {
			t.Fatal(err)
		}
		got.Digest = ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what tenant %q is known to be: -want +got:\n%s", want.ID, diff)
		}
	}

	// An operator that begins believes the Secret no more than one that knows it.
	begun := &handover.Keeper{Client: api, Live: api, Directory: directory}
	if err := begun.SaveLogin(t.Context(), namespace, "news", &login); !errors.Is(err, credentials.ErrIncomplete) {
		t.Errorf("before the tenant's controller has said who it is: got %v, want ErrIncomplete", err)
	}
}
