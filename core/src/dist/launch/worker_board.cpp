#include "dist/launch/worker_board.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>
#include <utility>

namespace qtk::dist {
namespace {

constexpr uint64_t kMagic = 0x31647262'6b6c7471;  // "qtklbrd1"
constexpr size_t kTextWords = 15;

static_assert(std::atomic<uint64_t>::is_always_lock_free);  // or it would not work across processes

int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

double age_s(int64_t then_ns) {
  return static_cast<double>(std::max<int64_t>(now_ns() - then_ns, 0)) * 1e-9;
}

std::optional<int> number_in(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return std::nullopt;
  int number = -1;
  const auto [end, error] = std::from_chars(value, value + std::strlen(value), number);
  if (error != std::errc() || *end != '\0' || number < 0) return std::nullopt;
  return number;
}

}  // namespace

struct WorkerBoard::Header {
  uint64_t magic;
  int64_t workers;
  std::atomic<int64_t> lost_rank_plus_one;
};

// A row of its own cache lines, so that a beat does not slow a neighbour down.
struct alignas(128) WorkerBoard::Row {
  /// One operation. Atomic words, because the reader may look while they change.
  struct Slot {
    std::atomic<int64_t> step, began_ns;
    std::array<std::atomic<uint64_t>, kTextWords> text;
  };

  std::atomic<uint64_t> published;  // operations begun so far; slot published % 2 holds the last
  std::atomic<int64_t> beat_ns;     // 0: no heartbeat
  std::atomic<int64_t> limit_ns;
  Slot slots[2];
};

namespace {
constexpr size_t kHeaderBytes = 128;
}

WorkerBoard::WorkerBoard(int descriptor, void* memory, size_t bytes, int worker)
    : descriptor_(descriptor), memory_(memory), bytes_(bytes), worker_(worker) {
  static_assert(sizeof(Header) <= kHeaderBytes);
}

WorkerBoard::~WorkerBoard() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

WorkerBoard::WorkerBoard(WorkerBoard&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      memory_(std::exchange(other.memory_, nullptr)),
      bytes_(other.bytes_),
      worker_(other.worker_) {}

WorkerBoard WorkerBoard::create(int workers) {
  const size_t bytes = kHeaderBytes + sizeof(Row) * static_cast<size_t>(workers);
  const int descriptor = ::memfd_create("qtk-worker-board", MFD_CLOEXEC);
  void* memory = MAP_FAILED;
  if (descriptor >= 0 && ::ftruncate(descriptor, static_cast<off_t>(bytes)) == 0)
    memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED)
    throw IoError("cannot make the workers' shared memory: " + std::string(std::strerror(errno)));
  new (memory) Header{kMagic, workers, {}};
  WorkerBoard board(descriptor, memory, bytes, 0);
  for (int worker = 0; worker < workers; ++worker) new (&board.row_of(worker)) Row{};
  return board;
}

std::unique_ptr<WorkerBoard> WorkerBoard::inherited() {
  const auto descriptor = number_in("QTK_BOARD_FD"), worker = number_in("QTK_LOCAL_RANK");
  struct stat file {};
  if (!descriptor || !worker || ::fstat(*descriptor, &file) != 0) return nullptr;
  const auto bytes = static_cast<size_t>(file.st_size);
  // The number may mean another file by now, if something in between did not hand ours on.
  if (!S_ISREG(file.st_mode) || bytes < kHeaderBytes + sizeof(Row)) return nullptr;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *descriptor, 0);
  if (memory == MAP_FAILED) return nullptr;
  const auto* header = static_cast<const Header*>(memory);
  if (header->magic != kMagic || *worker >= header->workers ||
      bytes != kHeaderBytes + sizeof(Row) * static_cast<size_t>(header->workers)) {
    ::munmap(memory, bytes);
    return nullptr;
  }
  ::fcntl(*descriptor, F_SETFD, FD_CLOEXEC);  // it is this process's business, not its children's
  return std::unique_ptr<WorkerBoard>(new WorkerBoard(-1, memory, bytes, *worker));
}

WorkerBoard::Row& WorkerBoard::row_of(int worker) const {
  return reinterpret_cast<Row*>(static_cast<char*>(memory_) + kHeaderBytes)[worker];
}

void WorkerBoard::begin(std::string_view operation, int64_t step) {
  std::array<uint64_t, kTextWords> words{};
  std::memcpy(words.data(), operation.data(),
              std::min(operation.size(), sizeof(uint64_t) * kTextWords - 1));
  Row& row = row_of(worker_);
  const uint64_t next = row.published.load(std::memory_order_relaxed) + 1;
  Row::Slot& slot = row.slots[next % 2];
  // Whoever sees a word of this operation also sees that the one before was published, and so that
  // what it reads in this slot is no longer the one it wanted.
  std::atomic_thread_fence(std::memory_order_release);
  slot.step.store(step, std::memory_order_relaxed);
  slot.began_ns.store(now_ns(), std::memory_order_relaxed);
  for (size_t i = 0; i < kTextWords; ++i) slot.text[i].store(words[i], std::memory_order_relaxed);
  row.published.store(next, std::memory_order_release);
}

void WorkerBoard::beat() { row_of(worker_).beat_ns.store(now_ns(), std::memory_order_relaxed); }

void WorkerBoard::leave() { row_of(worker_).beat_ns.store(0, std::memory_order_relaxed); }

void WorkerBoard::set_step_limit(double seconds) {
  row_of(worker_).limit_ns.store(static_cast<int64_t>(seconds * 1e9), std::memory_order_relaxed);
}

std::optional<int> WorkerBoard::lost_rank() const {
  const auto value =
      static_cast<const Header*>(memory_)->lost_rank_plus_one.load(std::memory_order_relaxed);
  if (value == 0) return std::nullopt;
  return static_cast<int>(value - 1);
}

void WorkerBoard::announce_lost(int rank) {
  static_cast<Header*>(memory_)->lost_rank_plus_one.store(rank + 1, std::memory_order_relaxed);
}

void WorkerBoard::clear() {
  auto& header = *static_cast<Header*>(memory_);
  header.lost_rank_plus_one.store(0);
  for (int worker = 0; worker < header.workers; ++worker) new (&row_of(worker)) Row{};
}

WorkerRow WorkerBoard::row(int worker) const {
  const Row& row = row_of(worker);
  WorkerRow seen;
  seen.step_limit_s = static_cast<double>(row.limit_ns.load(std::memory_order_relaxed)) * 1e-9;
  if (const int64_t beat = row.beat_ns.load(std::memory_order_relaxed); beat != 0)
    seen.beat_age_s = age_s(beat);
  for (;;) {  // ends: while it repeats, the worker makes progress
    const uint64_t published = row.published.load(std::memory_order_acquire);
    if (published == 0) return seen;
    const Row::Slot& slot = row.slots[published % 2];
    std::array<uint64_t, kTextWords> words;
    for (size_t i = 0; i < kTextWords; ++i) words[i] = slot.text[i].load(std::memory_order_relaxed);
    const int64_t step = slot.step.load(std::memory_order_relaxed);
    const int64_t began = slot.began_ns.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (row.published.load(std::memory_order_relaxed) != published) continue;
    char text[sizeof(words)];
    std::memcpy(text, words.data(), sizeof(words));
    seen.operation = std::string(text, ::strnlen(text, sizeof(text) - 1));
    seen.step = step;
    seen.operation_age_s = age_s(began);
    return seen;
  }
}

}  // namespace qtk::dist
