#!/bin/sh
# Installs the JavaScript clients that tests use, when their lock has changed.
set -eu
cd "$(dirname "$0")/../tests/uploads"
lock=$(sha256sum package-lock.json)
if [ "$(cat node_modules/.installed 2>/dev/null)" != "$lock" ]; then
    echo "Installing tests/uploads/package-lock.json …"
    npm ci --loglevel=error >/dev/null
    echo "$lock" >node_modules/.installed
fi
