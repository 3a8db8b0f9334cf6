#!/usr/bin/env bash
# Makes a relocatable folder: bin/qtk, lib/ with libqtk, plugins and the third-party libraries that Debian gave us.
# LibTorch stays outside; point LD_LIBRARY_PATH at a 2.11.0. Usage: package.sh BUILD_DIR OUT_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
readonly build=$1 out=$2
rm -rf "$out"
cmake --install "$build" --prefix "$out" --strip >/dev/null
# Everything but LibTorch, CUDA and the C and C++ runtimes travels along.
mapfile -t libraries < <(
  find "$out/bin" "$out/lib" -type f \( -perm -u+x -o -name '*.so*' \) -exec ldd {} + 2>/dev/null |
    awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -vE 'libqtk|torch|libc10|libcud|libnv|libcupti|ld-linux|/lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|util|gomp)\.so')
cp -L "${libraries[@]}" "$out/lib/"
[ -d "$build/bin/tests" ] && mkdir -p "$out/bin/tests" && cp "$build"/bin/tests/test_gpu* "$out/bin/tests/" 2>/dev/null || true
[ -d "$build/bin/benchmarks" ] && mkdir -p "$out/bin/benchmarks" && cp "$build"/bin/benchmarks/* "$out/bin/benchmarks/"
echo "package: $(du -sh "$out" | cut -f1) in $out; run with LD_LIBRARY_PATH=$out/lib:<torch>/lib"
