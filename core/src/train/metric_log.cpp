#include "train/metric_log.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

namespace qtk::train {

using nlohmann::json;

MetricLog::MetricLog(std::filesystem::path path, std::function<void(const json&)> on_row)
    : path_(std::move(path)), on_row_(std::move(on_row)) {
  std::error_code ignored;  // open() says what is wrong
  std::filesystem::create_directories(path_.parent_path(), ignored);
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("open");
  const auto size = ::lseek(descriptor_, 0, SEEK_END);
  if (size < 0) fail("seek in");
  size_ = size;
}

MetricLog::~MetricLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MetricLog::rewind(int64_t bytes) {
  if (size_ < bytes)
    throw DataError(path_.string() + " has " + std::to_string(size_) +
                        " bytes, expected at least the " + std::to_string(bytes) +
                        " that the checkpoint counted",
                    "restore it, or delete the run folder");
  if (::ftruncate(descriptor_, bytes) != 0) fail("truncate");
  if (::lseek(descriptor_, bytes, SEEK_SET) < 0) fail("seek in");
  size_ = bytes;
}

void MetricLog::write(const json& row) {
  const std::string line = row.dump() + "\n";
  for (size_t written = 0; written < line.size();) {
    const ssize_t count = ::write(descriptor_, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail("write");
    written += static_cast<size_t>(count);
  }
  size_ += static_cast<int64_t>(line.size());
  if (on_row_) on_row_(row);
}

int64_t MetricLog::sync() {
  if (::fdatasync(descriptor_) != 0) fail("sync");
  return size_;
}

void MetricLog::fail(const char* operation) const {
  throw IoError(
      std::string("cannot ") + operation + " " + path_.string() + ": " + std::strerror(errno),
      "free some space, or choose another folder with --out");
}

void FigureMeans::add(std::string_view name, double value) {
  auto known = sums_.find(name);
  if (known == sums_.end()) known = sums_.emplace(std::string(name), Sum{}).first;
  known->second.sum += value;
  ++known->second.count;
}

void FigureMeans::take(json& row) {
  for (const auto& [name, sum] : sums_) row[name] = sum.sum / static_cast<double>(sum.count);
  sums_.clear();
}

void FigureMeans::merge(const json& saved) {
  for (const auto& [name, other] : saved.items()) {
    Sum& sum = sums_[name];
    sum.sum += std::bit_cast<double>(other.at(0).get<int64_t>());
    sum.count += other.at(1).get<int64_t>();
  }
}

json FigureMeans::save() const {
  json saved = json::object();
  for (const auto& [name, sum] : sums_) saved[name] = {std::bit_cast<int64_t>(sum.sum), sum.count};
  return saved;
}

void FigureMeans::load(const json& saved) {
  sums_.clear();
  for (const auto& [name, sum] : saved.items())
    sums_[name] = {std::bit_cast<double>(sum.at(0).get<int64_t>()), sum.at(1)};
}

}  // namespace qtk::train
