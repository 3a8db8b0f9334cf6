#include "config/document.hpp"

#include "config/include.hpp"
#include "config/interpolation.hpp"
#include "config/override.hpp"

#include <optional>
#include <utility>

namespace qtk::config {
namespace {

Document finish(std::optional<Node> root, const IncludeReader& reader,
                std::span<const std::string> overrides, Diagnostics& diagnostics) {
  Document document;
  document.files = reader.files();
  document.is_readable = root.has_value();
  if (root) document.root = std::move(*root);
  for (const std::string& text : overrides) apply_override(text, document.root, diagnostics);
  if (document.is_readable) interpolate(document.root, diagnostics);
  return document;
}

}  // namespace

Document load_document(const std::filesystem::path& path, std::span<const std::string> overrides,
                       Diagnostics& diagnostics) {
  IncludeReader reader(path.has_parent_path() ? path.parent_path() : ".", diagnostics);
  auto root = reader.read_file(path);
  return finish(std::move(root), reader, overrides, diagnostics);
}

Document parse_document(std::string_view text, const std::string& name,
                        std::span<const std::string> overrides, Diagnostics& diagnostics) {
  IncludeReader reader(".", diagnostics);
  auto root = reader.read_string(text, name, ".");
  return finish(std::move(root), reader, overrides, diagnostics);
}

}  // namespace qtk::config
