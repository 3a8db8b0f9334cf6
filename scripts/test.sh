#!/usr/bin/env bash
# Runs every test that needs no GPU. Usage: test.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
readonly build=$1
echo "test: unit, then slow, then an excerpt of the faults"
ctest --test-dir "$build" --output-on-failure -j2 -L unit
ctest --test-dir "$build" --output-on-failure -j2 -LE 'unit|gpu'
python3 tests/faults/faults.py "$build/bin/qtk" --repeat 1 --quick
