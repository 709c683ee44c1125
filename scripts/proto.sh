#!/bin/sh
# Generates the gRPC stubs from proto/ into the folder given, or into this checkout.
set -eu
cd "$(dirname "$0")/.."
into=${1:-.}
.venv/bin/python -m grpc_tools.protoc -I proto --python_out="$into" --pyi_out="$into" \
    --grpc_python_out="$into" backups/rpc/backup.proto
