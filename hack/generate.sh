#!/usr/bin/env bash
# Makes every generated file anew. Run it after a change to api/ or to RBAC markers.
set -euo pipefail
cd "$(dirname "$0")/.."
tool() { go tool -modfile="hack/tools/$1/go.mod" "$@"; }

tool controller-gen object:headerFile=hack/boilerplate.txt paths=./api/...
rm -f config/crd/crm.*.yaml
tool controller-gen crd paths=./api/... output:crd:dir=config/crd
tool controller-gen rbac:roleName=tertulia-operator paths=./controllers/... paths=./internal/cli/... output:rbac:dir=config/rbac
rm -f charts/tertulia/templates/crds/*.yaml charts/tertulia/rules/*.yaml
go run ./hack/packaging --config config --chart charts/tertulia
go run ./hack/schemas --crds config/crd --schemas docs/schemas
go run ./hack/argohealth --dir config/gitops/argocd/health
tool crd-ref-docs --source-path=api/v1alpha1 --config=hack/api-reference.yaml --renderer=markdown --output-path=docs/api.md
go run ./hack/metricsdoc --output docs/metrics.md
