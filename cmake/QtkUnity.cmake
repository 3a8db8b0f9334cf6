# QTK_UNITY compiles the sources of a target in batches, because ATen's headers cost GCC 12 two seconds in every
# compilation, with a precompiled header too, and nlohmann/json several more.

# These are compiled alone. What they say about optimisation, instruction sets, warnings and macros would hold for the
# rest of their batch too, and code of the batch would be inlined into loops whose rounding is promised bit for bit.
set(QTK_COMPILED_ALONE
  core/src/format/ggml_dequantize.cpp
  core/src/format/ggml_quantize.cpp
  core/src/format/ggml_ternary.cpp
  core/src/model/attention_cpu.cpp
  core/src/model/kernels_cpu.cpp
  core/src/model/rms_norm_training.cpp
  core/src/model/token_statistics.cpp
  core/src/train/softmax_rows.cpp
  plugins/comm/boundary_codec/fixpoint.cpp
  plugins/comm/tah/allocation.cpp
  plugins/comm/tah/tile_encoder.cpp
  plugins/comm/tah/tile_rotation.cpp
  plugins/quantizers/affine/affine_fit.cpp
  plugins/quantizers/affine/affine_math.cpp
  plugins/quantizers/hestia/soft_loops.cpp
  tests/model/kernels_cpu_test.cpp
  tests/plugin/static_plugin_test.cpp)
list(TRANSFORM QTK_COMPILED_ALONE PREPEND ${PROJECT_SOURCE_DIR}/)

function(qtk_use_unity target batch_size)
  if(QTK_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${batch_size})
    set_source_files_properties(${QTK_COMPILED_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()
