#!/usr/bin/env bash
# A pipeline over NCCL against one process, on two GPUs. Usage:
#
#   scripts/gpu/pipeline.sh OUT
#
# With one GPU the two processes share it as if they were two machines: losses and traces mean what they mean on two GPUs,
# speeds do not.
# OUT gets the metrics, timings and traces of every run and summary.md. TEXT: a novel.
# HIDDEN, INNER, LAYERS, CTX, STEPS: see below. ONLY: names of runs, if not all are wanted.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly out=$1
. scripts/gpu/environment.sh
export NCCL_NVLS_ENABLE=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
PYTHONPATH=scripts/links python3 -c "import pathlib, wide_model
wide_model.write_settings(pathlib.Path('$work/model'), ${HIDDEN:-1024}, ${INNER:-2048}, ${LAYERS:-8}, is_tied=True)"
python3 scripts/gpu/random_model.py "$work/model"
cat > "$work/run.yaml" <<YAML
qtk: 1
name: nccl
seed: 1
device: cuda
model: { path: $work/model }
data: { train: { files: [$(realpath "${TEXT:-.cache/texts/emma.txt}")], ctx: ${CTX:-512} } }
optimizer: { lr: 1e-4 }
train: { steps: ${STEPS:-20}, global_batch: 16, micro_batch: 2, log_every: 1, checkpoint_every: 0, precision: fp32 }
stages: [train]
YAML

readonly gpus=$(nvidia-smi -L | wc -l)

# NCCL wants a GPU for each process of a machine; processes of machines with other names meet over sockets.
run_two_machines() { # WORD...
  local common=(--nproc 1 --nodes 2 --rendezvous 127.0.0.1:29533)
  export NCCL_SOCKET_IFNAME=lo
  NCCL_HOSTID=second timeout "${LIMIT:-45}" "$qtk" launch "${common[@]}" --node-rank 1 "$@" > "$out/second.log" 2>&1 &
  NCCL_HOSTID=first timeout "${LIMIT:-45}" "$qtk" launch "${common[@]}" --node-rank 0 "$@"
  wait $!
}

run_processes() { # PROCESSES WORD...
  local processes=$1
  shift
  if [ "$processes" -eq 1 ]; then
    timeout "${LIMIT:-45}" "$qtk" "$@"
  elif [ "$gpus" -lt "$processes" ]; then
    run_two_machines "$@"
  else
    timeout "${LIMIT:-45}" "$qtk" launch --nproc "$processes" "$@"
  fi
}

train() { # NAME PROCESSES OVERRIDE...
  local name=$1 processes=$2 sets=()
  [[ -z ${ONLY:-} || " $ONLY " == *" $name "* ]] || return 0
  shift 2
  for each in "$@"; do sets+=(--set "$each"); done
  run_processes "$processes" run "$work/run.yaml" --out "$work/$name" "${sets[@]}" > "$out/$name.log" 2>&1 ||
    { echo "$name FAILED: $(grep -m2 -i error "$out/$name.log" | cut -c1-300)"; return 0; }
  cp "$work/$name/train/dense/metrics.jsonl" "$out/$name.jsonl"
  cp "$work/$name/train/dense/timing.json" "$out/$name.timing.json" 2>/dev/null || true
  [ -d "$work/$name/trace" ] && cp "$work/$name/trace/rank0.json" "$out/$name.rank0.json" && cp "$work/$name/trace/rank1.json" "$out/$name.rank1.json"
  rm -rf "${work:?}/$name"
}

train one 1
train one_again 1
train pipeline 2 parallel.pipeline=2
train gpipe 2 parallel.pipeline=2 parallel.schedule=gpipe
train replicas 2 parallel.data=2
train sharded 2 'parallel={data: 2, shard_optimizer: true}'
train tah 2 parallel.pipeline=2 comm.forward.use=tah 'comm.backward={use: fixpoint, options: {bits: 6}}'
train delta 2 parallel.pipeline=2 'comm={forward: {use: delta}, backward: {use: fixpoint, options: {bits: 6}}, warmup_steps: 4}'
train compressed 2 parallel.data=2 'comm.data={use: fixpoint, options: {bits: 8}}'
train bf16_one 1 train.precision=bf16
train bf16 2 parallel.pipeline=2 train.precision=bf16 dist.trace=true
train bf16_tah 2 parallel.pipeline=2 train.precision=bf16 comm.forward.use=tah 'comm.backward={use: fixpoint, options: {bits: 6}}' dist.trace=true
train slow 2 parallel.pipeline=2 comm.rate_mbit=2000
train slow_tah 2 parallel.pipeline=2 comm.rate_mbit=2000 comm.forward.use=tah 'comm.backward={use: fixpoint, options: {bits: 6}}'
python3 - "$out" <<'PY' | tee "$out/summary.md"
import glob, json, os, sys
out = sys.argv[1]
rows = {os.path.basename(f)[:-6]: [json.loads(l) for l in open(f)] for f in sorted(glob.glob(out + "/*.jsonl"))}
base = {name: [r["loss"] for r in rows.get(name, []) if "loss" in r] for name in ("one", "bf16_one")}
print("| run | largest relative difference of a step's loss to one process | last loss | tokens/s (median) |\n|---|---|---|---|")
for name, lines in rows.items():
    losses = [r["loss"] for r in lines if "loss" in r]
    want = base["bf16_one" if name.startswith("bf16") else "one"]
    worst = max(abs(a - b) / b for a, b in zip(losses, want)) if want else float("nan")
    speed = sorted(r["tokens_per_s"] for r in lines if "tokens_per_s" in r)
    print(f"| {name} | {worst:.2e} | {losses[-1]:.5f} | {speed[len(speed) // 2]:.0f} |")
PY
