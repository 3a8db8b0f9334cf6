#include "stage/options_json.hpp"

namespace qtk::stage {

using nlohmann::json;

json options_json(const config::Node& node) {
  if (node.is_map()) {
    json object = json::object();
    for (size_t i = 0; i < node.keys().size(); ++i)
      object[node.keys()[i].text] = options_json(node.items()[i]);
    return object;
  }
  if (node.is_sequence()) {
    json array = json::array();
    for (const auto& item : node.items()) array.push_back(options_json(item));
    return array;
  }
  if (node.style() == config::ScalarStyle::kQuoted) return node.text();
  const json scalar = json::parse(node.text(), nullptr, /*allow_exceptions=*/false);
  return scalar.is_discarded() ? json(node.text()) : scalar;
}

}  // namespace qtk::stage
