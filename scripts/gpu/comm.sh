#!/usr/bin/env bash
# Checks and measures the compressors of stage boundaries on one GPU: against the CPU, under compute-sanitizer, times. Usage:
#
#   scripts/gpu/comm.sh OUT [STEP...]      check memcheck racecheck measure; by default all but racecheck
#
# OUT gets a log of each step; the table comes last on standard output. Runs from the folder that holds .bundle.
set -uo pipefail
readonly out=${1:?usage: comm.sh OUT [STEP...]}
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
[ -d .bundle ] || cd "$root"
. "$(dirname "$0")/environment.sh"
mkdir -p "$out"
readonly tests=.bundle/bin/tests/test_gpu benchmark=.bundle/bin/benchmarks/comm_benchmark

check() {
  timeout 240 "$tests" --gtest_filter='CommOnGpu.*' > "$out/comm_test.log" 2>&1 || echo "comm_test FAILED"
  grep -E '^\[  (PASSED|FAILED|SKIPPED)|^\[ +(OK|FAILED) \]' "$out/comm_test.log" || tail -5 "$out/comm_test.log"
}

sanitize() {
  timeout 240 compute-sanitizer --tool "$1" "$tests" \
    --gtest_filter='CommOnGpu.DamagedMaps*:CommOnGpu.WideTokens*:CommOnGpu.TensorsMayBeViews:CommOnGpu.MemoriesOfBothEnds*' \
    > "$out/$1.log" 2>&1 || true
  echo "$1: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$out/$1.log" || tail -1 "$out/$1.log")"
}

memcheck() { sanitize memcheck; }
racecheck() { sanitize racecheck; }
measure() { timeout 240 "$benchmark" 2>&1 | tee "$out/comm_benchmark.txt"; }

for step in "${@:-check memcheck measure}"; do
  for each in $step; do "$each"; done
done
