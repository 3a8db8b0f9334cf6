#!/usr/bin/env bash
# Configures once and builds TARGET: all, or runtime (launcher and plugins). Usage: build.sh BUILD_DIR PRESET JOBS TARGET
set -euo pipefail
cd "$(dirname "$0")/.."
readonly build=$1 preset=$2 jobs=$3 target=$4
readonly header=$build/core/CMakeFiles/qtk_pch.dir/cmake_pch.hxx
export PATH="$PATH:/usr/local/cuda/bin"
if [ ! -f "$build/build.ninja" ]; then
  echo "build: configuring $build (preset $preset)"
  cmake --preset "$preset" -B "$build" >"/tmp/qtk-configure.$$" 2>&1 || {
    cat "/tmp/qtk-configure.$$"; exit 1; }
  rm -f "/tmp/qtk-configure.$$"
fi
echo "build: compiling $target with $jobs jobs"
for _ in 1 2 3; do
  NINJA_STATUS='build: [%f/%t %es] ' cmake --build "$build" -j "$jobs" --target "$target" && exit
  # GCC 12 now and then cannot save a precompiled header (an internal error in gt_pch_save, where the kernel's random
  # placement took the address it wants). Another process gets another placement; any other failure stays one.
  [ -f "$header" ] && [ ! -f "$header.gch" ] || exit 1
  echo "build: no precompiled header, trying again"
done
exit 1
