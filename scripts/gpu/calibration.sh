#!/usr/bin/env bash
# Cost and agreement of the sensitivity estimators on one GPU: Hutch++ one layer at a time, all layers with one product, and the cheap
# estimators, on the same calibration samples. Usage:
#
#   scripts/gpu/calibration.sh OUT [MODEL] [TEXT]
#
# OUT gets one sensitivity.json per estimator and comparison.md. MODEL: a folder or a GGUF file. QTK: the program (.bundle/bin/qtk if
# there is one, else build/bin/qtk). DEVICE, CTX, BATCHES, SKETCH, QUERIES, ALL_QUERIES, AT_ONCE, ALL_AT_ONCE: see below. TARGETS: layers
# that Hutch++ measures, the others always measure all.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly out=${1:?usage: calibration.sh OUT [MODEL] [TEXT]}
readonly model=${2:-.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf} text=${3:-.cache/texts/emma.txt}
qtk=${QTK:-$([ -x .bundle/bin/qtk ] && echo .bundle/bin/qtk || echo build/bin/qtk)}
if [ -d .bundle/lib ] && [[ $qtk == .bundle/* ]]; then
  torch_lib=${TORCH_LIB:-$(python3 -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("torch").origin).parent / "lib")' 2>/dev/null || true)}
  export LD_LIBRARY_PATH=.bundle/lib:$torch_lib:${LD_LIBRARY_PATH:-}
fi
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/config.yaml" <<YAML
qtk: 1
name: calibration
seed: 1
device: ${DEVICE:-cuda}
model: { path: $(realpath "$model") }
data: { calib: { files: [$(realpath "$text")], ctx: ${CTX:-256}, batches: ${BATCHES:-2} } }
estimator: { use: fisher, targets: ["re:.*"] }
stages: [import, calibrate]
YAML

measure() { # NAME, then ESTIMATOR, then its options as overrides
  local name=$1 use=$2 start
  shift 2
  local overrides=(--set "estimator.use=$use")
  for option in "$@"; do overrides+=(--set "estimator.options.$option"); done
  start=$(date +%s.%N)
  "$qtk" run "$work/config.yaml" "${overrides[@]}" --out "$work/$name" 2> "$out/$name.log" > /dev/null ||
    { tail -5 "$out/$name.log" >&2; return 1; }
  cp "$work/$name/stages/calibrate/sensitivity.json" "$out/$name.json"
  cp "$work/$name/stages/calibrate.json" "$out/$name.stage.json"
  rm -rf "$work/$name"
  echo "$name: $(echo "$(date +%s.%N) - $start" | bc 2>/dev/null || echo ?) s"
}

readonly at_once=${AT_ONCE:-8}
measure fisher fisher
measure grad_norm grad_norm
measure gauss_newton gauss_newton "num_query=${DRAWS:-40}"
measure hutchinson_all hutchinson mode=all "num_query=${ALL_QUERIES:-100}" vectors_at_once="${ALL_AT_ONCE:-2}"
measure hutchinson_unbalanced hutchinson mode=all balance=false "num_query=${VARIANT_QUERIES:-40}" vectors_at_once="${ALL_AT_ONCE:-2}"
measure hutchinson_sketched hutchinson mode=all "num_sketch=${ALL_SKETCH:-10}" "num_query=${VARIANT_QUERIES:-40}" vectors_at_once="${ALL_AT_ONCE:-2}"
measure hessian_vhp hessian_vhp "iterations=${VHP_ITERATIONS:-20}" vectors_at_once="$at_once"
sed -i "s/targets: .*\]/targets: [\"${TARGETS:-re:.*}\"]/" "$work/config.yaml"
measure hutchpp hutchpp "num_sketch=${SKETCH:-8}" "num_query=${QUERIES:-8}" vectors_at_once="$at_once"
python3 scripts/compare_sensitivities.py "$out" | tee "$out/comparison.md"
