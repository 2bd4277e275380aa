// Package crd holds the CustomResourceDefinitions of every kind, as controller-gen makes them from api/.
package crd

import "embed"

// Files has one YAML file per kind at its root.
//
//go:embed crm.*.yaml
var Files embed.FS
