#include "train/work_journal.hpp"

#include "base/atomic_file.hpp"
#include "base/hash.hpp"
#include "base/logging.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

namespace qtk::train {
namespace {

using nlohmann::json;

/// {"check": hash of the text of the content, "content": {...}}
std::string line_of(const json& content) {
  return json{{"check", fingerprint(content.dump())}, {"content", content}}.dump() + "\n";
}

/// The content of a sound line.
std::optional<json> content_of(std::string_view line) {
  const json parsed = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("check") || !parsed.contains("content"))
    return std::nullopt;
  if (parsed["check"] != fingerprint(parsed["content"].dump())) return std::nullopt;
  return parsed["content"];
}

json unit_json(const std::string& key, const FinishedUnit& unit) {
  return {{"key", key},
          {"values", unit.values},  // NaN and infinity become null
          {"gradient_passes", unit.counts.gradient_passes},
          {"hessian_products", unit.counts.hessian_products}};
}

FinishedUnit unit_from(const json& content) {
  FinishedUnit unit;
  for (const auto& value : content.at("values"))
    unit.values.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                          : value.get<double>());
  unit.counts = {content.at("gradient_passes"), content.at("hessian_products")};
  return unit;
}

}  // namespace

WorkJournal::WorkJournal(std::filesystem::path path, std::string identity)
    : path_(std::move(path)), identity_(std::move(identity)) {
  open_at(read());
}

WorkJournal::~WorkJournal() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int64_t WorkJournal::read() {
  std::error_code error;
  if (!std::filesystem::exists(path_, error)) return 0;
  const std::string text = read_text_file(path_);
  size_t begin = 0;
  bool is_first = true;
  for (size_t end; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
    const auto content = content_of(std::string_view(text).substr(begin, end - begin));
    if (!content) break;
    if (is_first && content->value("identity", "") != identity_) {
      core_log().warn(path_.string() + " belongs to other settings and is begun anew");
      return 0;
    }
    if (!is_first) units_[content->at("key")] = unit_from(*content);
    is_first = false;
  }
  if (begin < text.size())
    core_log().debug(path_.string() + ": the last " + std::to_string(text.size() - begin) +
                     " bytes are damaged and dropped");
  return static_cast<int64_t>(begin);
}

void WorkJournal::open_at(int64_t length) {
  std::error_code ignored;  // open() says what is wrong
  std::filesystem::create_directories(path_.parent_path(), ignored);
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("open");
  if (::ftruncate(descriptor_, length) != 0) fail("truncate");
  if (::lseek(descriptor_, 0, SEEK_END) < 0) fail("seek in");
  if (length == 0) append(line_of({{"identity", identity_}}));
}

void WorkJournal::append(const std::string& line) {
  for (size_t written = 0; written < line.size();) {
    const ssize_t count = ::write(descriptor_, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail("write");
    written += static_cast<size_t>(count);
  }
  if (::fdatasync(descriptor_) != 0) fail("sync");
}

std::optional<FinishedUnit> WorkJournal::find(const std::string& key) const {
  const auto found = units_.find(key);
  if (found == units_.end()) return std::nullopt;
  return found->second;
}

void WorkJournal::keep(const std::string& key, const FinishedUnit& unit) {
  append(line_of(unit_json(key, unit)));
  units_[key] = unit;
}

void WorkJournal::fail(const char* operation) const {
  throw IoError(
      std::string("cannot ") + operation + " " + path_.string() + ": " + std::strerror(errno),
      "free some space, or choose another folder with --out");
}

}  // namespace qtk::train
