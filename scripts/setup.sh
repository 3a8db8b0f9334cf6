#!/usr/bin/env bash
# Brings a fresh Debian 12 machine to the point where qtk can be built. Idempotent; says what it does.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly packages=(
  g++ cmake ninja-build pkg-config git ca-certificates python3 python3-venv
  libboost-dev libboost-program-options-dev libyaml-cpp-dev libspdlog-dev nlohmann-json3-dev
  libpcre2-dev libutf8proc-dev libxxhash-dev libssl-dev libgtest-dev libbenchmark-dev libgloo-dev
)
readonly torch_version=2.11.0

say() { printf 'setup: %s\n' "$*"; }

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

install_packages() {
  local missing
  missing=$(missing_packages)
  [ -z "$missing" ] && return
  say "installing system packages:" $missing
  as_root apt-get update -qq
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
    >/dev/null
}

# LibTorch comes out of the Python wheel. Beside a CUDA toolkit three small wheels complete it; without one
# libtorch_cpu.so still wants the CUDA runtime and CUPTI to load, 13 MB together.
install_torch() {
  local stamp=.venv/.qtk-torch-$torch_version
  [ -f "$stamp" ] && return
  say "creating .venv with LibTorch $torch_version (530 MB to fetch)"
  [ -x .venv/bin/python ] || python3 -m venv .venv
  local wheels=("torch==$torch_version")
  if command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]; then
    wheels+=(nvidia-cusparselt-cu13==0.8.0 nvidia-nvshmem-cu13==3.4.5 nvidia-cufile==1.15.1.6)
  else
    wheels+=(nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
  fi
  .venv/bin/pip install -q --disable-pip-version-check --no-deps --no-compile "${wheels[@]}"
  touch "$stamp"
}

install_packages
install_torch
