// The `include:` key: reads a file and what it includes into one tree.
#pragma once

#include "config/diagnostics.hpp"
#include "config/node.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::config {

class IncludeReader {
 public:
  /// @param base  folder that includes must not leave (nor the current one)
  IncludeReader(std::filesystem::path base, Diagnostics& diagnostics);

  /// @returns nothing if the file itself (not one that it includes) could not be read
  std::optional<Node> read_file(const std::filesystem::path& path);
  std::optional<Node> read_string(std::string_view text, const std::string& name,
                                  const std::filesystem::path& folder);

  const std::vector<std::filesystem::path>& files() const { return files_; }

 private:
  std::optional<Node> parse(std::string_view text, const std::string& name,
                            const std::filesystem::path& folder);
  Node include_all(const Node& list, const std::filesystem::path& folder);
  void include_one(const Node& item, const std::string& path, const std::filesystem::path& folder,
                   Node& merged);
  /// Empty if the file may be included, else why not.
  std::string refusal(const std::string& written, const std::filesystem::path& path) const;
  bool is_inside_allowed_folder(const std::filesystem::path& path) const;
  void fail(const Node& item, const std::string& path, const std::string& message,
            std::string remedy);

  std::filesystem::path base_;
  Diagnostics& diagnostics_;
  std::vector<std::filesystem::path> files_;
  std::vector<std::filesystem::path> open_;  // canonical: the chain of includes that leads here
  int64_t nodes_ = 0;                        // of all files together
};

}  // namespace qtk::config
