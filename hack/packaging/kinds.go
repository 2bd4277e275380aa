package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// kind is a CustomResourceDefinition and the file that it stands in.
type kind struct {
	name    string // of the file
	plural  string
	content []byte
}

// readKinds reads every CustomResourceDefinition of a directory, in the order of their files' names.
func readKinds(dir string) ([]kind, error) {
	files, err := filepath.Glob(filepath.Join(dir, "crm.*.yaml"))
	if err != nil {
		return nil, err
	}
	var kinds []kind
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(content, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		kinds = append(kinds, kind{name: filepath.Base(file), plural: crd.Spec.Names.Plural, content: content})
	}
	if len(kinds) == 0 {
		return nil, fmt.Errorf("no CustomResourceDefinition in %s", dir)
	}
	return kinds, nil
}

// chartCRD is a CustomResourceDefinition as the chart has it: in the templates, so that an upgrade brings it up to date,
// and with the annotation that makes Helm leave it, and so every object of its kind, where it is on uninstall.
func chartCRD(crd []byte) ([]byte, error) {
	const annotations = "\n  annotations:\n"
	if !strings.Contains(string(crd), annotations) {
		return nil, errors.New("no annotations to add to")
	}
	// Braces in descriptions and CEL messages must reach Helm as text.
	escaped := strings.NewReplacer("{{", "{{ \"{{\" }}", "}}", "{{ \"}}\" }}").Replace(strings.TrimPrefix(string(crd), "---\n"))
	kept := strings.Replace(escaped, annotations, annotations+"    helm.sh/resource-policy: keep\n", 1)
	return []byte("{{- if .Values.crds.install }}\n" + kept + "{{- end }}\n"), nil
}

// kustomization is the base that lists every kind.
func kustomization(kinds []kind) []byte {
	var out strings.Builder
	out.WriteString("# Written by hack/packaging: run make generate.\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
	for _, k := range kinds {
		out.WriteString("- " + k.name + "\n")
	}
	return []byte(out.String())
}
