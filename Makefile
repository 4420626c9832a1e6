# All that a machine needs beforehand is Python 3.11 or newer, make, and a package index.
.DEFAULT_GOAL := help
SHELL := /bin/sh

UV_VERSION := 0.13.9
# The machine's Python, or another of its Pythons that is new enough; `make PYTHON=...` names one.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)

export UV_PYTHON_DOWNLOADS := never
# Each of the hundreds of processes of the tests would compile whatever it imports: 4 s for the service.
unexport PYTHONDONTWRITEBYTECODE
ifdef CI
export UV_NO_PROGRESS := 1
endif
UV := .uv/bin/uv
UV_STAMP := .uv/$(UV_VERSION)
RUN := .venv/bin/

# A virtual environment holds its own path: one that was moved along with this folder is made anew.
ifneq ($(wildcard .venv/synced),)
ifneq ($(shell cat .venv/synced),$(CURDIR))
$(shell rm -rf .venv .uv)
endif
endif

.PHONY: help
help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/synced ## Start the API and the dashboard on this machine, with a sample photo to try
	@exec $(RUN)python scripts/run.py

.PHONY: test
test: .venv/synced ## Run the whole test suite
	$(RUN)python -m pytest -n 2 --dist loadfile $(ARGS)

.PHONY: check
check: .venv/synced ## Check format, lint, types, the direction of imports, and licences
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)mypy
	$(RUN)lint-imports
	$(RUN)hadolint --config docker/.hadolint.yaml docker/*.Dockerfile scripts/standins/*.Dockerfile
	$(RUN)python scripts/licenses.py

.PHONY: format
format: .venv/synced ## Format the code and mend what the linter can
	$(RUN)ruff check --fix .
	$(RUN)ruff format .

.PHONY: torture
torture: .venv/synced ## Long proofs: fuzzing, 1,000 crashes, memory over 20,000 analyses
	$(RUN)python -m pytest -n 2 --hypothesis-profile torture tests/engine/test_images.py tests/engine/test_detection.py tests/engine/test_dlib_format.py tests/engine/test_search.py tests/api/test_requests.py $(ARGS)
	$(RUN)python -m pytest -m torture -s tests/torture

.PHONY: bench
bench: .venv/synced ## Measure speed and memory, the store with a million users and ten million pairs, the dashboard's pages
	$(RUN)python scripts/bench.py $(ARGS)
	$(RUN)python scripts/bench_store.py
	$(RUN)python scripts/bench_evaluation.py
	PYTHONPATH=scripts:tests $(RUN)python scripts/bench_dashboard.py

.PHONY: overhead
overhead: .venv/synced ## Measure what HTTP, the store and its sealing add to the time of the networks
	$(RUN)python scripts/overhead.py $(ARGS)

.PHONY: load
load: $(UV_STAMP) ## Measure the service with 8 callers, and with four times of what it can do
	$(UV) run --isolated --locked --all-packages --all-extras --group load --python .uv/bin/python python scripts/load.py $(ARGS)

.PHONY: audit
audit: $(UV_STAMP) ## Look all locked packages up among the known vulnerabilities, which the package index tells
	@list=$$(mktemp) && trap 'rm -f "$$list"' EXIT && \
	$(UV) export --quiet --locked --all-packages --all-extras --all-groups --no-emit-workspace --output-file "$$list" && \
	$(UV) run --isolated --locked --only-group audit --python .uv/bin/python \
		pip-audit --strict --disable-pip --require-hashes --requirement "$$list" $(ARGS)

.PHONY: images
images: .venv/synced ## Build the container images and try the stacks of them; ARGS="--base debootstrap" needs no registry
	$(RUN)python scripts/prove_images.py $(ARGS)

.PHONY: cuda-check
# An environment of its own: what uses CUDA owns the files of what it stands in for, onnxruntime and dlib-bin.
# dlib is installed without pyproject.toml, which lets uv leave it out everywhere.
cuda-check: CUDA_PYTHON := .venv-cuda/bin/python
cuda-check: $(UV_STAMP) ## On an NVIDIA GPU: compile dlib for it, then agreement, speed and memory, on one page
	UV_PROJECT_ENVIRONMENT=.venv-cuda $(UV) sync --locked --no-dev --all-packages --group cuda --group dlib-cuda \
		--no-install-package onnxruntime --python .uv/bin/python
	wheel=$$($(CUDA_PYTHON) scripts/cuda_dlib.py) && \
		$(UV) pip uninstall --python $(CUDA_PYTHON) dlib-bin && \
		$(UV) pip install --no-config --python $(CUDA_PYTHON) --no-deps "$$wheel" || \
		echo "The check goes on without dlib on the GPU." >&2
	$(CUDA_PYTHON) scripts/cuda_check.py $(ARGS)

$(UV_STAMP):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found. Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear .uv || { rm -rf .uv; echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) || { rm -rf .uv; exit 1; }
	@touch $@

.venv/synced: $(UV_STAMP) uv.lock pyproject.toml $(wildcard packages/*/pyproject.toml)
	$(UV) sync --locked --all-packages --all-extras --python .uv/bin/python
	@echo '$(CURDIR)' > $@
