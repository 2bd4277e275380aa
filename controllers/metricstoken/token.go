// Package metricstoken keeps the token with which a platform scrapes the metrics of all tenants' workers and servers. It
// stands in a Secret of the operator's own namespace, where Prometheus reads it; tenants are given only its hash. Prometheus
// bears it to every pod with the labels of a worker or a server, so that a tenant who may make pods can learn it: what keeps
// tenants from scraping each other for sure is the NetworkPolicy of each.
package metricstoken

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The Secret, and its key.
const (
	SecretName = "tertulia-metrics"
	tokenKey   = "token"
)

// retryInterval is how long until the token is looked after again when that failed.
const retryInterval = 10 * time.Second

// +kubebuilder:rbac:groups="",namespace=tertulia-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=tertulia-system,resources=secrets,resourceNames=tertulia-metrics,verbs=get;list;watch;update

// Keeper keeps the token. It is a manager.Runnable: while it runs, it sees who changes the Secret, and makes one that was
// deleted anew.
type Keeper struct {
	// Changed is called when the token is another than before; it is set before Start.
	Changed func()

	client    corev1client.CoreV1Interface
	namespace string
	hash      atomic.Pointer[string]
}

// New reads the token of a namespace, or makes it.
func New(ctx context.Context, client corev1client.CoreV1Interface, namespace string) (*Keeper, error) {
	k := &Keeper{Changed: func() {}, client: client, namespace: namespace}
	if err := k.ensure(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// SHA256 is what the token hashes to, in hex.
func (k *Keeper) SHA256() string { return *k.hash.Load() }

// NeedLeaderElection makes the keeper run where the controllers do.
func (*Keeper) NeedLeaderElection() bool { return true }

// Start watches the Secret until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	look := func(any) {
		// A Secret that is gone tells nothing a second time, so what fails is tried again here.
		_ = wait.PollUntilContextCancel(ctx, retryInterval, true, func(ctx context.Context) (bool, error) {
			err := k.ensure(ctx)
			if err != nil && ctx.Err() == nil {
				ctrl.LoggerFrom(ctx).Error(err, "The token of the metrics could not be kept")
			}
			return err == nil, nil
		})
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, after any) { look(after) }, DeleteFunc: look}
	// An informer of this one Secret: a factory of informers brings every kind of Kubernetes into the binary.
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, SecretName)
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(k.client.RESTClient(), "secrets", k.namespace, only),
		ObjectType:    &corev1.Secret{}, Handler: handler,
	})
	var begun sync.WaitGroup
	begun.Go(func() {
		// Of a Secret that was deleted before it was watched nobody tells.
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			look(nil)
		}
	})
	informer.RunWithContext(ctx)
	begun.Wait()
	return nil
}

// ensure reads the token, or makes it where there is none, and tells if it is another than before.
func (k *Keeper) ensure(ctx context.Context) error {
	secret, err := k.fetchOrCreate(ctx)
	if err != nil {
		return err
	}
	// Whoever writes it by hand may end it with a line, which no request carries.
	token := strings.TrimRight(string(secret.Data[tokenKey]), "\r\n")
	if token == "" {
		secret = secret.DeepCopy()
		secret.Data = map[string][]byte{tokenKey: []byte(store.NewToken())}
		token = string(secret.Data[tokenKey])
		if _, err := k.client.Secrets(k.namespace).Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("write Secret %q of namespace %q: %w", SecretName, k.namespace, err)
		}
	}
	sum := sha256.Sum256([]byte(token))
	hash := hex.EncodeToString(sum[:])
	if before := k.hash.Swap(&hash); before != nil && *before != hash {
		k.Changed()
	}
	return nil
}

func (k *Keeper) fetchOrCreate(ctx context.Context) (*corev1.Secret, error) {
	secrets := k.client.Secrets(k.namespace)
	secret, err := secrets.Get(ctx, SecretName, metav1.GetOptions{})
	if err == nil {
		return secret, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read Secret %q of namespace %q: %w", SecretName, k.namespace, err)
	}
	made := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: SecretName, Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.OperatorName}},
		Data:       map[string][]byte{tokenKey: []byte(store.NewToken())},
	}
	secret, err = secrets.Create(ctx, made, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // another operator that stands by was first
		secret, err = secrets.Get(ctx, SecretName, metav1.GetOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("make Secret %q of namespace %q: %w", SecretName, k.namespace, err)
	}
	return secret, nil
}
