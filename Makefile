# make demo    solve the bunny's plume with the shipped network: table, pictures, VTK file in out/
# make test    the test suite;   make test-all   with the slow tests
# Both set up what they need: a virtual environment in .venv and the compiled kernels.
# make sanitize   the kernels' and sessions' tests under AddressSanitizer and UndefinedBehaviorSanitizer (gcc); ten minutes on two cores
# make petsc   the PETSc plugin: installs PETSc and MPI where they are not there, builds deepcg/libdeepcg_petsc.so and petsc4py
#              (for another PETSc than the system's: PETSC_DIR=... PKG_CONFIG_PATH=$$PETSC_DIR/$$PETSC_ARCH/lib/pkgconfig)
# make install PREFIX=/usr/local   header, library, models and pkg-config file, for programs in C (integrations/c); no Python needed
# make bench          the quick benchmark suite, under ten minutes on two cores, peers installed by it; interrupted, it goes on where it was
# make bench-full     all of it, many hours; HOURS=8 does that much, the next call goes on
# make campaign       10,000 random systems against the reliability contract (docs/reliability.md); SYSTEMS=500 SEED=1 for others
# make bench-peers    install the libraries that the benchmarks compare with: PETSc with hypre, AMGCL

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
KERNEL_SOURCES := kernels/Makefile $(wildcard kernels/src/*/* kernels/cuda/*/* kernels/include/*)

# Without an NVIDIA GPU, the version that has a build for CPUs; with one, whatever the package index has for it.
TORCH := $(shell command -v nvidia-smi >/dev/null 2>&1 && echo "torch>=2.6" || echo "torch==2.13.0")

export OMP_WAIT_POLICY ?= passive

.PHONY: all setup build petsc install demo test test-all sanitize lint format bench bench-full bench-peers campaign results clean

all: setup

setup: $(STAMP) build

$(VENV)/bin/python:
	@sh ./system-packages.sh "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip wheel "setuptools>=68,<81"

$(STAMP): setup.py pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet numpy "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

build: deepcg/libdeepcg.so

deepcg/libdeepcg.so: $(KERNEL_SOURCES) setup.py | $(STAMP)
	$(BIN)/python setup.py --quiet build_kernels
	@[ ! -e $@ ] || touch $@

petsc: setup $(VENV)/.petsc4py
	@$(MAKE) --no-print-directory --quiet -C integrations/petsc
	@echo 'deepcg: to use it in any PETSc program:  export PETSC_OPTIONS="-dll_append $(CURDIR)/deepcg/libdeepcg_petsc.so"'

# petsc4py of PETSc's own version; -O0 because it is glue, and compiles in a minute instead of five.
$(VENV)/.petsc4py: | $(STAMP)
	@sh ./system-packages.sh "$(PYTHON)" petsc
	@name=$$(pkg-config --exists PETSc && echo PETSc || echo petsc) && version=$$(pkg-config --modversion $$name) && \
	  dir=$${PETSC_DIR:-$$(pkg-config --variable=prefix $$name)} && \
	  $(BIN)/python -m pip install --quiet "cython<3" && \
	  PETSC_DIR="$$dir" CFLAGS="-O0 -g0" $(BIN)/python -m pip install --quiet --no-build-isolation "petsc4py==$${version%.*}.*"
	@touch $@

install:
	@$(MAKE) --no-print-directory -C kernels install

demo: setup
	$(BIN)/python -m benchmarks.studies.demo --output out/demo

test: setup petsc
	$(BIN)/python -m pytest -m "not slow"

test-all: setup petsc
	$(BIN)/python -m pytest

sanitize: setup
	@$(MAKE) --no-print-directory -C kernels sanitized
	sh ./sanitize.sh $(BIN)/python -m pytest -m "not slow" -p no:cacheprovider tests/kernels/test_c_api.py tests/kernels/test_model_kernel.py \
	  tests/kernels/test_model_readers.py tests/kernels/test_native.py tests/kernels/test_ranks.py tests/kernels/test_fork.py tests/session \
	  tests/problem/test_matrix_kernel.py tests/krylov

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What cannot be installed is said, and stands in the report as not here.
bench: setup
	-@$(MAKE) --no-print-directory bench-peers
	$(BIN)/deepcg bench

bench-full: setup
	-@$(MAKE) --no-print-directory bench-peers
	$(BIN)/deepcg bench --full $(if $(HOURS),--hours $(HOURS))

bench-peers: $(VENV)/.peers

$(VENV)/.peers: system-packages.sh | $(STAMP)
	@sh ./system-packages.sh "$(PYTHON)" peers
	$(BIN)/python -m pip install --quiet pybind11
	CFLAGS="-O3 -march=native" $(BIN)/python -m pip install --quiet --no-build-isolation "pyamgcl>=1.0.0.post4"
	$(BIN)/deepcg bench --list
	@touch $@

campaign: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.studies.campaign $(if $(SYSTEMS),--systems $(SYSTEMS)) $(if $(SEED),--seed $(SEED)) $(if $(OUTPUT),--output $(OUTPUT))

results: setup
	$(BIN)/python -m benchmarks.report.tables

clean:
	rm -rf $(VENV) build out *.egg-info deepcg/libdeepcg*.so
