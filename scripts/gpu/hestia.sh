#!/usr/bin/env bash
# Checks and measures training with Hestia on GPUs. Usage: scripts/gpu/hestia.sh OUT STEP...
#
#   check      kernels against the references, then under compute-sanitizer
#   cost       step time and memory with and without a quantizer, in turns
#   calibrate  estimators (scripts/gpu/calibration.sh)
#   rates      learning rates for the comparison, short runs
#   compare    STE, soft and Hestia, SEEDS each, and the compression share
#
# Needs MODEL (a folder), TRAIN (a folder with tokens.bin) and HELD_OUT (a text). One run per GPU at a time. TOKENS, RATE, SEEDS: see below.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly out=$1
shift
. scripts/gpu/environment.sh
model=${MODEL:-/tmp/qtk/model} train=${TRAIN:-/tmp/qtk/train} held_out=${HELD_OUT:-/tmp/qtk/heldout.txt} work=${WORK:-/tmp/qtk/work}
mkdir -p "$out" "$work"
gpus=$(nvidia-smi -L | wc -l)

# name, then overrides; results go to $out/<name>.json and .jsonl
train_one() {
  local name=$1
  shift
  local sets=()
  for each in "$@"; do sets+=(--set "$each"); done
  "$qtk" run "${CONFIG:-configs/hestia_smollm2.yaml}" --out "$work/$name" --set device=cuda --set "model.path=$model" \
    --set "data.train={shards: [$train/tokens.bin], ctx: 1024}" \
    --set "data.eval={files: [$held_out], ctx: 1024, windows: 256, batch_tokens: 16384}" \
    --set "stages=[import,train]" --set train.global_batch=16 --set train.micro_batch=16 \
    --set train.checkpoint_every=0 --set "train.tokens=${TOKENS:-20M}" --set train.eval_every=1000000 \
    --set "optimizer.lr=${RATE:-5e-4}" "${sets[@]}" > "$out/$name.log" 2>&1 ||
    { echo "$name FAILED: $(grep -m1 error "$out/$name.log")"; return 0; }
  cp "$work/$name"/train/*/outcome.json "$out/$name.json"
  cp "$work/$name"/train/*/metrics.jsonl "$out/$name.jsonl"
  rm -rf "${work:?}/$name"
  echo "$name $(tr -d ' \n' < "$out/$name.json")"
}
export -f train_one
export qtk model train held_out work out

# Lines of "name override override ..." on stdin, one run per GPU at a time.
train_all() {
  xargs -P "$gpus" --process-slot-var=slot -d '\n' -I{} bash -c 'CUDA_VISIBLE_DEVICES=$slot train_one {}'
}

hard="scheduler.options.solid_ratio=1 scheduler.options.compress_ratio=0 scheduler.options.alpha=0"
soft="scheduler.options.alpha=0"
hestia="scheduler.sensitivity=${SENSITIVITY:-$out/hutchinson_all.json}"

check() {
  .bundle/bin/tests/test_gpu > "$out/test_gpu.log" 2>&1 || echo "test_gpu FAILED"
  grep -E '^\[  (PASSED|FAILED|SKIPPED)' "$out/test_gpu.log" || true
  for tool in memcheck racecheck; do
    compute-sanitizer --tool "$tool" .bundle/bin/tests/test_gpu --gtest_filter='*Hestia*:*Affine*' > "$out/$tool.log" 2>&1 || true
    echo "$tool: $(tail -1 "$out/$tool.log")"
  done
}

cost() {
  local steps="train.tokens=0 train.steps=${STEPS:-60} train.log_every=10 train.eval_every=0"
  for turn in 1 2; do
    CONFIG=configs/heal_smollm2.yaml train_one "cost_dense_$turn" $steps
    train_one "cost_hestia_$turn" $steps $soft scheduler.options.compress_ratio=0.1
    train_one "cost_hard_$turn" $steps $hard
  done
}

calibrate() {
  DEVICE=cuda scripts/gpu/calibration.sh "$out" "$model" "$held_out"
}

rates() {
  for rate in 2e-4 5e-4 1e-3 2e-3; do
    echo "rate_hard_$rate train.tokens=5M optimizer.lr=$rate $hard"
    echo "rate_soft_$rate train.tokens=5M optimizer.lr=$rate $soft"
  done | train_all
}

compare() {
  for seed in ${SEEDS:-1 2 3}; do
    echo "ste_$seed seed=$seed $hard"
    echo "soft_$seed seed=$seed $soft"
    echo "hestia_$seed seed=$seed $hestia"
  done > "$work/jobs"
  for seed in ${SEEDS:-1 2 3}; do
    for share in 0 0.1 0.3; do
      echo "rho${share}_$seed seed=$seed $hestia scheduler.options.compress_ratio=$share"
    done
  done >> "$work/jobs"
  train_all < "$work/jobs"
}

for step in "$@"; do
  echo "== $step ($(date +%T))"
  "$step"
done
