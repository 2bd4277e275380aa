package manifests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
)

// requestTimeout bounds one request, so that an API server that hangs does not stop the watching of files for ever.
const requestTimeout = 30 * time.Second

// application is an object that is to be applied.
type application struct {
	object
	ref
	directory string
}

func (n application) problem(err error) Problem {
	return Problem{File: n.file, Object: n.String(), Err: err}
}

func (n application) record(applied bool) record {
	return record{ref: n.ref, Directory: n.directory, Source: n.source, Applied: applied}
}

// resolve completes the object's name: an object of a namespaced kind that names no namespace is in "default". A kind that the API
// server does not know (yet) is taken as namespaced.
func (a *Applier) resolve(o object, directory string) application {
	kind := o.GroupVersionKind().GroupKind()
	r := ref{Group: kind.Group, Kind: kind.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
	mapping, err := a.mapper.RESTMapping(kind)
	clusterWide := phase(kind) < phaseTenants || err == nil && mapping.Scope.Name() == meta.RESTScopeNameRoot
	switch {
	case clusterWide:
		r.Namespace = ""
	case r.Namespace == "":
		r.Namespace = metav1.NamespaceDefault
	}
	return application{object: o, ref: r, directory: directory}
}

// applyAll applies in phases: what defines kinds and namespaces goes before what needs them.
func (a *Applier) applyAll(ctx context.Context, todo []application) []Problem {
	// Noted on disk before anything is done: a process killed in between may forget nothing.
	records := make([]record, 0, len(todo))
	for _, next := range todo {
		records = append(records, next.record(false))
	}
	if err := a.inventory.note(records); err != nil {
		return []Problem{{File: a.inventory.file, Err: err}}
	}
	slices.SortStableFunc(todo, func(x, y application) int { return phase(x.groupKind()) - phase(y.groupKind()) })
	var problems []Problem
	records = records[:0]
	for _, next := range todo {
		if err := a.apply(ctx, next); err != nil {
			problems = append(problems, next.problem(plainField(next.GetKind(), message(err))))
			continue
		}
		records = append(records, next.record(true))
		if now := digest(next.object); a.applied[next.ref] != now {
			a.applied[next.ref] = now
			a.say("applied", fmt.Sprintf("%s (%s)", next.ref, shown(next.file)))
		}
	}
	if err := a.inventory.note(records); err != nil {
		problems = append(problems, Problem{File: a.inventory.file, Err: err})
	}
	return problems
}

// apply makes the object as the manifest says, whoever else manages fields of it. Fields that the kind does not have are refused.
func (a *Applier) apply(ctx context.Context, next application) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	version := next.GroupVersionKind().Version
	mapping, err := a.mapper.RESTMapping(next.groupKind(), version)
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("the API server knows no kind %s in %s; look for a spelling mistake, or for a CustomResourceDefinition that is missing",
			next.GetKind(), next.GetAPIVersion())
	}
	if err != nil {
		return err
	}
	content, err := json.Marshal(next.Object)
	if err != nil {
		return fmt.Errorf("encode the object: %w", err)
	}
	force := true
	applied, err := a.client(mapping, next.Namespace).Patch(ctx, next.Name, types.ApplyPatchType, content, metav1.PatchOptions{
		FieldManager: controlplane.FieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict,
	})
	if err != nil {
		return err
	}
	if applied.GetDeletionTimestamp() != nil {
		return errors.New("the object is being deleted; it will be applied again when it is gone")
	}
	if phase(next.groupKind()) == phaseDefinitions {
		return controlplane.AwaitEstablished(ctx, a.definitions, next.Name)
	}
	return nil
}

func (a *Applier) client(mapping *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return a.dynamic.Resource(mapping.Resource)
	}
	return a.dynamic.Resource(mapping.Resource).Namespace(namespace)
}

// prune removes what was applied from the directories and is in them no more.
func (a *Applier) prune(ctx context.Context, wanted map[ref]bool, unreadable []string) []Problem {
	var problems []Problem
	var gone []ref
	for _, r := range planPrune(a.inventory.sorted(), a.options.Directories, wanted, unreadable) {
		if err := a.remove(ctx, r); err != nil {
			problems = append(problems, Problem{Object: r.String(), Err: fmt.Errorf("remove it: %w", message(err))})
			continue
		}
		gone = append(gone, r.ref)
		delete(a.applied, r.ref)
	}
	if err := a.inventory.forget(gone); err != nil {
		problems = append(problems, Problem{File: a.inventory.file, Err: err})
	}
	return problems
}

// remove deletes an object that we applied. One that we never managed to apply is somebody else's and stays.
func (a *Applier) remove(ctx context.Context, r record) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	mapping, err := a.mapper.RESTMapping(r.groupKind())
	if meta.IsNoMatchError(err) {
		return nil // the kind has gone, and its objects with it
	}
	if err != nil {
		return err
	}
	client := a.client(mapping, r.Namespace)
	live, err := client.Get(ctx, r.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !r.Applied && !ours(live) {
		return nil
	}
	if err != nil {
		return err
	}
	uid, background := live.GetUID(), metav1.DeletePropagationBackground
	err = client.Delete(ctx, r.Name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if err == nil {
		a.say("removed", r.String())
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// ours reports whether we applied an object that we do not remember to have applied: an answer may be lost.
func ours(o *unstructured.Unstructured) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == controlplane.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply
	})
}

var (
	// mistyped is how server-side apply begins what it says of a field that does not fit its kind; the path follows a dot.
	mistyped = regexp.MustCompile(`^failed to create typed patch object \([^)]*\): \.?([^:]+): `)
	// gotValue is how it shows a value.
	gotValue = regexp.MustCompile(`&value\.valueUnstructured\{Value:(.*)\}`)
	// indices are the places in lists of a field's path, such as [0] and [locale="es"]; kubectl explain goes without.
	indices = regexp.MustCompile(`\[[^]]*\]`)
)

// plainField says in a manifest author's words what is wrong with a field, and how to see which fields there are.
func plainField(kind string, err error) error {
	found := mistyped.FindStringSubmatch(err.Error())
	if found == nil {
		return err
	}
	field, wrong := found[1], strings.TrimPrefix(err.Error(), found[0])
	if wrong != "field not declared in schema" {
		return fmt.Errorf("%s: %s", field, gotValue.ReplaceAllString(wrong, "$1"))
	}
	parent := strings.ToLower(kind)
	if cut := strings.LastIndexByte(field, '.'); cut > 0 {
		parent += "." + indices.ReplaceAllString(field[:cut], "")
	}
	return fmt.Errorf("%s: %s has no such field; kubectl explain %s lists those it has", field, kind, parent)
}

// message keeps of an API error what its author wrote.
func message(err error) error {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) && status.Status().Message != "" {
		return errors.New(status.Status().Message)
	}
	return err
}
