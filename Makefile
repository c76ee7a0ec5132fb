# make demo    install, then learn super-resolution from bundled photographs (both stages and the test)
# make test    install, then lint and tests; make test JOBS=8 for eight at a time
# make clean   remove what these two wrote
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test lint install clean
.DELETE_ON_ERROR:

demo: install
	$(BIN)/python scripts/run_demo.py

test: install lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: install
	$(BIN)/ruff check .

install: $(VENV)/installed

# Made anew when a requirement changes; otherwise a second call installs nothing.
$(VENV)/installed: requirements/torch.txt requirements/basicsr.txt requirements/test.txt requirements/constraints.txt setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 12) else \
	    "Python 3.10 to 3.12 is needed, and this is %d.%d: call make PYTHON=python3.12, say." % v)'
	@echo 'Installing into $(VENV) (once, some minutes) ...'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -r requirements/torch.txt
	$(PIP) install --no-build-isolation -r requirements/basicsr.txt -r requirements/test.txt
	$(PIP) install --no-build-isolation --no-deps -e .
	@$(BIN)/python -c 'import mssr_arch'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info datasets/demo experiments/demo_* results/demo_* tb_logger/demo_* demo
