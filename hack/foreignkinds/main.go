// Command foreignkinds writes the schemas of kinds of Flux, Argo CD and the Prometheus operator, by which tests check the
// manifests that we give to platform teams. It takes them from the Go modules of all three, which needs a module proxy, and
// leaves out what no manifest of ours has: prose, status, and most generators. Run it to move to newer versions; nothing
// else runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// definitions are the files with CustomResourceDefinitions, by the folder that their schemas go to and by module.
var definitions = map[string]map[string][]string{
	"internal/gitops/testdata/kinds": {
		"github.com/argoproj/argo-cd/v3@v3.5.7": {
			"manifests/crds/application-crd.yaml", "manifests/crds/applicationset-crd.yaml", "manifests/crds/appproject-crd.yaml",
		},
		"github.com/fluxcd/kustomize-controller@v1.9.6": {"config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"},
		"github.com/fluxcd/helm-controller@v1.6.4":      {"config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml"},
		"github.com/fluxcd/source-controller@v1.9.6": {
			"config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml", "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
		},
	},
	"hack/packaging/testdata/kinds": {
		"github.com/prometheus-operator/prometheus-operator@v0.93.0": {
			"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
		},
	},
}

func main() {
	for to, modules := range definitions {
		for module, files := range modules {
			if err := write(module, files, to); err != nil {
				log.Fatalf("%s: %v", module, err)
			}
		}
	}
}

func write(module string, files []string, to string) error {
	dir, err := download(module)
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(dir, file)) //nolint:gosec // of a module that was checked
		if err != nil {
			return err
		}
		var definition map[string]any
		if err := yaml.Unmarshal(content, &definition); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		short, err := yaml.Marshal(reduce(definition))
		if err != nil {
			return err
		}
		head := fmt.Sprintf("# Written by hack/foreignkinds from %s of %s, without its prose.\n", filepath.Base(file), module)
		target := filepath.Join(to, filepath.Base(file))
		if err := os.WriteFile(target, append([]byte(head), short...), 0o644); err != nil { //nolint:gosec // a file of the repository
			return err
		}
	}
	return nil
}

// download fetches a module and returns its folder.
func download(module string) (string, error) {
	command := exec.CommandContext(context.Background(), "go", "mod", "download", "-json", module) //nolint:gosec // a constant
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	output, err := command.Output()
	var told struct{ Dir, Error string }
	if parsed := json.Unmarshal(output, &told); parsed != nil {
		return "", errors.Join(err, parsed)
	}
	if told.Error != "" {
		return "", errors.New(told.Error)
	}
	return told.Dir, err
}

// reduce leaves out descriptions, what is not in a manifest, and generators that ours do not use.
func reduce(value any) any {
	switch value := value.(type) {
	case map[string]any:
		short := map[string]any{}
		for key, item := range value {
			if _, text := item.(string); key == "description" && text {
				continue
			}
			if nested, ok := item.(map[string]any); ok && nested["properties"] != nil && absent[key] {
				item = map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
			}
			short[key] = reduce(item)
		}
		return short
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = reduce(item)
		}
		return list
	}
	return value
}

// absent are properties of which our manifests have none: their schemas take anything.
var absent = map[string]bool{
	"status": true, "operation": true, "matrix": true, "merge": true, "clusters": true, "clusterDecisionResource": true,
	"list": true, "plugin": true, "pullRequest": true, "scmProvider": true, "sourceHydrator": true,
}
