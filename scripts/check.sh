#!/bin/sh
# Everything that can be known without running the tests.
set -eu
cd "$(dirname "$0")/.."
VAR_DIR=$(mktemp -d)
export VAR_DIR
trap 'rm -rf "$VAR_DIR"' EXIT
run() {
    echo "check: $*"
    .venv/bin/"$@"
}
run ruff check --quiet .
run ruff format --quiet --check .
run mypy --no-error-summary .
run lint-imports --no-cache >"$VAR_DIR/imports" || { cat "$VAR_DIR/imports"; exit 1; }
run python manage.py check --fail-level WARNING
run python manage.py makemigrations --check --dry-run
