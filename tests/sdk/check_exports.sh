#!/usr/bin/env bash
# check_exports.sh LIBQTK FOLDER...: libqtk.so exports names of namespace qtk only, every plugin below the folders exactly
# its two entries.
set -euo pipefail
readonly core=$1
shift
status=0

exported() { nm -D --defined-only --demangle "$1" | cut -d' ' -f3-; }

others=$(exported "$core" | grep -vE '^((vtable|VTT|typeinfo|typeinfo name) for |(non-)?virtual thunk to )?qtk::' || true)
if [ -n "$others" ]; then
  printf '%s exports names outside of namespace qtk:\n%s\n' "$core" "$others"
  status=1
fi

while IFS= read -r -d '' plugin; do
  names=$(exported "$plugin" | sort | tr '\n' ' ')
  if [ "$names" != "qtk_manifest_v1 qtk_plugin_v1 " ]; then
    printf '%s exports "%s", expected qtk_manifest_v1 and qtk_plugin_v1\n' "$plugin" "$names"
    status=1
  fi
done < <(for folder in "$@"; do [ ! -d "$folder" ] || find "$folder" -name '*.so' -print0; done)
exit $status
