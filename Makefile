# Everything here sets up what it needs by itself: Python >= 3.11 and make are enough.
# `make help` lists the targets; PYTHON=/path/to/python3 chooses the interpreter.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

export SAM_CLI_TELEMETRY := 0
export AWS_DEFAULT_REGION ?= us-east-1
export PYTHON
# Tests start hundreds of processes, which would each compile everything anew where the environment forbids bytecode.
unexport PYTHONDONTWRITEBYTECODE

ENVIRONMENT := sh requirements/environment.sh

# One stamp per environment: a changed requirement file makes its environment anew.
DEV   := .venv/.ready
STACK := .local/stack/.ready
SAM   := .local/sam/.ready
BUILD := .local/build/.ready
CLIENT := .local/runtime/.ready
SAFETY := .local/safety/.ready

PY    := .venv/bin/python
RELAY := .venv/bin/relay
TEMPLATE := .local/template/template.json
SAM_CLI := .local/sam/bin/sam

# What `make build` builds for: the template's parameters PythonRuntime and Architecture.
RUNTIME ?= python3.13
ARCHITECTURE ?= arm64

# Which environment of samconfig.toml `make deploy` deploys, and parameters of the stack that win over those there.
ENV ?= dev
PARAMS ?=

# Tests run side by side (tests/conftest.py).
TEST_JOBS ?= auto
TEST_ARGS ?=
SEEDS ?= 1 2 3
FUZZ ?= 1000
# Mutants by id, with * and ?; a mutant's id begins with the name of its file in tests/mutants.
MUTANTS ?=
JOBS ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- the two commands to know -------------------------------------------------------------------

.PHONY: demo
demo: $(DEV) $(STACK) ## start the local stack, send signed sample events, show what happened to each
	@$(RELAY) demo

.PHONY: test
test: $(DEV) $(STACK) ## run the whole test suite (TEST_ARGS="-k name" for a part of it)
	@$(PY) -m pytest -n $(TEST_JOBS) --ignore tests/runtime --ignore tests/samlocal --ignore tests/browser $(TEST_ARGS)

# --- work ---------------------------------------------------------------------------------------

.PHONY: run
run: $(DEV) $(STACK) ## the local stack in the foreground, until Ctrl-C
	@$(RELAY) dev

.PHONY: check
check: $(DEV) $(SAM) $(SAFETY) $(TEMPLATE) ## format, lint, types, the generated files, template
	@echo "== ruff format"; $(PY) -m ruff format --check .
	@echo "== ruff check"; $(PY) -m ruff check .
	@echo "== mypy"; $(PY) -m mypy
	@echo "== openapi"; $(PY) -m devkit.openapi --check
	@echo "== observability"; $(PY) -m infra.observability --check
	@$(PY) -m devkit.rehearsal
	@echo "== cfn-lint"; .local/sam/bin/cfn-lint template.yaml $(TEMPLATE) infra/observability.json .local/template/deployed-*.json
	@echo "== checkov"; .local/safety/bin/checkov --config-file .checkov.yaml
	@echo "== sam validate"; $(SAM_CLI) validate --lint --template-file $(TEMPLATE)

# template.yaml with its loops written out: what is checked, built and deployed.
$(TEMPLATE): template.yaml devkit/render.py devkit/localstack/loops.py devkit/localstack/template.py $(DEV)
	@$(PY) -m devkit.render

.PHONY: format
format: $(DEV) ## format the sources and mend what ruff can
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

.PHONY: build
build: $(SAM) $(BUILD) $(TEMPLATE) ## deployable artifacts for the template's runtime and processor, in .aws-sam/build
	@PATH="$(CURDIR)/.local/build/bin:$$PATH" PYTHON_RUNTIME=$(RUNTIME) ARCHITECTURE=$(ARCHITECTURE) \
	    $(SAM_CLI) build --template-file $(TEMPLATE) --base-dir . \
	    --parameter-overrides PythonRuntime=$(RUNTIME) Architecture=$(ARCHITECTURE)

.PHONY: deploy
deploy: build $(DEV) ## deploy to AWS; guided the first time (ENV=dev|prod PARAMS="Name=value ..." UNATTENDED=1)
	@$(PY) -m devkit.deploy --sam $(SAM_CLI) --env $(ENV) $(if $(UNATTENDED),--unattended) \
	    PythonRuntime=$(RUNTIME) Architecture=$(ARCHITECTURE) $(PARAMS)

.PHONY: runtime
runtime: $(DEV) $(STACK) $(SAM) $(CLIENT) ## run every built function under Lambda's runtime, with its sample events
	@$(PY) -m pytest tests/runtime $(TEST_ARGS)

# For containers on this machine, whatever the stack is deployed on; the usual build stays as it is.
SAM_LOCAL := .local/samlocal

$(SAM_LOCAL)/build/template.yaml: $(DEV) $(SAM) $(BUILD) FORCE
	@$(PY) -m devkit.samlocal template
	@PATH="$(CURDIR)/.local/build/bin:$$PATH" PYTHON_RUNTIME=$(RUNTIME) ARCHITECTURE=$$(uname -m | sed 's/aarch64/arm64/') \
	    $(SAM_CLI) build --template-file $(SAM_LOCAL)/template.json --base-dir . --build-dir $(SAM_LOCAL)/build >/dev/null

.PHONY: FORCE
FORCE:

.PHONY: sam-local
sam-local: $(STACK) $(SAM_LOCAL)/build/template.yaml ## what `sam local` needs around the functions, until Ctrl-C (containers)
	@$(PY) -m devkit.samlocal

.PHONY: test-sam-local
test-sam-local: $(STACK) $(SAM_LOCAL)/build/template.yaml ## test `sam local` (needs a container engine)
	@$(PY) -m pytest tests/samlocal $(TEST_ARGS)

.PHONY: test-browser
test-browser: $(DEV) $(STACK) ## test the console in a real browser (RELAY_PICTURES=write: and renew docs/images)
	@sh requirements/chromium.sh >/dev/null
	@$(PY) -m pytest tests/browser $(TEST_ARGS)

.PHONY: bench
bench: $(DEV) $(STACK) $(SAM) $(CLIENT) ## measure the budgets and print one table
	@$(PY) -m benchmarks

.PHONY: soak
soak: $(DEV) $(STACK) ## storms of 5000 events with faults and kills (SEEDS="1 2 3", docs/soak.md)
	@SEEDS="$(SEEDS)" $(PY) -m pytest tests/faults -m soak $(TEST_ARGS)

.PHONY: mutants
mutants: $(DEV) $(STACK) ## break each promise on purpose; the tests named for it must fail (MUTANTS="ledger*" JOBS=2)
	@$(PY) -m tests.mutants $(MUTANTS) $(if $(JOBS),--jobs $(JOBS))

.PHONY: fuzz
fuzz: $(DEV) $(STACK) ## every parser, the vendors' readers and the whole of ingest with invented input (FUZZ=1000)
	@RELAY_FUZZ=$(FUZZ) $(PY) -m pytest tests/fuzz tests/sources/test_verifiers.py -n $(TEST_JOBS) $(TEST_ARGS)

.PHONY: openapi
openapi: $(DEV) ## write docs/openapi.json
	@$(PY) -m devkit.openapi

.PHONY: observability
observability: $(DEV) ## write infra/observability.json: alarms, dashboard, saved queries
	@$(PY) -m infra.observability

.PHONY: docs
docs: openapi ## everything under docs/ that is generated
	@$(RELAY) catalogue --markdown > docs/catalogue.md
	@$(PY) -m tests.contract.table
	@$(PY) -m tests.threats

.PHONY: requirements
requirements: $(BUILD) ## compile requirements/*.in to pinned, hashed files (UPGRADE=--upgrade for newer versions)
	@cd requirements && for name in layer dev local sam build runtime safety; do \
	    ../.local/build/bin/uv pip compile $$name.in --output-file $$name.txt --quiet $(UPGRADE) \
	        --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	        --custom-compile-command "make requirements"; \
	done

.PHONY: clean
clean: ## remove the environments, caches, the local stack's state and the build
	@rm -rf .venv .local .aws-sam .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments -------------------------------------------------------------------------------

$(DEV): requirements/dev.txt requirements/environment.sh
	@$(ENVIRONMENT) .venv $< "the development environment" "about 1 min"
	@$(PY) requirements/checkout.py
	@touch $@

$(STACK): requirements/local.txt requirements/environment.sh
	@$(ENVIRONMENT) .local/stack $< "the local AWS services" "about 20 s"
	@touch $@

$(SAM): requirements/sam.txt requirements/environment.sh
	@$(ENVIRONMENT) .local/sam $< "the SAM command line" "about 1 min"
	@touch $@

$(CLIENT): requirements/runtime.txt requirements/environment.sh
	@$(ENVIRONMENT) .local/runtime $< "Lambda's runtime interface client" "about 5 s"
	@touch $@

$(SAFETY): requirements/safety.txt requirements/environment.sh
	@$(ENVIRONMENT) .local/safety $< "the check of the template's safety" "about 30 s"
	@touch $@

$(BUILD): requirements/build.txt requirements/environment.sh
	@$(ENVIRONMENT) .local/build $< "the build tools" "about 5 s"
	@touch $@
