# make book    build the book into _build/html        make serve      … and read it in a browser
# make test    unit tests, notebooks, style           make test-pages the built pages in a browser
# make setup   what the others need                   make test-slow  the tests that take long
# make lab     JupyterLab on the notebooks            make bench      speed
# make pins    compile both lists of versions anew    make clean      remove what was built
#
# make assignments         the student versions, in _grading/release
# make check-assignments   the reference and planted answers of every assignment
# make grade ASSIGNMENT=part_1_derivatives SUBMISSIONS=folder OPTIONS="--manual points.csv"
#
# make test PYTHON=python3.13             another interpreter, in an environment of its own
# make test PYTHON=python3.11 LOWEST=1    the lowest versions that pyproject.toml allows

PYTHON ?= python3
LOWEST ?=
WHICH  := $(if $(LOWEST),-lowest)
PINS   := requirements$(WHICH).txt
VENV   ?= .venv/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')$(WHICH)
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PORT   ?= 8000

# One thread each: the same numbers on every machine, and two kernels do not get in each other's way.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export MKL_NUM_THREADS = 1

# Memory that is freed stays with the process (glibc); see book/rnnbook/_environment.py.
export MALLOC_MMAP_THRESHOLD_ = 4000000000
export MALLOC_TRIM_THRESHOLD_ = 4000000000
export MALLOC_TOP_PAD_ = 268435456

.PHONY: help setup book serve test test-slow test-pages lab bench pins clean \
    assignments check-assignments grade
help:
	@sed -n 's/^# \{0,1\}//; /^make/p' Makefile

setup: $(VENV)/package

$(VENV)/pins: $(PINS)
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) --require-hashes -r $(PINS)
	touch $@

$(VENV)/package: $(VENV)/pins pyproject.toml
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

# Sphinx does not read a failed page again, so a second build would pass: forget what it has read.
book: setup
	$(BIN)/jupyter-book build . -W -n --keep-going || { rm -rf _build/.doctrees; exit 1; }

serve: setup
	@$(BIN)/python -c "import socket; socket.create_server(('127.0.0.1', $(PORT))).close()" 2> /dev/null \
	    || { echo "port $(PORT) is in use; another one: make serve PORT=8001"; exit 1; }
	$(MAKE) book
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb notebooks/assignments/*.ipynb
	$(BIN)/pytest --numprocesses auto

test-slow: setup
	$(BIN)/pytest -m slow --numprocesses auto --dist loadfile

test-pages: book
	$(BIN)/pytest -m pages --numprocesses auto tests/pages

assignments: setup
	$(BIN)/python -m rnnbook.grading assignments $(OPTIONS)

check-assignments: setup
	$(BIN)/pytest -m slow --numprocesses auto --dist loadfile tests/test_assignments.py tests/test_grading_safety.py

grade: setup
	@test -n "$(ASSIGNMENT)" -a -n "$(SUBMISSIONS)" \
	    || { echo "say what: make grade ASSIGNMENT=part_1_derivatives SUBMISSIONS=folder"; exit 1; }
	$(BIN)/python -m rnnbook.grading grade "$(ASSIGNMENT)" "$(SUBMISSIONS)" $(OPTIONS)

lab: setup
	$(BIN)/jupyter lab --notebook-dir notebooks

bench: setup
	$(BIN)/python -m benchmarks

COMPILE := uv pip compile pyproject.toml requirements.in --extra book --extra grading --extra notebooks \
    --extra test --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --upgrade --quiet
pins:
	$(COMPILE) --output-file requirements.txt
	$(COMPILE) --resolution lowest-direct --output-file requirements-lowest.txt

clean:
	rm -rf _build .pytest_cache .ruff_cache .hypothesis dist
