#include "config/include.hpp"

#include "base/atomic_file.hpp"
#include "base/nearest_name.hpp"
#include "config/scalar.hpp"
#include "config/yaml_guard.hpp"
#include "config/yaml_source.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace qtk::config {
namespace {

constexpr const char* kKey = "include";
constexpr size_t kMostFiles = 64;

std::filesystem::path resolved_path(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path resolved = std::filesystem::weakly_canonical(path, error);
  return error ? path.lexically_normal() : resolved;
}

bool is_below(const std::filesystem::path& path, const std::filesystem::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

std::string loop_text(const std::vector<std::filesystem::path>& open,
                      const std::filesystem::path& again) {
  std::vector<std::string> names;
  for (auto file = std::ranges::find(open, again); file != open.end(); ++file)
    names.push_back(file->filename());
  names.push_back(again.filename());
  return join(names, " -> ");
}

}  // namespace

IncludeReader::IncludeReader(std::filesystem::path base, Diagnostics& diagnostics)
    : base_(std::move(base)), diagnostics_(diagnostics) {}

std::optional<Node> IncludeReader::read_file(const std::filesystem::path& path) {
  std::string text;
  try {
    text = read_text_file(path, YamlLimits::kBytes);
  } catch (const Error& error) {
    diagnostics_.error({error.what(), {path.string()}, "", error.remedy()});
    return std::nullopt;
  }
  files_.push_back(path);
  open_.push_back(resolved_path(path));
  auto node = parse(text, path.string(), path.parent_path());
  open_.pop_back();
  return node;
}

std::optional<Node> IncludeReader::read_string(std::string_view text, const std::string& name,
                                               const std::filesystem::path& folder) {
  return parse(text, name, folder);
}

std::optional<Node> IncludeReader::parse(std::string_view text, const std::string& name,
                                         const std::filesystem::path& folder) {
  std::optional<Node> node = parse_yaml(text, {.file = name}, diagnostics_);
  if (!node) return std::nullopt;
  if (!node->is_map()) {
    diagnostics_.error(
        {node->is_null()
             ? "the configuration is empty"
             : "a configuration is a section of `key: value` pairs, found " + found(*node),
         {name, 1, 1},
         "",
         "start it with  qtk: 1"});
    return std::nullopt;
  }
  nodes_ += count_nodes(*node);
  if (nodes_ > YamlLimits::kNodes) {
    const YamlHazard hazard = too_many_nodes(0);
    diagnostics_.error(
        {hazard.message + " in all included files together", {name, 1, 1}, "", hazard.remedy});
    return std::nullopt;
  }
  const Node* list = node->find(kKey);
  if (!list) return node;
  Node merged = include_all(*list, folder);
  node->erase(kKey);
  merged.merge(std::move(*node));
  return merged;
}

Node IncludeReader::include_all(const Node& list, const std::filesystem::path& folder) {
  Node merged = Node::map(list.mark());
  if (list.is_sequence()) {
    for (size_t i = 0; i < list.items().size(); ++i)
      include_one(list.items()[i], child_path(kKey, i), folder, merged);
  } else {
    include_one(list, kKey, folder, merged);
  }
  return merged;
}

void IncludeReader::include_one(const Node& item, const std::string& path,
                                const std::filesystem::path& folder, Node& merged) {
  const Reading<std::string> written = read_text(item);
  if (!written.value)
    return fail(item, path, "an included file " + written.problem, written.remedy);
  const std::filesystem::path file = (folder / *written.value).lexically_normal();
  if (const std::string why = refusal(*written.value, file); !why.empty())
    return fail(item, path, "cannot include `" + *written.value + "`: " + why,
                "paths are relative to the including file");
  std::optional<Node> node = read_file(file);
  if (node)
    merged.merge(std::move(*node));
  else
    diagnostics_.expect_gaps();
}

std::string IncludeReader::refusal(const std::string& written,
                                   const std::filesystem::path& path) const {
  const std::filesystem::path resolved = resolved_path(path);
  if (written.empty()) return "the path is empty";
  if (std::filesystem::path(written).is_absolute()) return "the path is absolute";
  if (!is_inside_allowed_folder(resolved))
    return "it lies outside the folder of the configuration and the current one";
  if (std::ranges::find(open_, resolved) != open_.end())
    return "it includes itself: " + loop_text(open_, resolved);
  if (files_.size() >= kMostFiles)
    return "more than " + std::to_string(kMostFiles) + " files are included";
  std::error_code error;
  if (!std::filesystem::exists(resolved, error)) return "there is no file " + path.string();
  return {};
}

bool IncludeReader::is_inside_allowed_folder(const std::filesystem::path& path) const {
  std::error_code error;
  const std::filesystem::path current = std::filesystem::current_path(error);
  return is_below(path, resolved_path(base_)) || (!error && is_below(path, resolved_path(current)));
}

void IncludeReader::fail(const Node& item, const std::string& path, const std::string& message,
                         std::string remedy) {
  diagnostics_.error({message, item.mark(), path, std::move(remedy)});
  diagnostics_.expect_gaps();
}

}  // namespace qtk::config
