package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ref names an object of the cluster.
type ref struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

func (r ref) groupKind() schema.GroupKind { return schema.GroupKind{Group: r.Group, Kind: r.Kind} }

// String is how people read it: "Campaign velo/spring".
func (r ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// record is what is remembered of an object that was applied.
type record struct {
	ref
	// Directory is the one it was found under, Source the file or kustomization that yielded it.
	Directory string `json:"directory"`
	Source    string `json:"source"`
	// Applied says that the API server took it at least once. Until then an object of that name may be somebody else's.
	Applied bool `json:"applied"`
}

// inventory remembers what was applied, in a file, so that what has gone from the directories while nobody watched is
// removed from the cluster too.
type inventory struct {
	file    string
	records map[ref]record
}

func openInventory(file string) (*inventory, error) {
	i := &inventory{file: file, records: map[ref]record{}}
	content, err := os.ReadFile(file) //nolint:gosec // our own file
	if errors.Is(err, os.ErrNotExist) {
		return i, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the inventory of applied objects: %w", err)
	}
	var records []record
	if err := json.Unmarshal(content, &records); err != nil {
		return nil, fmt.Errorf("read the inventory of applied objects in %s: %w", file, err)
	}
	for _, r := range records {
		i.records[r.ref] = r
	}
	return i, nil
}

// note adds records, or changes them.
func (i *inventory) note(records []record) error {
	changed := false
	for _, r := range records {
		r.Applied = r.Applied || i.records[r.ref].Applied
		if i.records[r.ref] != r {
			i.records[r.ref] = r
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return i.save()
}

func (i *inventory) forget(gone []ref) error {
	if len(gone) == 0 {
		return nil
	}
	for _, r := range gone {
		delete(i.records, r)
	}
	return i.save()
}

// save writes the whole file aside and renames it.
func (i *inventory) save() error {
	records := i.sorted()
	content, err := json.MarshalIndent(records, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the inventory: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(i.file), 0o700); err != nil {
		return fmt.Errorf("make the folder of the inventory: %w", err)
	}
	if err := os.WriteFile(i.file+".new", content, 0o600); err != nil {
		return fmt.Errorf("write the inventory: %w", err)
	}
	if err := os.Rename(i.file+".new", i.file); err != nil {
		return fmt.Errorf("write the inventory: %w", err)
	}
	return nil
}

func (i *inventory) sorted() []record {
	records := make([]record, 0, len(i.records))
	for _, r := range i.records {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b record) int { return strings.Compare(a.String(), b.String()) })
	return records
}

// planPrune lists the objects that were applied from one of the directories, are wanted no more, and whose source is not
// merely unreadable at the moment. CustomResourceDefinitions are never removed: every object of the kind would go with one.
func planPrune(applied []record, directories []string, wanted map[ref]bool, unreadable []string) []record {
	var prune []record
	for _, r := range applied {
		unknown := slices.ContainsFunc(unreadable, func(path string) bool { return within(r.Source, path) })
		if !wanted[r.ref] && slices.Contains(directories, r.Directory) && !unknown && phase(r.groupKind()) != phaseDefinitions {
			prune = append(prune, r)
		}
	}
	// What was applied first is removed last.
	slices.SortStableFunc(prune, func(a, b record) int { return phase(b.groupKind()) - phase(a.groupKind()) })
	return prune
}

// within reports whether path is other or lies under it.
func within(path, other string) bool {
	return path == other || strings.HasPrefix(path, strings.TrimSuffix(other, string(filepath.Separator))+string(filepath.Separator))
}

// The order in which objects are applied.
const (
	phaseDefinitions = iota
	phaseNamespaces
	phaseTenants
	phaseRest
)

func phase(kind schema.GroupKind) int {
	switch kind {
	case schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}:
		return phaseDefinitions
	case schema.GroupKind{Kind: "Namespace"}:
		return phaseNamespaces
	case schema.GroupKind{Group: "crm.tertulia.dev", Kind: "CRMTenant"}:
		return phaseTenants
	default:
		return phaseRest
	}
}
