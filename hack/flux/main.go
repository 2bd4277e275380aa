// Command flux does to objects what Flux's kustomize-controller does in one reconciliation, with Flux's own engine: it
// applies them server-side where they differ, and prunes what it applied before and is among them no more. Tests run it,
// because what Flux does to the fields that others manage is not told by a single request to the API server.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/object"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/utils"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The owner of what Flux applies: the field manager, and the group of the labels that name the Kustomization.
const (
	manager = "kustomize-controller"
	group   = "kustomize.toolkit.fluxcd.io"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file of the cluster's kubeconfig")
	name := flag.String("name", "", "name of the Kustomization")
	inventory := flag.String("inventory", "", "file that remembers what this Kustomization applied")
	flag.Parse()
	if err := reconcile(context.Background(), *kubeconfig, *name, *inventory); err != nil {
		fmt.Fprintln(os.Stderr, "flux:", err)
		os.Exit(1)
	}
}

// reconcile applies the objects of standard input and tells a line each what happened.
func reconcile(ctx context.Context, kubeconfig, name, inventory string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	api, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	objects, err := utils.ReadObjects(bufio.NewReader(os.Stdin))
	if err != nil {
		return fmt.Errorf("read the objects: %w", err)
	}
	before, err := remembered(inventory)
	if err != nil {
		return err
	}
	engine := ssa.NewResourceManager(api, nil, ssa.Owner{Field: manager, Group: group})
	engine.SetOwnerLabels(objects, name, "flux-system")

	applied, err := engine.ApplyAllStaged(ctx, objects, applyOptions())
	if err != nil {
		return err
	}
	fmt.Println(applied)
	stale, lines, err := planPrune(before, applied)
	if err != nil {
		return err
	}
	if len(stale) > 0 {
		pruned, err := engine.DeleteAll(ctx, stale, ssa.DeleteOptions{
			PropagationPolicy: metav1.DeletePropagationBackground,
			Inclusions:        engine.GetOwnerLabels(name, "flux-system"),
			Exclusions:        map[string]string{group + "/prune": "disabled", group + "/reconcile": "disabled"},
		})
		if err != nil {
			return err
		}
		fmt.Println(pruned)
	}
	return os.WriteFile(inventory, []byte(strings.Join(lines, "\n")), 0o600)
}

// applyOptions are those of kustomize-controller: what people wrote with kubectl is taken over.
func applyOptions() ssa.ApplyOptions {
	options := ssa.DefaultApplyOptions()
	options.Cleanup = ssa.ApplyCleanupOptions{
		Annotations: []string{corev1.LastAppliedConfigAnnotation},
		FieldManagers: []ssa.FieldManager{
			{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationApply},
			{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate},
			{Name: "before-first-apply", OperationType: metav1.ManagedFieldsOperationUpdate},
			{Name: manager, OperationType: metav1.ManagedFieldsOperationUpdate},
		},
	}
	return options
}

// remembered reads the inventory: an object and its version a line.
func remembered(file string) ([]string, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the inventory: %w", err)
	}
	return strings.Fields(string(content)), nil
}

// planPrune lists what was applied before and is not now, and the lines of the new inventory.
func planPrune(before []string, applied *ssa.ChangeSet) (stale []*unstructured.Unstructured, lines []string, err error) {
	now := map[string]bool{}
	for _, entry := range applied.Entries {
		line := entry.ObjMetadata.String() + "@" + entry.GroupVersion
		now[line] = true
		lines = append(lines, line)
	}
	for _, line := range before {
		if now[line] {
			continue
		}
		id, version, _ := strings.Cut(line, "@")
		metadata, err := object.ParseObjMetadata(id)
		if err != nil {
			return nil, nil, fmt.Errorf("read the inventory: %w", err)
		}
		o := &unstructured.Unstructured{}
		o.SetGroupVersionKind(metadata.GroupKind.WithVersion(version))
		o.SetName(metadata.Name)
		o.SetNamespace(metadata.Namespace)
		stale = append(stale, o)
	}
	return stale, lines, nil
}
