# Every target works as root and as an ordinary user, in a fresh clone, with Python 3.11 or newer.
.DEFAULT_GOAL := help
.PHONY: help demo up test check fmt proto bench chaos lock clean environment demo-environment
.PHONY: dev-environment

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
    if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; \
    done)
BIN := .venv/bin
TESTS ?=
CHAOS ?=

help: ## this list
	@echo "Backdrop: make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z]*\):.*## /  \1|/p' Makefile | while IFS='|' read -r name text; do \
	    printf '%-9s%s\n' "$$name" "$$text"; done

demo: demo-environment ## back up, restore and prove a sample PostgreSQL; ONCE=1 exits when done
	@exec $(BIN)/python manage.py demo --die-with-parent $(if $(filter-out 0,$(ONCE)),--once)

up: environment ## start web, worker and daemon; Ctrl-C stops them
	@exec $(BIN)/python manage.py up --die-with-parent

test: dev-environment ## check, and every test against real servers
	@$(PYTHON) scripts/system.py need test
	@sh scripts/npm.sh
	@$(MAKE) --no-print-directory check
	@$(BIN)/python tests/run.py $(TESTS)

check: dev-environment ## linters, types, import contracts, Django's own checks
	@sh scripts/check.sh

fmt: dev-environment ## format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

proto: dev-environment ## generate the gRPC stubs from proto/
	@sh scripts/proto.sh

bench: dev-environment ## measure backups, the engine and uploads beside what people use otherwise
	@$(PYTHON) scripts/system.py need bench
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.engine
	@$(BIN)/python -m benchmarks.uploads

chaos: dev-environment ## kill everything under load, on SQLite and on PostgreSQL, for about ten minutes
	@$(PYTHON) scripts/system.py need test
	@$(BIN)/python -m tests.chaos $(CHAOS)

lock: dev-environment ## pin requirements*.txt anew from pyproject.toml
	@sh scripts/lock.sh

clean: ## remove .venv, caches and build leftovers; var/ with your data stays
	@rm -rf .venv .bench-venv tests/uploads/node_modules benchmarks/uploads/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment: python
	@$(PYTHON) scripts/bootstrap.py requirements.txt

demo-environment: environment
	@$(BIN)/python -m backdrop_site.demo.binaries || $(PYTHON) scripts/bootstrap.py requirements-demo.txt

dev-environment: python
	@$(PYTHON) scripts/bootstrap.py requirements-dev.txt

.PHONY: python
python:
	@test -n "$(PYTHON)" || { echo "Backdrop needs Python 3.11 or newer, and none is on the PATH."; exit 1; }
