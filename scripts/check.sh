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
echo "check: scripts/proto.sh gives what is committed"
mkdir "$VAR_DIR/stubs"
sh scripts/proto.sh "$VAR_DIR/stubs"
for stub in "$VAR_DIR"/stubs/backups/rpc/*; do
    cmp "$stub" "backups/rpc/$(basename "$stub")" || { echo "Run: make proto"; exit 1; }
done
run python manage.py check --fail-level WARNING
run python manage.py makemigrations --check --dry-run
