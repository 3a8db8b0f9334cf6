#!/usr/bin/env bash
# Runs every test that needs no GPU. Usage: test.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
readonly build=$1
echo "test: unit, then slow"
ctest --test-dir "$build" --output-on-failure -j2 -L unit
ctest --test-dir "$build" --output-on-failure -LE 'unit|gpu'
