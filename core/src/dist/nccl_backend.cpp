// NCCL's groups live in LibTorch's CUDA half, which is opened only when a run asks for a GPU, and
// so is the small library that constructs them.
#include "dist/backend.hpp"

#include <qtk/runtime/error.hpp>

#include <dlfcn.h>

#include <filesystem>

namespace qtk::dist {
namespace {

using MakeBackend = c10d::Backend* (*)(const BackendSetup&);

MakeBackend open_library() {
  Dl_info own{};
  ::dladdr(reinterpret_cast<const void*>(&make_nccl_backend), &own);
  const auto file = std::filesystem::path(own.dli_fname).parent_path() / "libqtk_nccl.so";
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  auto* make = library ? ::dlsym(library, "qtk_make_nccl_backend") : nullptr;
  if (!make)
    throw Error("NCCL cannot be used: " + std::string(::dlerror()),
                "build qtk with a CUDA toolkit, or use device: cpu", ExitCode::kEnvironment,
                "dist");
  return reinterpret_cast<MakeBackend>(make);
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> make_nccl_backend(const BackendSetup& setup) {
  static const MakeBackend make = open_library();
  return c10::intrusive_ptr<c10d::Backend>::reclaim(make(setup));
}

}  // namespace qtk::dist
