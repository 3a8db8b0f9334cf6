# LibTorch out of the Python wheel, as one target qtk::torch (libtorch_cpu and libc10).
#
# find_package(Torch) is not used: it insists on a CUDA toolkit even for a CPU-only build. Nor is libtorch_cuda linked:
# it adds 0.5 GB to every start. core/src/base/device.cpp opens it when a run asks for a GPU.
set(QTK_TORCH_VERSION 2.11.0)
find_path(QTK_TORCH_ROOT include/ATen/core/Tensor.h
  HINTS ${PROJECT_SOURCE_DIR}/.venv/lib/python3.11/site-packages/torch ENV QTK_TORCH_ROOT
  NO_DEFAULT_PATH)
if(NOT QTK_TORCH_ROOT)
  message(FATAL_ERROR "LibTorch ${QTK_TORCH_VERSION} not found: run scripts/setup.sh, "
    "or set QTK_TORCH_ROOT to the folder 'torch' of the installed wheel")
endif()

file(STRINGS ${QTK_TORCH_ROOT}/include/torch/headeronly/version.h QTK_TORCH_FOUND
  REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE "#define TORCH_VERSION_[A-Z]+ " "" QTK_TORCH_FOUND "${QTK_TORCH_FOUND}")
string(REPLACE ";" "." QTK_TORCH_FOUND "${QTK_TORCH_FOUND}")
if(NOT QTK_TORCH_FOUND STREQUAL QTK_TORCH_VERSION)
  message(FATAL_ERROR "qtk needs LibTorch ${QTK_TORCH_VERSION}, found '${QTK_TORCH_FOUND}' in ${QTK_TORCH_ROOT}")
endif()

foreach(library c10 torch_cpu)
  add_library(qtk_${library} SHARED IMPORTED GLOBAL)
  set_target_properties(qtk_${library} PROPERTIES
    IMPORTED_LOCATION ${QTK_TORCH_ROOT}/lib/lib${library}.so
    INTERFACE_INCLUDE_DIRECTORIES
      "${QTK_TORCH_ROOT}/include;${QTK_TORCH_ROOT}/include/torch/csrc/api/include")
endforeach()
# at::parallel_for is a template: where OpenMP is off it silently runs on one thread. LibTorch's own runtime is linked,
# so that its threads and ours are the same.
add_library(qtk_gomp SHARED IMPORTED GLOBAL)
set_target_properties(qtk_gomp PROPERTIES IMPORTED_LOCATION ${QTK_TORCH_ROOT}/lib/libgomp.so.1)
add_library(qtk::torch INTERFACE IMPORTED GLOBAL)
target_link_libraries(qtk::torch INTERFACE qtk_torch_cpu qtk_c10 qtk_gomp)
target_compile_options(qtk::torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
# libtorch_cpu's own needs (CUDA runtime, CUPTI) are found through its run path, not ours.
target_link_options(qtk::torch INTERFACE -Wl,--allow-shlib-undefined
  -Wl,-rpath-link,${QTK_TORCH_ROOT}/lib:${QTK_TORCH_ROOT}/../nvidia/cu13/lib:/usr/local/cuda/lib64)
