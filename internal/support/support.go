// Package support collects what support needs to know of an installation, without people and without secrets: objects with
// the texts of templates replaced by their digests, what runs, events, logs, and facts about databases. Everything that is
// written passes a net that takes out what looks like an address, a handle, a phone, a token or a password; what cannot be
// read is noted, and the rest goes on.
package support

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/overview"
)

// Sources are where a bundle comes from.
type Sources struct {
	// API reads objects.
	API client.Reader
	// Cluster reads logs and the cluster's version.
	Cluster corev1client.CoreV1Interface
	// Diagnose asks the server of a tenant about its database, as JSON; nil where nobody is to be asked.
	Diagnose func(ctx context.Context, namespace string) (any, error)
}

// Options say what goes into a bundle.
type Options struct {
	// Namespace is the tenant's; "" is all tenants.
	Namespace string
	// OperatorNamespace is where the operator runs; "" looks in all namespaces.
	OperatorNamespace string
	// LogLines is how many lines of each container's log are taken, from the end.
	LogLines int64
	// MaxBytes bounds the bundle before it is compressed. What does not fit is left out and named.
	MaxBytes int64
	// Version is that of this program.
	Version string
	// Now is when it is made.
	Now time.Time
}

// How long the parts of a bundle may take, so that what does not answer holds nothing up.
const (
	requestTime  = 15 * time.Second
	diagnoseTime = 20 * time.Second
)

// Report tells what became of a bundle.
type Report struct {
	Files  int
	Bytes  int64 // before compression
	Errors []string
}

// Collect writes a bundle as a compressed tar archive. What cannot be had is noted in it and in the report; an error means
// that nothing useful could be written.
func Collect(ctx context.Context, to io.Writer, from Sources, o Options) (Report, error) {
	b := &bundle{Sources: from, options: o, archive: newArchive(to, o.MaxBytes, o.Now)}
	facts, err := overview.Gather(ctx, from.API, overview.Options{Namespace: o.Namespace, OperatorNamespace: o.OperatorNamespace})
	if err != nil {
		// What runs, and what it says, may tell why.
		b.note("the tenants", err)
		facts = overview.Nothing(o.Namespace)
	}
	b.mask(facts.Objects())
	b.document("status.yaml", b.status(overview.Plan(facts, o.Now)))
	b.version(ctx)
	for _, object := range facts.Objects() {
		b.document(path("objects", object.GetNamespace(), overview.KindOf(object), object.GetName()+".yaml"), describeObject(object))
	}
	for _, namespace := range facts.Namespaces() {
		b.home(ctx, namespace, false)
	}
	for _, namespace := range b.operatorNamespaces(ctx) {
		b.home(ctx, namespace, true)
	}
	for _, namespace := range facts.Namespaces() {
		b.database(ctx, namespace)
	}
	// Logs come last: they are what a bound of the size may cut.
	b.logs(ctx)
	return b.finish()
}

// operatorNamespaces are where operators run; more than one where they share a cluster.
func (b *bundle) operatorNamespaces(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var deployments appsv1.DeploymentList
	operators := client.MatchingLabels{"app.kubernetes.io/name": "tertulia", "app.kubernetes.io/component": "operator"}
	if err := b.API.List(ctx, &deployments, client.InNamespace(b.options.OperatorNamespace), operators); err != nil {
		b.note("where the operator runs", err)
		return nil
	}
	var namespaces []string
	for _, d := range deployments.Items {
		if !slices.Contains(namespaces, d.Namespace) {
			namespaces = append(namespaces, d.Namespace)
		}
	}
	return namespaces
}

// bundle is one that is being made.
type bundle struct {
	Sources
	options Options
	archive *archive
	errors  []string
	pods    []podLog
	// masks are the texts that segments and rules compare contacts with, and the accounts that monitors and sources look for, by namespace and
	// name: messages about them repeat them.
	masks map[string][]string
}

func (b *bundle) mask(objects []v1alpha1.Object) {
	b.masks = map[string][]string{}
	for _, o := range objects {
		key := o.GetNamespace() + "/" + o.GetName()
		switch object := o.(type) {
		case *v1alpha1.Segment:
			_, literals := maskLiterals(object.Spec.Match)
			b.masks[key] = append(b.masks[key], literals...)
		case *v1alpha1.AutomationRule, *v1alpha1.ServiceQueue:
			b.masks[key] = append(b.masks[key], maskRule(describe(object)["spec"])...)
		case *v1alpha1.Monitor, *v1alpha1.SocialSource:
			b.masks[key] = append(b.masks[key], accountsOf(describe(object)["spec"])...)
		}
	}
}

// status is what `tertulia status` shows, without what messages repeat.
func (b *bundle) status(o overview.Overview) overview.Overview {
	for _, t := range o.Tenants {
		for _, problems := range [][]overview.Problem{t.Problems, t.Hints} {
			for i, p := range problems {
				for _, name := range p.Names {
					problems[i].Message = replaceTexts(problems[i].Message, b.masks[t.Namespace+"/"+name])
				}
			}
		}
	}
	return o
}

// note keeps what went wrong. Errors of the API server name objects and no people, and pass the net all the same.
func (b *bundle) note(what string, err error) {
	b.errors = append(b.errors, redact(strings.TrimSpace(fmt.Sprintf("%s: %v", what, err))))
}

func (b *bundle) document(name string, value any) {
	if err := b.archive.document(name, value); err != nil {
		b.note(name, err)
	}
}

func (b *bundle) version(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	raw, err := b.Cluster.RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		b.note("the API server's version", err)
		return
	}
	b.document("kubernetes.yaml", raw2value(raw))
}

// database asks the tenant's server.
func (b *bundle) database(ctx context.Context, namespace string) {
	if b.Diagnose == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, diagnoseTime)
	defer cancel()
	facts, err := b.Diagnose(ctx, namespace)
	if err != nil {
		b.note("the database of namespace "+namespace+", asked through the tenant's server", err)
		return
	}
	b.document(path("databases", namespace+".yaml"), facts)
}

// finish writes the list of what is in the bundle and of what is not.
func (b *bundle) finish() (Report, error) {
	report := Report{Files: len(b.archive.files), Bytes: b.archive.bytes, Errors: b.errors}
	if err := b.archive.close(manifest{
		Made: b.options.Now.UTC().Format(time.RFC3339), By: "tertulia " + b.options.Version, Of: b.options.Namespace,
		LeftOut: leftOut, TooLarge: b.archive.tooLarge, Errors: b.errors, Files: b.archive.files,
	}); err != nil {
		return Report{}, err
	}
	return report, nil
}

// leftOut tells what a bundle never holds.
var leftOut = []string{
	"People: no row of a tenant's database is read.",
	"Values of Secrets: only their names, types, labels and the names of their keys.",
	"Texts of templates, and ConfigMaps: sizes and digests stand for them.",
	"Values of environment variables of containers.",
	"Annotations, which repeat whole manifests: only their names.",
	"In every text, what looks like an address, a handle, a phone, a token, a password or the query of a URL: [address], [handle], [phone], " +
		"[number], [token], [secret], [login], [query], [private key] stand for it.",
}
