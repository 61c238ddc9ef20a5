#include "memory.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>

namespace fastconv::memory {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;   // blocks from here on are mapped and may use huge pages
constexpr int kStepBits = 3;                    // size classes to a doubling: 2^3
constexpr int kMinBits = 7;                     // the smallest class is 128 bytes, header included
constexpr int kMaxBits = 47;                    // user addresses end there
constexpr int kClasses = ((kMaxBits - kMinBits) << kStepBits) + 1;

class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(size_t bytes)
      : message_("fastconv cannot allocate " + std::to_string(bytes) + " bytes") {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

// Lies in front of every block. A free block is in two lists, both newest first: its class and all free blocks.
struct alignas(kAlignment) Header {
  size_t bytes;   // header included
  int size_class;
  Header *class_newer, *class_older, *newer, *older;
};
static_assert(sizeof(Header) == kAlignment);

void* payload(Header* header) { return header + 1; }
Header* header_of(void* block) { return static_cast<Header*>(block) - 1; }

int class_of(size_t bytes) {
  const size_t last = std::max(bytes, size_t{1} << kMinBits) - 1;
  const int top = 63 - __builtin_clzll(last);   // 2^top <= last < 2^(top + 1)
  const int step = int(last >> (top - kStepBits)) & ((1 << kStepBits) - 1);
  return (top - kMinBits) * (1 << kStepBits) + step + 1;
}

size_t class_bytes(int size_class) {
  const int bits = kMinBits + (size_class >> kStepBits), step = size_class & ((1 << kStepBits) - 1);
  const size_t bytes = (size_t{1} << bits) + (size_t(step) << (bits - kStepBits));
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Mapped on a huge page's boundary: one fault instead of 512.
void* map_huge(size_t bytes) {
  const size_t mapped = bytes + kHugePage;
  void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(start);
  char* const aligned =
      reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(begin) + kHugePage - 1) / kHugePage * kHugePage);
  const size_t page = size_t(sysconf(_SC_PAGESIZE)), kept = (bytes + page - 1) / page * page;
  if (aligned > begin) munmap(begin, size_t(aligned - begin));
  if (aligned + kept < begin + mapped) munmap(aligned + kept, size_t(begin + mapped - (aligned + kept)));
#ifdef MADV_HUGEPAGE
  madvise(aligned, kept, MADV_HUGEPAGE);
#endif
  return aligned;
}

Header* obtain(int size_class) noexcept {
  const size_t bytes = class_bytes(size_class);
  void* memory = bytes >= kHugePage ? map_huge(bytes) : std::aligned_alloc(kAlignment, bytes);
  if (memory == nullptr) return nullptr;
  Header* header = new (memory) Header{};
  header->bytes = bytes;
  header->size_class = size_class;
  return header;
}

void give_back(Header* header) {
  if (header->bytes < kHugePage) return std::free(header);
  const size_t page = size_t(sysconf(_SC_PAGESIZE));
  munmap(header, (header->bytes + page - 1) / page * page);
}

int64_t read_limit(const char* path) {
  int64_t value = 0;
  return std::ifstream(path) >> value && value > 0 ? value : INT64_MAX;
}

int64_t default_cache_limit() {
  const int64_t physical = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const int64_t control_group = std::min(read_limit("/sys/fs/cgroup/memory.max"),
                                         read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
  return std::min(physical, control_group) / 4;
}

class Pool {
 public:
  void* allocate(size_t bytes) {
    if (bytes > (size_t{1} << kMaxBits) - sizeof(Header)) throw OutOfMemory(bytes);
    const int size_class = class_of(bytes + sizeof(Header));
    Header* header = nullptr;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ++stats_.allocations;
      if ((header = newest_of_[size_class]) != nullptr) {
        unlink(header);
        ++stats_.reused;
        count_out(header);
      }
    }
    if (header == nullptr) header = fresh(size_class, bytes);
    if (poison_.load(std::memory_order_relaxed))
      std::memset(payload(header), 0xff, header->bytes - sizeof(Header));
    return payload(header);
  }

  void release(void* block) noexcept {
    Header* header = header_of(block);
    const std::lock_guard<std::mutex> lock(mutex_);
    stats_.in_use -= int64_t(header->bytes);
    link(header);
    trim();
  }

  Stats stats() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return stats_;
  }

  void reset_peak() {
    const std::lock_guard<std::mutex> lock(mutex_);
    stats_.peak = stats_.in_use;
  }

  void release_cached() {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (oldest_ != nullptr) drop_oldest();
  }

  void set_limit(int64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    limit_ = bytes;
    trim();
  }

  int64_t limit() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return limit_;
  }

  void set_poison(bool on) { poison_.store(on, std::memory_order_relaxed); }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  Header* fresh(int size_class, size_t asked) {
    Header* header = obtain(size_class);
    if (header == nullptr) {   // what lies idle may be what is missing
      release_cached();
      header = obtain(size_class);
    }
    if (header == nullptr) throw OutOfMemory(asked);
    const std::lock_guard<std::mutex> lock(mutex_);
    count_out(header);
    return header;
  }

  void count_out(const Header* header) {
    stats_.in_use += int64_t(header->bytes);
    stats_.peak = std::max(stats_.peak, stats_.in_use);
  }

  void link(Header* header) {
    Header*& newest_of_class = newest_of_[header->size_class];
    header->class_newer = header->newer = nullptr;
    header->class_older = newest_of_class;
    header->older = newest_;
    if (newest_of_class != nullptr) newest_of_class->class_newer = header;
    (newest_ != nullptr ? newest_->newer : oldest_) = header;
    newest_of_class = newest_ = header;
    stats_.cached += int64_t(header->bytes);
  }

  void unlink(Header* header) {
    (header->class_newer != nullptr ? header->class_newer->class_older : newest_of_[header->size_class]) =
        header->class_older;
    if (header->class_older != nullptr) header->class_older->class_newer = header->class_newer;
    (header->newer != nullptr ? header->newer->older : newest_) = header->older;
    (header->older != nullptr ? header->older->newer : oldest_) = header->newer;
    stats_.cached -= int64_t(header->bytes);
  }

  void drop_oldest() {
    Header* header = oldest_;
    unlink(header);
    give_back(header);
  }

  void trim() {
    while (stats_.cached > limit_) drop_oldest();
  }

  std::mutex mutex_;
  std::atomic<bool> poison_{false};
  Header* newest_of_[kClasses] = {};
  Header *newest_ = nullptr, *oldest_ = nullptr;
  Stats stats_{};
  int64_t limit_ = default_cache_limit();
};

// Never destroyed: arrays may outlive every static object. A fork finds the lists whole and the mutex free.
Pool& pool() {
  static Pool& instance = [&]() -> Pool& {
    static Pool* created = new Pool;
    pthread_atfork([] { created->lock(); }, [] { created->unlock(); }, [] { created->unlock(); });
    return *created;
  }();
  return instance;
}

}   // namespace

void* allocate(size_t bytes) { return pool().allocate(bytes); }
void release(void* block) noexcept { pool().release(block); }
Stats stats() { return pool().stats(); }
void reset_peak() { pool().reset_peak(); }
void release_cached() { pool().release_cached(); }
int64_t cache_limit() { return pool().limit(); }
void set_poison(bool on) { pool().set_poison(on); }

void set_cache_limit(int64_t bytes) {
  if (bytes < 0)
    throw std::invalid_argument("set_cache_limit: bytes must be at least 0, got " + std::to_string(bytes));
  pool().set_limit(bytes);
}

}   // namespace fastconv::memory
