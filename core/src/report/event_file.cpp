#include "report/event_file.hpp"

#include "base/crc32c.hpp"
#include "base/logging.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

namespace qtk::report {
namespace {

constexpr size_t kPendingBytes = 16 << 10;
// Wire types of protobuf, in the low three bits of a field's key.
constexpr uint32_t kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  out += static_cast<char>(value);
}

void put_key(std::string& out, uint32_t field, uint32_t wire) {
  put_varint(out, field << 3 | wire);
}

template <class T>
void put_fixed(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string event_at(double wall_time, int64_t step = 0) {
  std::string event;
  put_key(event, 1, kFixed64);
  put_fixed(event, wall_time);
  if (step == 0) return event;
  put_key(event, 2, kVarint);
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

/// Rotated and offset, so that a checksum of data that holds checksums still means something.
uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U; }

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string file_name(double start, int number) {
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%010lld", static_cast<long long>(start));
  return std::string("events.out.tfevents.") + seconds + "." + host + "." +
         std::to_string(::getpid()) + "." + std::to_string(number);
}

[[noreturn]] void fail(const std::filesystem::path& path, const char* operation) {
  throw IoError(path.string() + ": " + operation + " failed: " + std::strerror(errno),
                "check free space and permissions");
}

}  // namespace

std::string version_event(double wall_time) {
  std::string event = event_at(wall_time);
  put_bytes(event, 3, "brain.Event:2");
  return event;
}

std::string scalar_event(std::string_view tag, int64_t step, double wall_time, float value) {
  std::string scalar, summary, event = event_at(wall_time, step);
  put_bytes(scalar, 1, tag);
  put_key(scalar, 2, kFixed32);
  put_fixed(scalar, value);
  put_bytes(summary, 1, scalar);
  put_bytes(event, 5, summary);
  return event;
}

std::string restart_event(int64_t step, double wall_time) {
  constexpr uint64_t kStart = 1;
  std::string log, event = event_at(wall_time, step);
  put_key(log, 1, kVarint);
  put_varint(log, kStart);
  put_bytes(event, 7, log);
  return event;
}

std::string record_of(std::string_view event) {
  std::string record;
  put_fixed(record, static_cast<uint64_t>(event.size()));
  put_fixed(record, masked_crc(record));
  record += event;
  put_fixed(record, masked_crc(event));
  return record;
}

EventFile::EventFile(const std::filesystem::path& folder, int64_t first_step) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const double now = unix_seconds();
  for (int number = 0; descriptor_ < 0; ++number) {
    path_ = folder / file_name(now, number);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor_ < 0 && errno != EEXIST) fail(path_, "creating it");
  }
  pending_ = record_of(version_event(now));
  if (first_step > 0) pending_ += record_of(restart_event(first_step, now));
}

EventFile::~EventFile() {
  try {
    flush();
  } catch (const std::exception& lost) {
    core_log().warn(std::string("the last scalars for TensorBoard are lost: ") + lost.what());
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

void EventFile::add_scalar(std::string_view tag, int64_t step, double wall_time, double value) {
  pending_ += record_of(scalar_event(tag, step, wall_time, static_cast<float>(value)));
  if (pending_.size() >= kPendingBytes) flush();
}

void EventFile::add_row(const nlohmann::json& row) {
  const auto is_number = [&](const char* key) { return row.contains(key) && row[key].is_number(); };
  if (!row.is_object() || !is_number("step"))
    throw DataError(
        "a row of metrics is no object with a number `step`: " + row.dump().substr(0, 80),
        "check metrics.jsonl");
  const double time = is_number("time") ? row["time"].get<double>() : unix_seconds();
  for (const auto& [tag, value] : row.items())
    if (value.is_number() && tag != "step" && tag != "time")
      add_scalar(tag, row["step"], time, value);
}

void EventFile::flush() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail(path_, "writing");
    rest.remove_prefix(static_cast<size_t>(written));
  }
  pending_.clear();
}

}  // namespace qtk::report
