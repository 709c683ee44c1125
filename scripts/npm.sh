#!/bin/sh
# Installs the JavaScript packages of a folder (of tests, if none is named), when its lock has changed.
set -eu
cd "$(dirname "$0")/../${1:-tests/uploads}"
lock=$(sha256sum package-lock.json)
if [ "$(cat node_modules/.installed 2>/dev/null)" != "$lock" ]; then
    echo "Installing ${1:-tests/uploads}/package-lock.json …"
    npm ci --loglevel=error >/dev/null
    echo "$lock" >node_modules/.installed
fi
