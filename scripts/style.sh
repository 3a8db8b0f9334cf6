#!/usr/bin/env bash
# Checks the tree and the formatting: seconds, and needs no build.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 tests/style/check_tree.py
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
  git ls-files '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs clang-format --dry-run --Werror
else
  echo "style: clang-format 14 not found, formatting not checked"
fi
