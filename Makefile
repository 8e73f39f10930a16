# What can be done here. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help install demo serve test check bench lock chaos editor
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One virtual environment with everything, made again when the lock changes.
.venv/installed: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "relorch needs Python 3.11 or newer; $(PYTHON) is older or missing. Say which: make install PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python -a -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	@echo "Installing what requirements/dev.txt locks into .venv …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

install: .venv/installed ## make .venv with run-time and check tools, exactly as locked

demo: .venv/installed ## everything with demo people, processes and releases, at http://127.0.0.1:8000
	@$(BIN)/python manage.py demo

serve: .venv/installed ## a real installation in var/ (or RELORCH_HOME)
	@$(BIN)/python manage.py serve

test: .venv/installed ## all tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

check: .venv/installed ## style, types, layers, templates, migrations, lock
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/djlint --quiet --lint templates
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m pytest -q -p no:django -p no:cacheprovider tests/house/test_requirements.py

chaos: .venv/installed ## kill everything again and again, deep; RELORCH_CHAOS_SCALE and RELORCH_CHAOS_SEED say how much and which
	RELORCH_CHAOS_SCALE=$${RELORCH_CHAOS_SCALE:-5} $(BIN)/python -m tests.chaos
	RELORCH_CHAOS_TIMES=$${RELORCH_CHAOS_TIMES:-4} RELORCH_CHAOS_ROUNDS=$${RELORCH_CHAOS_ROUNDS:-200} $(BIN)/python -m pytest -q -m chaos
	RELORCH_RACE_ROUNDS=$${RELORCH_RACE_ROUNDS:-500} $(BIN)/python -m pytest -q tests/races/test_decisions.py
	RELORCH_MACHINE=$${RELORCH_MACHINE:-5000x40} $(BIN)/python -m pytest -q tests/releases/test_verbs_machine.py

bench: .venv/installed ## measure; writes bench/results/latest.json
	@$(BIN)/python -m bench

lock: ## lock the versions anew (needs uv); make lock UPGRADE=--upgrade takes newer ones
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url $(UPGRADE) requirements/base.in -o requirements/base.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url $(UPGRADE) -c requirements/base.txt requirements/dev.in -o requirements/dev.txt

editor: ## build static/vendor/codemirror from requirements/editor (needs node and npm)
	@requirements/editor/build.sh
	@sha256sum static/vendor/codemirror/codemirror.min.js
