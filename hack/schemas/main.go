// Command schemas makes, from the CRDs, one JSON Schema per kind for editors.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	crds := flag.String("crds", "config/crd", "directory of the CRDs")
	schemas := flag.String("schemas", "docs/schemas", "directory for the JSON Schemas")
	flag.Parse()
	if err := run(*crds, *schemas); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(crds, schemas string) error {
	files, err := filepath.Glob(filepath.Join(crds, "crm.*.yaml"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(schemas, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(content, &crd); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := writeSchemas(schemas, &crd); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// writeSchemas writes <kind>.json for the stored version.
func writeSchemas(dir string, crd *apiextensionsv1.CustomResourceDefinition) error {
	for _, version := range crd.Spec.Versions {
		if !version.Storage {
			continue
		}
		raw, err := json.Marshal(version.Schema.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		var schema map[string]any
		if err := json.Unmarshal(raw, &schema); err != nil {
			return err
		}
		forEditors(schema)
		properties := schema["properties"].(map[string]any)
		properties["apiVersion"] = map[string]any{"const": crd.Spec.Group + "/" + version.Name}
		properties["kind"] = map[string]any{"const": crd.Spec.Names.Kind}
		properties["metadata"] = map[string]any{"type": "object", "description": "Name, namespace, labels and annotations."}
		delete(properties, "status")
		schema["$schema"] = "http://json-schema.org/draft-07/schema#"
		schema["title"] = crd.Spec.Names.Kind
		schema["required"] = []string{"apiVersion", "kind", "metadata", "spec"}
		out, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			return err
		}
		name := strings.ToLower(crd.Spec.Names.Kind) + ".json"
		if err := os.WriteFile(filepath.Join(dir, name), append(out, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// forEditors closes objects, so that a mistyped field is underlined, and drops what only the API server understands.
func forEditors(schema map[string]any) {
	for key := range schema {
		if strings.HasPrefix(key, "x-kubernetes-") {
			delete(schema, key)
		}
	}
	if properties, ok := schema["properties"].(map[string]any); ok {
		schema["additionalProperties"] = false
		for _, property := range properties {
			forEditors(property.(map[string]any))
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		forEditors(items)
	}
}
