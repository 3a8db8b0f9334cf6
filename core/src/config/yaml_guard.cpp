#include "config/yaml_guard.hpp"

#include "config/nesting_scan.hpp"
#include "config/utf8.hpp"

namespace qtk::config {
namespace {

std::optional<YamlHazard> find_bad_character(std::string_view text) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    return YamlHazard{"the text is UTF-16, expected UTF-8", 0, "save the file as UTF-8"};
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f)
      return YamlHazard{"a control character (code " + std::to_string(byte) + ")", i,
                        "this is not a text file, or it is damaged"};
    const size_t length = utf8_length(text.substr(i));
    if (length == 0) return YamlHazard{"bytes that are not UTF-8", i, "save the file as UTF-8"};
    if (text.substr(i, length) == kByteOrderMark)
      return YamlHazard{"a byte order mark inside the text", i, "delete the invisible character"};
    i += length;
  }
  return std::nullopt;
}

}  // namespace

YamlHazard too_many_nodes(size_t offset) {
  return {"more than " + std::to_string(YamlLimits::kNodes) + " values", offset,
          "a configuration is small: check that this is the right file"};
}

YamlHazard too_deep(size_t offset) {
  return {"nested deeper than " + std::to_string(YamlLimits::kDepth) + " levels", offset,
          "check the brackets, dashes and aliases"};
}

std::optional<YamlHazard> find_size_hazard(std::string_view text) {
  if (static_cast<int64_t>(text.size()) <= YamlLimits::kBytes) return std::nullopt;
  return YamlHazard{"a text of " + std::to_string(text.size()) + " bytes, expected at most " +
                        std::to_string(YamlLimits::kBytes),
                    0, "a configuration is small: check that this is the right file"};
}

std::optional<YamlHazard> find_yaml_hazard(std::string_view text) {
  if (auto hazard = find_bad_character(text)) return hazard;
  return NestingScan(text).run();
}

}  // namespace qtk::config
