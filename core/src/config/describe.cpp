#include "config/describe.hpp"

#include "config/emit.hpp"
#include "config/options.hpp"
#include "config/run_config.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace qtk::config {
namespace {

constexpr size_t kColumns = 7;
// A long list of choices should not push all sentences off the screen.
constexpr size_t kWidest = 36;

using Row = std::array<std::string, kColumns>;

std::string searchable_text(Searchable how) {
  switch (how) {
    case Searchable::kNo:
      return {};
    case Searchable::kChoice:
      return "searchable";
    case Searchable::kLinear:
      return "searchable (linear)";
    case Searchable::kLog:
      return "searchable (log)";
  }
  return {};
}

std::string sentence(const OptionSpec& spec) {
  std::string text = spec.doc;
  if (!spec.paper.empty()) text += " (" + spec.paper + ")";
  if (!spec.original_flag.empty()) text += " Originally: " + spec.original_flag + ".";
  if (!spec.since.empty()) text += " Since " + spec.since + ".";
  if (!spec.deprecated.empty()) text += " Deprecated: " + spec.deprecated + ".";
  return text;
}

Row row_of(const OptionSpec& spec, bool is_required) {
  return {spec.name,
          option_type_name(spec.type),
          is_required ? "required" : "default=" + option_value_text(spec.default_value),
          option_bounds(spec),
          spec.unit,
          sentence(spec),
          searchable_text(spec.searchable)};
}

std::string align(const std::vector<Row>& rows) {
  std::array<size_t, kColumns> widths{};
  for (const Row& row : rows)
    for (size_t i = 0; i < kColumns; ++i)
      if (row[i].size() <= kWidest || i == kColumns - 2)
        widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    size_t end = 0;
    for (size_t i = 0; i < kColumns; ++i) {
      if (widths[i] == 0 && row[i].empty()) continue;
      line.resize(std::max(line.size(), end), ' ');
      line += "  " + row[i];
      end += 2 + widths[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

/// Children are listed with the keys of their section, so that the whole of a section is in one
/// place.
std::vector<Row> rows_of(const SectionTable& table) {
  std::vector<Row> rows;
  for (const OptionSpec& spec : table.options.specs)
    rows.push_back(row_of(spec, table.is_required(spec.name)));
  for (const ChildSpec& child : table.children) {
    const bool is_list = child.shape == ChildSpec::Shape::kList;
    const bool is_map = child.shape == ChildSpec::Shape::kMap;
    rows.push_back({child.name,
                    is_list  ? "list of sections"
                    : is_map ? "sections by name"
                             : "section",
                    child.is_required ? "required" : "", "", "", child.doc, ""});
  }
  return rows;
}

void describe_section(const SectionTable& table, const std::string& path, std::string& out) {
  out += (path.empty() ? "top level" : path) + "\n" + align(rows_of(table));
  for (const ChildSpec& child : table.children) {
    if (!child.table) continue;
    const std::string suffix = child.shape == ChildSpec::Shape::kList  ? "[]"
                               : child.shape == ChildSpec::Shape::kMap ? ".<name>"
                                                                       : "";
    out += "\n";
    describe_section(child.table(), child_path(path, child.name) + suffix, out);
  }
}

std::string comment_of(const OptionSpec& spec) {
  std::string bounds = option_type_name(spec.type);
  if (const std::string text = option_bounds(spec); !text.empty()) bounds += " " + text;
  if (!spec.unit.empty()) bounds += ", " + spec.unit;
  return "  # " + bounds + ". " + spec.doc;
}

}  // namespace

std::string describe_options(const OptionTable& table) {
  SectionTable section;
  section.options = table;
  return align(rows_of(section));
}

std::string describe_run() {
  std::string text;
  describe_section(section_table<RunConfig>(), "", text);
  return text;
}

std::string options_yaml(const OptionTable& table, size_t indent) {
  std::string text;
  for (const OptionSpec& spec : table.specs) {
    if (!spec.deprecated.empty()) continue;
    const std::string value = option_value_text(spec.default_value);
    text += std::string(indent, ' ') + (is_unset(spec.default_value) ? "# " : "") + spec.name +
            ": " + value + comment_of(spec) + "\n";
  }
  return text;
}

}  // namespace qtk::config
