# What can be done here, a line each: make help.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
ARCH ?= $(shell go env GOARCH)
LDFLAGS := -s -w -X github.com/tertulia-crm/tertulia/internal/cli.version=$(VERSION)

# Tools are pinned, each in a module of its own, and built by Go's own cache.
tool = go tool -modfile=hack/tools/$(1)/go.mod $(1)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build setup ## Set everything up, run the example from manifests to delivered mail and what people say, and stay up (ONCE=1: check and leave)
	go build -o bin/demo ./hack/demo
	bin/demo $(if $(ONCE),--once) $(if $(DATA_DIR),--data-dir $(DATA_DIR))

.PHONY: test
test: ## Set everything up and run all tests
	go run ./hack/setup --tests
	$(call tool,gotestsum) --format pkgname --format-hide-empty-pkg -- -timeout 20m ./... $(TESTFLAGS)
	go -C hack/monitoring test ./...

.PHONY: lint
lint: ## Check the code against the house's rules
	$(call tool,golangci-lint) run ./...
	cd hack/flux && go tool -modfile=../tools/golangci-lint/go.mod golangci-lint run ./...
	cd hack/monitoring && go tool -modfile=../tools/golangci-lint/go.mod golangci-lint run ./...

.PHONY: generate
generate: ## Make CRDs, deep copies, RBAC, JSON Schemas and the API reference anew
	hack/generate.sh

.PHONY: verify
verify: ## Fail when a generated file or the module file is stale
	hack/verify.sh

.PHONY: build
build: ## Build bin/tertulia, and bin/kubectl-tertulia, which is the same
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o bin/tertulia ./cmd/tertulia
	ln -sf tertulia bin/kubectl-tertulia

.PHONY: image
image: ## Build an OCI image archive of the static binary, bin/tertulia-image.tar, and its SBOM (ARCH=arm64: for such machines)
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -ldflags "$(LDFLAGS)" -o bin/image/tertulia ./cmd/tertulia
	go run ./hack/image --binary bin/image/tertulia --version "$(VERSION)" --revision "$(shell git rev-parse HEAD)" --output bin/tertulia-image.tar

.PHONY: e2e
e2e: ## Install the chart into a Kubernetes node on this machine and disturb campaigns in it; needs root (ONLY=names of drills, STAY=1)
	go run ./hack/setup --node
	go build -o bin/e2e ./hack/e2e
	bin/e2e $(if $(ONLY),--only $(ONLY)) $(if $(STAY),--stay) $(if $(DATA_DIR),--data-dir $(DATA_DIR))

.PHONY: bench
bench: build setup ## Measure (BENCH=import runs the rows whose names begin so); writes bench.json
	go run ./hack/bench --only "$(BENCH)"

.PHONY: eval
eval: ## Measure how well posts are judged, on labelled ones (DATA=DIR; SPLITS=train while words are changed, WRONG=20 shows mistakes, LEARN=train,val what corrections would gain)
	go run ./hack/eval --data "$(DATA)" $(if $(SPLITS),--splits $(SPLITS)) $(if $(WRONG),--wrong $(WRONG)) $(if $(LEARN),--learn $(LEARN))

.PHONY: soak
soak: setup ## Send campaigns, kill what sends them, and compare; 100,000 recipients, three seeds (ONLY=scenarios, SIZE=, SEEDS=, OUTPUT=json)
	go build -o bin/soak ./hack/soak
	bin/soak $(if $(ONLY),--only $(ONLY)) $(if $(SIZE),--size $(SIZE)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(OUTPUT),--output $(OUTPUT))

.PHONY: interop
interop: ## Try connectors on real servers: Bluesky's from npm, nginx, Dovecot and Postfix from Debian (ONLY=names of tests)
	go run ./hack/interop $(if $(ONLY),--only '$(ONLY)')

.PHONY: fuzz
fuzz: setup ## Fuzz every parser and the expression compiler (FUZZTIME=30s each)
	hack/fuzz.sh $(or $(FUZZTIME),30s)

.PHONY: setup
setup: ## Install or build what demo and test need: PostgreSQL, the API server's binaries
	go run ./hack/setup

.PHONY: clean
clean: ## Remove what was built here and the data of demo and e2e (the cache outside the checkout stays)
	rm -rf bin .demo .e2e bench.json coverage.out
