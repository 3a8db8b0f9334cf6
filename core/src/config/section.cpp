#include "config/section.hpp"

#include "base/nearest_name.hpp"
#include "config/emit.hpp"
#include "config/options.hpp"
#include "config/scalar.hpp"

#include <algorithm>

namespace qtk::config {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

/// "`data.eval`", or what the root is called.
std::string name_of(const std::string& path) {
  return path.empty() ? "the configuration" : "`" + path + "`";
}

/// Reads one section, key by key.
class SectionReader {
 public:
  SectionReader(const SectionTable& table, void* section, const Node& node, const std::string& path,
                Diagnostics& diagnostics)
      : table_(table),
        section_(section),
        node_(node),
        path_(path),
        known_(table.keys()),
        diagnostics_(diagnostics) {}

  void run() {
    for (size_t i = 0; i < node_.keys().size(); ++i) read_key(node_.keys()[i], node_.items()[i]);
    report_missing();
    if (is_valid_) validate();
  }

 private:
  void read_key(const Node::Key& key, const Node& value) {
    const std::string path = child_path(path_, key.text);
    if (const OptionSpec* spec = table_.options.find(key.text))
      return read_value(*spec, value, path);
    const auto child = std::ranges::find(table_.children, key.text, &ChildSpec::name);
    if (child == table_.children.end()) return report_unknown_key(key, path);
    if (value.style() != ScalarStyle::kUnresolved) child->read(section_, value, path, diagnostics_);
  }

  void read_value(const OptionSpec& spec, const Node& node, const std::string& path) {
    auto value = read_option(spec, wrapped(spec, node), path, name_of(path_), diagnostics_);
    const bool is_empty = value && table_.is_required(spec.name) && is_unset(*value);
    if (is_empty) diagnostics_.error({"`" + path + "` is empty", node.mark(), path, spec.doc});
    if (value && !is_empty)
      spec.write(section_, *value);
    else
      is_valid_ = false;
  }

  /// A single value for a list, where that is allowed.
  Node wrapped(const OptionSpec& spec, const Node& node) const {
    if (!node.is_scalar() || node.style() == ScalarStyle::kUnresolved ||
        !table_.takes_one(spec.name))
      return node;
    Node list = Node::sequence(node.mark());
    list.append(node);
    return list;
  }

  void report_unknown_key(const Node::Key& key, const std::string& path) {
    const std::string what = "unknown key `" + key.text + "` in " + name_of(path_);
    if (key.text == "plugin" && contains(known_, "use")) {
      misspelt_.push_back("use");
      diagnostics_.error({what, key.mark, path, "did you mean `use`?  (use: ID, options: {...})"});
      return;
    }
    if (!diagnostics_.is_crowded()) misspelt_.push_back(nearest_name(key.text, known_));
    report_unknown(what, key, path, known_, table_.options, diagnostics_);
  }

  void report_missing() {
    for (const std::string& name : table_.required) {
      const OptionSpec& spec = *table_.options.find(name);
      const std::string value =
          is_unset(spec.default_value) ? "..." : option_value_text(spec.default_value);
      report_missing(name, value, spec.doc);
    }
    for (const ChildSpec& child : table_.children)
      if (child.is_required) report_missing(child.name, "...", child.doc);
  }

  /// Unless it stands there misspelt: one report is enough.
  void report_missing(const std::string& name, const std::string& value, const std::string& doc) {
    if (node_.find(name) || contains(misspelt_, name)) return;
    diagnostics_.missing({name_of(path_) + " has no `" + name + "`", node_.mark(),
                          child_path(path_, name),
                          "add it:  " + name + ": " + value + "   " + doc});
    is_valid_ = false;
  }

  void validate() {
    if (!table_.options.validate) return;
    try {
      table_.options.validate(section_);
    } catch (const ConfigError& error) {
      diagnostics_.error(located(error, node_.mark(), path_));
    }
  }

  const SectionTable& table_;
  void* section_;
  const Node& node_;
  const std::string& path_;
  std::vector<std::string> known_;
  std::vector<std::string> misspelt_;
  Diagnostics& diagnostics_;
  bool is_valid_ = true;  // every value was read, so rules over several of them make sense
};

}  // namespace

std::vector<std::string> SectionTable::keys() const {
  std::vector<std::string> names;
  for (const OptionSpec& spec : options.specs) names.push_back(spec.name);
  for (const ChildSpec& child : children) names.push_back(child.name);
  return names;
}

bool SectionTable::is_required(const std::string& option) const {
  return contains(required, option);
}
bool SectionTable::takes_one(const std::string& option) const {
  return contains(one_or_list, option);
}

bool check_shape(const Node& node, NodeKind expected, const std::string& path,
                 Diagnostics& diagnostics) {
  if (node.kind() == expected) return true;
  const std::string form =
      expected == NodeKind::kMap ? "a section of `key: value` pairs" : "a list";
  const std::string empty = expected == NodeKind::kMap ? "{}" : "[]";
  diagnostics.error({name_of(path) + " must be " + form + ", found " + found(node), node.mark(),
                     path, node.is_null() ? "write " + empty + ", or remove the key" : ""});
  return false;
}

void read_into(const SectionTable& table, void* section, const Node& node, const std::string& path,
               Diagnostics& diagnostics) {
  if (check_shape(node, NodeKind::kMap, path, diagnostics))
    SectionReader(table, section, node, path, diagnostics).run();
}

Node write_section(const SectionTable& table, const void* section) {
  Node map = Node::map();
  for (const OptionSpec& spec : table.options.specs) {
    const OptionValue value = spec.read(section);
    if (!is_unset(value)) map.append({spec.name, {}}, value_node(value));
  }
  for (const ChildSpec& child : table.children)
    if (Node value = child.write(section); !value.is_null())
      map.append({child.name, {}}, std::move(value));
  return map;
}

}  // namespace qtk::config
