// Core's own parts of a configuration: structs that describe their options
// (qtk/options/option_set.hpp) and, beside them, the sections inside them. Reading, unknown-key
// reports, schema, help and resolved.yaml all come from there:
//
//   struct DataSection {
//     std::optional<EvalData> eval;
//     static void describe(OptionSet<DataSection>&) {}
//     static void sections(SectionSet<DataSection>& s) {
//       s.section("eval", &DataSection::eval).doc("Texts for evaluation.");
//     }
//   };
//
// A struct that has members `mark` (SourceMark) and `path` (std::string) gets them filled.
#pragma once

#include "config/diagnostics.hpp"
#include "config/node.hpp"

#include <qtk/options/option_set.hpp>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qtk::config {

struct SectionTable;

/// A key of a section that holds more than a value.
struct ChildSpec {
  enum class Shape {
    kSection,
    kList,           // of sections
    kMap,            // of sections, by names that the user chooses
    kPluginOptions,  // typed by the plugin that `use:` beside it names; core keeps the node
  };

  std::string name;
  std::string doc;
  Shape shape = Shape::kSection;
  bool is_required = false;
  std::string plugin_kind;  // kPluginOptions: "quantizer"
  std::function<SectionTable()>
      table;  // of the section, or of one element; empty for plugin options
  std::function<void(void* parent, const Node&, const std::string& path, Diagnostics&)> read;
  std::function<Node(const void* parent)> write;  // null node: absent
};

struct SectionTable {
  OptionTable options;
  std::vector<std::string> required;     // options without a usable default
  std::vector<std::string> one_or_list;  // list options that also take a single value
  std::vector<ChildSpec> children;

  /// All keys, in the order of declaration.
  std::vector<std::string> keys() const;
  bool is_required(const std::string& option) const;
  bool takes_one(const std::string& option) const;
};

/// Reads into a struct that `table` describes. Reports unknown keys, faulty values, missing keys,
/// and the ConfigError of its validate().
void read_into(const SectionTable& table, void* section, const Node& node, const std::string& path,
               Diagnostics& diagnostics);
/// The struct as a map that reads back as it; options that say "not set" are left out.
Node write_section(const SectionTable& table, const void* section);
/// Reports and returns false if the node is no map (or, for lists, no sequence).
bool check_shape(const Node& node, NodeKind expected, const std::string& path,
                 Diagnostics& diagnostics);

/// Adds attributes to one child. Valid within the statement that made it.
class ChildField {
 public:
  explicit ChildField(ChildSpec& spec) : spec_(spec) {}
  ChildField& doc(std::string sentence) { return spec_.doc = std::move(sentence), *this; }
  ChildField& required() { return spec_.is_required = true, *this; }

 private:
  ChildSpec& spec_;
};

template <class T>
SectionTable section_table();

/// Reads one section; a T of defaults if `node` is null.
template <class T>
T read_section(const Node* node, const std::string& path, Diagnostics& diagnostics) {
  T section{};
  if (!node) return section;
  if constexpr (requires { section.mark = node->mark(), section.path = path; }) {
    section.mark = node->mark();
    section.path = path;
  }
  read_into(section_table<T>(), &section, *node, path, diagnostics);
  return section;
}

template <class T>
Node section_node(const T& section) {
  return write_section(section_table<T>(), &section);
}

namespace detail {

// A member may be the section itself or optional; optional members know "absent" from "all
// defaults".
template <class S>
struct SectionMember {
  using Section = S;
  static const S* get(const S& member) { return &member; }
};
template <class S>
struct SectionMember<std::optional<S>> {
  using Section = S;
  static const S* get(const std::optional<S>& member) { return member ? &*member : nullptr; }
};

template <class S>
Node list_node(const std::vector<S>& sections) {
  Node list = Node::sequence();
  for (const S& section : sections) list.append(section_node(section));
  return list;
}

template <class S>
std::vector<S> read_list(const Node& node, const std::string& path, Diagnostics& diagnostics) {
  std::vector<S> sections;
  if (!check_shape(node, NodeKind::kSequence, path, diagnostics)) return sections;
  for (size_t i = 0; i < node.items().size(); ++i)
    sections.push_back(read_section<S>(&node.items()[i], child_path(path, i), diagnostics));
  return sections;
}

template <class S>
std::map<std::string, S> read_map(const Node& node, const std::string& path,
                                  Diagnostics& diagnostics) {
  std::map<std::string, S> sections;
  if (!check_shape(node, NodeKind::kMap, path, diagnostics)) return sections;
  for (size_t i = 0; i < node.items().size(); ++i) {
    const std::string& name = node.keys()[i].text;
    sections[name] = read_section<S>(&node.items()[i], child_path(path, name), diagnostics);
  }
  return sections;
}

}  // namespace detail

template <class T>
class SectionSet {
 public:
  explicit SectionSet(SectionTable& table) : table_(table) {}

  /// Options (declared in describe()) that a user must give.
  void require(std::string option) { table_.required.push_back(std::move(option)); }
  /// List options that also take a single value.
  void one_or_list(std::string option) { table_.one_or_list.push_back(std::move(option)); }

  /// A section: M is a struct, or an optional one.
  template <class M>
  ChildField section(std::string name, M T::*member) {
    using Member = detail::SectionMember<M>;
    using Section = typename Member::Section;
    ChildSpec& spec = add(std::move(name), ChildSpec::Shape::kSection);
    spec.table = section_table<Section>;
    spec.read = [member](void* parent, const Node& node, const std::string& path,
                         Diagnostics& diagnostics) {
      static_cast<T*>(parent)->*member = read_section<Section>(&node, path, diagnostics);
    };
    spec.write = [member](const void* parent) {
      const Section* section = Member::get(static_cast<const T*>(parent)->*member);
      Node node = section ? section_node(*section) : Node();
      // A section that is always there and has nothing to say.
      const bool is_idle = std::is_same_v<M, Section> && node.items().empty();
      return is_idle ? Node() : node;
    };
    return ChildField(spec);
  }

  /// A list of sections: M is a vector of structs, or an optional one.
  template <class M>
  ChildField list(std::string name, M T::*member) {
    using Member = detail::SectionMember<M>;
    using Section = typename Member::Section::value_type;
    ChildSpec& spec = add(std::move(name), ChildSpec::Shape::kList);
    spec.table = section_table<Section>;
    spec.read = [member](void* parent, const Node& node, const std::string& path,
                         Diagnostics& diagnostics) {
      static_cast<T*>(parent)->*member = detail::read_list<Section>(node, path, diagnostics);
    };
    spec.write = [member](const void* parent) {
      const auto* sections = Member::get(static_cast<const T*>(parent)->*member);
      // An empty list of its own accord says nothing; one that was given does.
      const bool is_absent =
          !sections || (std::is_same_v<M, std::vector<Section>> && sections->empty());
      return is_absent ? Node() : detail::list_node(*sections);
    };
    return ChildField(spec);
  }

  /// Sections by names that the user chooses.
  template <class Section>
  ChildField map(std::string name, std::map<std::string, Section> T::*member) {
    ChildSpec& spec = add(std::move(name), ChildSpec::Shape::kMap);
    spec.table = section_table<Section>;
    spec.read = [member](void* parent, const Node& node, const std::string& path,
                         Diagnostics& diagnostics) {
      static_cast<T*>(parent)->*member = detail::read_map<Section>(node, path, diagnostics);
    };
    spec.write = [member](const void* parent) {
      Node map = Node::map();
      for (const auto& [key, section] : static_cast<const T*>(parent)->*member)
        map.append({key, {}}, section_node(section));
      return map.items().empty() ? Node() : map;
    };
    return ChildField(spec);
  }

  /// Options of a plugin, kept as they are (always a map) until the plugin's table is known.
  ChildField plugin_options(std::string name, Node T::*member, std::string kind) {
    ChildSpec& spec = add(std::move(name), ChildSpec::Shape::kPluginOptions);
    spec.plugin_kind = std::move(kind);
    spec.read = [member](void* parent, const Node& node, const std::string& path,
                         Diagnostics& diagnostics) {
      if (check_shape(node, NodeKind::kMap, path, diagnostics))
        static_cast<T*>(parent)->*member = node;
    };
    spec.write = [member](const void* parent) {
      const Node& options = static_cast<const T*>(parent)->*member;
      return options.items().empty() ? Node() : options;
    };
    return ChildField(spec);
  }

 private:
  ChildSpec& add(std::string name, ChildSpec::Shape shape) {
    ChildSpec& spec = table_.children.emplace_back();
    spec.name = std::move(name);
    spec.shape = shape;
    return spec;
  }

  SectionTable& table_;
};

template <class T>
SectionTable section_table() {
  SectionTable table;
  table.options = option_table<T>();
  if constexpr (requires(SectionSet<T> & set) { T::sections(set); }) {
    SectionSet<T> set(table);
    T::sections(set);
  }
  return table;
}

}  // namespace qtk::config
