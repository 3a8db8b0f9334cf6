# Sourced: the packaged program beside the LibTorch of the python on this machine, or the one in build/.
qtk=${QTK:-$([ -x .bundle/bin/qtk ] && echo .bundle/bin/qtk || echo build/bin/qtk)}
if [[ $qtk == .bundle/* ]]; then
  torch=$(python3 -c 'import importlib.util as u, os; print(os.path.dirname(u.find_spec("torch").origin))')
  for folder in .bundle/lib "$torch/lib" "$torch"/../nvidia/*/lib; do
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$(realpath "$folder")
  done
  export LD_LIBRARY_PATH
fi
