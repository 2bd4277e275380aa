// Package versionskew notices that the kinds of the API server and this operator are of different versions: fields that an
// author may write and that nobody here reads, or the other way round. Objects with such fields are kept as they are; what
// must not happen is that nobody is told.
package versionskew

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"sigs.k8s.io/yaml"
)

// vocabulary is what the schemas of kinds take: by kind, the paths of fields, such as spec.schedule.at, and of the values that
// a field may have, such as spec.type=Email.
type vocabulary map[string]map[string]bool

// difference is what one side of a comparison knows of a kind and the other does not, in order.
type difference struct {
	// Unknown is what the API server takes and this operator does not know.
	Unknown []string
	// Missing is what this operator knows and the API server does not take.
	Missing []string
}

// compare returns the differences by kind, those without any included. A kind that the API server has and this operator does
// not know at all is none: nobody here looks after it.
func compare(served, known vocabulary) map[string]difference {
	differences := make(map[string]difference, len(known))
	for kind, paths := range known {
		differences[kind] = difference{Unknown: without(served[kind], paths), Missing: without(paths, served[kind])}
	}
	return differences
}

func without(from, these map[string]bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(from)), func(path string) bool { return these[path] })
}

// schema is the part of an OpenAPI schema that names fields and values.
type schema struct {
	Properties           map[string]schema `json:"properties"`
	Items                *schema           `json:"items"`
	AdditionalProperties json.RawMessage   `json:"additionalProperties"` // a schema or a truth value
	Enum                 []any             `json:"enum"`
}

// collect adds what a schema takes, below a path.
func (s schema) collect(path string, into map[string]bool) {
	for _, value := range s.Enum {
		into[fmt.Sprintf("%s=%v", path, value)] = true
	}
	for name, field := range s.Properties {
		below := path + "." + name
		if path == "" {
			below = name
		}
		into[below] = true
		field.collect(below, into)
	}
	if s.Items != nil {
		s.Items.collect(path+"[]", into)
	}
	var values schema
	if json.Unmarshal(s.AdditionalProperties, &values) == nil {
		values.collect(path+".*", into)
	}
}

// pathsOf lists what a kind takes, without what every object of Kubernetes has.
func (s schema) pathsOf() map[string]bool {
	own := maps.Clone(s.Properties)
	for _, common := range []string{"apiVersion", "kind", "metadata"} {
		delete(own, common)
	}
	paths := map[string]bool{}
	schema{Properties: own}.collect("", paths)
	return paths
}

// readDefinitions reads the vocabulary of the CustomResourceDefinitions in the *.yaml files at the root of files.
func readDefinitions(files fs.FS, version string) (vocabulary, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the kinds' definitions: %w", err)
	}
	words := vocabulary{}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read the definition of a kind: %w", err)
		}
		var definition struct {
			Spec struct {
				Names struct {
					Kind string `json:"kind"`
				} `json:"names"`
				Versions []struct {
					Name   string `json:"name"`
					Schema struct {
						OpenAPIV3Schema schema `json:"openAPIV3Schema"`
					} `json:"schema"`
				} `json:"versions"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(text, &definition); err != nil {
			return nil, fmt.Errorf("read the definition of a kind in %s: %w", name, err)
		}
		for _, v := range definition.Spec.Versions {
			if v.Name == version {
				words[definition.Spec.Names.Kind] = v.Schema.OpenAPIV3Schema.pathsOf()
			}
		}
	}
	return words, nil
}

// readOpenAPI reads the vocabulary of one group and version from the OpenAPI document that an API server publishes for it.
func readOpenAPI(document []byte) (vocabulary, error) {
	var published struct {
		Components struct {
			Schemas map[string]struct {
				schema
				Kinds []struct {
					Kind string `json:"kind"`
				} `json:"x-kubernetes-group-version-kind"`
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &published); err != nil {
		return nil, fmt.Errorf("read the API server's OpenAPI document: %w", err)
	}
	words := vocabulary{}
	for _, s := range published.Components.Schemas {
		if _, hasSpec := s.Properties["spec"]; len(s.Kinds) == 1 && hasSpec {
			words[s.Kinds[0].Kind] = s.pathsOf()
		}
	}
	return words, nil
}
