# make demo    install, then adapt a restorer to bundled photographs, and draw what it does
# make test    install, then lint and tests; make test JOBS=8 for eight at a time
# make clean   remove what these two wrote
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# pip takes one core: what it has installed is compiled by another meanwhile, the rest at the end by all.
# (Some files of packages are no Python: it fails.)
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile
COMPILE := $(BIN)/python -m compileall -q -x '/tests?/' $(VENV)/lib >/dev/null

.PHONY: demo test lint install clean
.DELETE_ON_ERROR:

demo: install
	$(BIN)/python scripts/run_demo.py

test: install lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: install
	$(BIN)/ruff check .

install: $(VENV)/installed

# Made anew when a requirement changes; otherwise a second call installs nothing. The third line builds BasicSR, which
# needs requirements/build/sitecustomize.py from Python 3.13 on (pip builds in a folder of its own: the path is a whole
# one). --no-build-isolation: a build environment would download a second PyTorch.
$(VENV)/installed: $(wildcard requirements/*.txt requirements/build/*.py) setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 14) else \
	    "Python 3.10 to 3.14 is needed, and this is %d.%d: call make PYTHON=python3.12, say." % v)'
	@echo 'Installing into $(VENV) (once, some minutes) ...'
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements/torch.txt
	@$(COMPILE) -j 1 & trap wait EXIT; set -ex; \
	PYTHONPATH='$(CURDIR)/requirements/build' $(PIP_INSTALL) --no-build-isolation --no-deps basicsr==1.4.2; \
	$(PIP_INSTALL) --no-build-isolation -r requirements/basicsr.txt -r requirements/test.txt; \
	$(PIP_INSTALL) --no-build-isolation --no-deps -e .
	@$(COMPILE) -j 0 || true
	@$(BIN)/python -c 'import mssr_arch'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info datasets/demo demo
