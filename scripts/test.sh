#!/usr/bin/env bash
# Runs every test that needs no GPU. Usage: test.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
readonly build=$1
echo "test: style"
python3 tests/style/check_tree.py
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
  git ls-files '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs clang-format --dry-run --Werror
else
  echo "test: clang-format 14 not found, formatting not checked"
fi
echo "test: unit, then slow"
ctest --test-dir "$build" --output-on-failure -L unit
ctest --test-dir "$build" --output-on-failure -LE 'unit|gpu'
