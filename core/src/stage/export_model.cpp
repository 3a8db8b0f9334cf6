#include "stage/export_model.hpp"

#include "base/nearest_name.hpp"

#include <qtk/runtime/error.hpp>

namespace qtk::stage {
namespace {

struct Format {
  std::string name;
  Exported (*write)(const model::Decoder&, const ExportRequest&);
};

const std::vector<Format>& formats() {
  static const std::vector<Format> all = {{"hf-dense", export_dense},
                                          {"gguf", export_gguf},
                                          {"compressed-tensors", export_compressed_tensors}};
  return all;
}

}  // namespace

Exported export_model(const model::Decoder& decoder, const ExportRequest& request) {
  std::vector<std::string> known;
  for (const auto& format : formats()) {
    if (format.name == request.format) return format.write(decoder, request);
    known.push_back(format.name);
  }
  const std::string nearest = nearest_name(request.format, known);
  throw ConfigError("unknown export format '" + request.format + "'" +
                        (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
                    "known: " + join(known));
}

int64_t bytes_of(const std::vector<std::filesystem::path>& files) {
  int64_t bytes = 0;
  for (const auto& file : files) bytes += static_cast<int64_t>(std::filesystem::file_size(file));
  return bytes;
}

}  // namespace qtk::stage
