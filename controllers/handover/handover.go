// Package handover takes to workers and servers what they must know of their tenant and never read from a row. It keeps
// one Secret in the tenant's namespace, which is a whole tenant directory (see package credentials): a cluster mounts it
// into the tenant's pods. Where workers and servers run on this machine, it is written into a directory as well.
//
// The controller of CRMTenant says who the tenant is and where its database, those of channels and sources say what each logs
// in with. They write the Secret in turn, and each write is refused by the API server when somebody else has written since.
package handover

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// SecretName is the name of the Secret that is a tenant directory.
const SecretName = "tertulia-runtime"

// Keeper keeps the Secret of every tenant. One serves all controllers.
type Keeper struct {
	Client client.Client // its cache holds the metadata of Secrets
	Live   client.Reader
	// Directory is written as well where workers and servers run on this machine; nil in a cluster.
	Directory *credentials.Directory

	mu      sync.Mutex
	tenants map[string]*tenant // by namespace
}

// tenant is what is remembered of a namespace between writes.
type tenant struct {
	mu sync.Mutex // held while the Secret is read, planned and written
	// said is what the tenant's own controller has said last, without logins; nil before it did. The Secret is in a namespace
	// whose people may write it: of who the tenant is, and where its database, it is not believed.
	said *credentials.Tenant
	// spoken holds what channels and sources have said since this operator began, so that a Secret that is lost is made whole again.
	spoken spoken
	// known is the Secret as it was last read or written; nil for none. It is good while the API server's is of its version.
	known *corev1.Secret
	// copied is the version that was brought into the directory of this machine.
	copied string
}

// Check tells whether a tenant's namespace may have its id and its host on this machine: another one gets a
// *credentials.TakenError or a *credentials.HostTakenError.
func (k *Keeper) Check(said credentials.Tenant) error {
	if k.Directory == nil {
		return nil
	}
	return k.Directory.CheckTenant(said)
}

// SaveTenant takes to workers and servers who a tenant is and where its database is, together with what its channels and sources
// log in with. It returns all that they know then.
func (k *Keeper) SaveTenant(ctx context.Context, owner *v1alpha1.CRMTenant, said credentials.Tenant) (credentials.Tenant, error) {
	t := k.tenant(owner.Namespace)
	t.mu.Lock()
	defer t.mu.Unlock()
	secret, err := k.read(ctx, t, owner.Namespace)
	if err != nil {
		return credentials.Tenant{}, err
	}
	// A Secret that is not whole has nothing to keep.
	present, err := parse(secret)
	if err != nil && !errors.Is(err, credentials.ErrIncomplete) {
		return credentials.Tenant{}, err
	}
	alive, err := k.alive(ctx, owner.Namespace)
	if err != nil {
		return credentials.Tenant{}, err
	}
	t.spoken.keep(alive)
	t.said = &said
	planned := planTenant(said, present, t.spoken, alive)
	t.copied = "" // a directory that was lost is made anew with its tenant
	written, err := k.Save(ctx, owner, secret, SecretName, planned.Files())
	return k.remember(t, written, err)
}

// SaveLogin names what a channel logs in with; nil is nothing. Nobody else's login is touched.
func (k *Keeper) SaveLogin(ctx context.Context, namespace, channel string, login *credentials.Channel) error {
	return k.say(ctx, namespace, login == nil, func(t *tenant) { t.spoken.channels[channel] = login },
		func(said, present credentials.Tenant) credentials.Tenant {
			return planLogin(said, present, channel, login)
		})
}

// SaveSource names what a source logs in with; nil is nothing. Nobody else's credentials are touched.
func (k *Keeper) SaveSource(ctx context.Context, namespace, source string, login credentials.Source) error {
	return k.say(ctx, namespace, len(login) == 0, func(t *tenant) { t.spoken.sources[source] = login },
		func(said, present credentials.Tenant) credentials.Tenant {
			return planSource(said, present, source, login)
		})
}

// say writes what one channel or source says: note remembers it, and plan makes of what is present all that is to be known.
func (k *Keeper) say(
	ctx context.Context, namespace string, nothing bool, note func(*tenant), plan func(said, present credentials.Tenant) credentials.Tenant,
) error {
	t := k.tenant(namespace)
	t.mu.Lock()
	defer t.mu.Unlock()
	note(t)
	secret, err := k.read(ctx, t, namespace)
	if err != nil {
		return err
	}
	present, err := parse(secret)
	if err == nil && (!isOurs(secret) || t.said == nil) {
		err = credentials.ErrIncomplete
	}
	switch {
	case errors.Is(err, credentials.ErrIncomplete) && nothing:
		return nil
	case errors.Is(err, credentials.ErrIncomplete):
		// The tenant's controller is about to make the Secret, and takes this login along.
		return &reconciling.Interrupted{Reason: v1alpha1.TenantNotReadyReason, Message: "The CRMTenant is being opened.", Err: err, Silent: true}
	case err != nil:
		return err
	}
	written, err := k.update(ctx, secret, bytesOf(plan(*t.said, present).Files()))
	_, err = k.remember(t, written, err)
	return err
}

// Saved is what workers and servers know of a namespace's tenant. It is false where they know nothing.
func (k *Keeper) Saved(ctx context.Context, namespace string) (credentials.Tenant, bool, error) {
	t := k.tenant(namespace)
	t.mu.Lock()
	defer t.mu.Unlock()
	secret, err := k.read(ctx, t, namespace)
	if err != nil {
		return credentials.Tenant{}, false, err
	}
	saved, err := parse(secret)
	if errors.Is(err, credentials.ErrIncomplete) {
		return credentials.Tenant{}, false, nil
	}
	return saved, err == nil, err
}

// Forget ends what is remembered of a namespace whose tenant goes. The Secret goes with the CRMTenant that owns it.
func (k *Keeper) Forget(namespace string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tenants, namespace)
}

// Withdraw takes a namespace's tenant from the workers and servers of this machine.
func (k *Keeper) Withdraw(tenantID, namespace string) error {
	if k.Directory == nil {
		return nil
	}
	return k.Directory.Forget(tenantID, namespace)
}

func (k *Keeper) tenant(namespace string) *tenant {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tenants == nil {
		k.tenants = map[string]*tenant{}
	}
	t, ok := k.tenants[namespace]
	if !ok {
		t = &tenant{spoken: newSpoken()}
		k.tenants[namespace] = t
	}
	return t
}

// read returns the Secret, and nil where there is none. It asks the API server only when what is known of it may be old:
// hundreds of channels look at it when an operator begins.
func (k *Keeper) read(ctx context.Context, t *tenant, namespace string) (*corev1.Secret, error) {
	if t.known != nil {
		cached := &metav1.PartialObjectMetadata{}
		cached.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		err := k.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: SecretName}, cached)
		if err == nil && cached.ResourceVersion == t.known.ResourceVersion {
			return t.known, nil
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("look for Secret %q: %w", SecretName, err)
		}
	}
	secret, err := k.Fetch(ctx, namespace, SecretName)
	if err != nil {
		return nil, err
	}
	t.known = secret
	return secret, nil
}

// remember keeps what was written, and brings it to the workers and servers of this machine.
func (k *Keeper) remember(t *tenant, written *corev1.Secret, err error) (credentials.Tenant, error) {
	if err != nil {
		t.known = nil
		return credentials.Tenant{}, err
	}
	t.known = written
	known, err := parse(written)
	if err != nil || k.Directory == nil || t.copied == written.ResourceVersion {
		return known, err
	}
	if err := k.Directory.SaveTenant(known); err != nil {
		return credentials.Tenant{}, err
	}
	t.copied = written.ResourceVersion
	return known, nil
}

// alive lists the channels and sources of a namespace that are not gone yet.
func (k *Keeper) alive(ctx context.Context, namespace string) (named, error) {
	var (
		channels v1alpha1.MessageChannelList
		sources  v1alpha1.SocialSourceList
		alive    named
	)
	if err := k.Client.List(ctx, &channels, client.InNamespace(namespace)); err != nil {
		return alive, fmt.Errorf("list the channels: %w", err)
	}
	if err := k.Client.List(ctx, &sources, client.InNamespace(namespace)); err != nil {
		return alive, fmt.Errorf("list the sources: %w", err)
	}
	for i := range channels.Items {
		alive.channels = append(alive.channels, channels.Items[i].Name)
	}
	for i := range sources.Items {
		alive.sources = append(alive.sources, sources.Items[i].Name)
	}
	return alive, nil
}

// isOurs tells whether a Secret is some CRMTenant's. Into one that somebody made in its place no login is written.
func isOurs(secret *corev1.Secret) bool {
	controller := metav1.GetControllerOf(secret)
	return controller != nil && controller.Kind == "CRMTenant" && controller.APIVersion == v1alpha1.GroupVersion.String()
}

// parse reads a Secret of ours; one that is not there is incomplete.
func parse(secret *corev1.Secret) (credentials.Tenant, error) {
	if secret == nil {
		return credentials.Tenant{}, credentials.ErrIncomplete
	}
	return credentials.Parse(secret.Data)
}

func bytesOf(files map[string]string) map[string][]byte {
	data := make(map[string][]byte, len(files))
	for name, content := range files {
		data[name] = []byte(content)
	}
	return data
}
