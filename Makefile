# Two commands: `make all` sets up .venv and runs the quick tier; `make test` sets up the same and tests it.
PYTHON ?= python3.11
VENV := .venv
READY := $(VENV)/.ready
UV := $(VENV)/bin/uv
export VIRTUAL_ENV := $(abspath $(VENV))
export PATH := $(abspath $(VENV)/bin):$(PATH)

# Snakemake keeps a cache in the user's home; where that cannot be written, it is here.
ifneq ($(shell cache="$${XDG_CACHE_HOME:-$$HOME/.cache}"; mkdir -p "$$cache" 2> /dev/null && test -w "$$cache" && echo yes),yes)
export XDG_CACHE_HOME := $(CURDIR)/build/cache
endif

.PHONY: all test test-fast test-slurm tiny lock clean

all: $(READY)
	snakemake all

test: $(READY)
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/slurm

# In two to three minutes: all but the tests marked slow.
test-fast: $(READY)
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/slurm -m "not slow"

# Through a real Slurm of two nodes on this machine, which Debian's packages start (installed where they are missing, as root).
test-slurm: $(READY)
	python -m pytest tests/slurm

# The whole line in a minute or two; its numbers mean nothing.
tiny: $(READY)
	snakemake all --config tier=tiny papers=norm_matters

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "error: $(PYTHON) is not installed; apt-get install python3.11 python3.11-venv, or make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) has no venv; apt-get install python3.11-venv"; rm -rf $(VENV); exit 1; }
	@test -x $(UV) || { awk '/^uv==/ {on = 1} on && /^[a-z]/ && !/^uv==/ {exit} on' requirements.lock > $(VENV)/uv.lock \
		&& $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.lock; }
	$(UV) pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

# After a change of requirements.in.
lock:
	$(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header requirements.in --output-file requirements.lock

clean:
	rm -rf build .snakemake
