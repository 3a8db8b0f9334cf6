#include "format/foreign_file.hpp"

#include <array>
#include <string_view>

namespace qtk::format {
namespace {

using namespace std::string_view_literals;

struct Signature {
  std::string_view prefix;
  const char* kind;
  const char* remedy;
};

constexpr const char* kConvertPickle =
    "convert it on a trusted machine: load it in Python with weights_only=True and save it with "
    "safetensors.torch.save_file";

constexpr std::array kSignatures = {
    Signature{"version https://git-lfs"sv, "a Git LFS pointer, not the file itself",
              "fetch the file with `git lfs pull`"},
    Signature{"PK\x03\x04"sv, "a zip archive, as torch.save writes it", kConvertPickle},
    Signature{"\x80\x02"sv, "a Python pickle", kConvertPickle},
    Signature{"<!DOCTYPE"sv, "a web page", "fetch the file itself, not the page about it"},
    Signature{"<html"sv, "a web page", "fetch the file itself, not the page about it"},
    Signature{"GGUF"sv, "a GGUF file", "import it as a GGUF model"},
    Signature{"\x1f\x8b"sv, "a gzip archive", "unpack it first"},
};

}  // namespace

ForeignFile recognise_foreign_file(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Signature& signature : kSignatures)
    if (text.starts_with(signature.prefix)) return {signature.kind, signature.remedy};
  return {{}, "fetch the file again"};
}

}  // namespace qtk::format
