// Stacks of the CUDA threads and the block's shared memory, each before a page that faults.
#include <sys/mman.h>

#include <cstring>
#include <new>

#include "block.hpp"

namespace simt {
namespace {

constexpr size_t kPage = 4096, kMaxThreads = 1024, kStackStep = kStackBytes + kPage;
constexpr size_t kDynamicPages = (kMaxDynamicShared + kPage - 1) / kPage * kPage;

void open_pages(uintptr_t begin, size_t bytes) {
  if (mprotect(reinterpret_cast<void*>(begin), bytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
}

uintptr_t reserve(size_t bytes) {
  void* pages = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return reinterpret_cast<uintptr_t>(pages);
}

Arena make_arena() {
  Arena made;
  const uintptr_t stacks = reserve(kStackStep * kMaxThreads);
  for (size_t i = 0; i < kMaxThreads; ++i) open_pages(stacks + i * kStackStep + kPage, kStackBytes);
  made.stacks = {stacks, stacks + kStackStep * kMaxThreads};
  constexpr size_t kSharedPages = kMaxStaticShared + kDynamicPages + 3 * kPage;
  made.shared.begin = reserve(kSharedPages);
  made.shared.end = made.shared.begin + kSharedPages;
  const uintptr_t first = made.shared.begin + kPage;
  open_pages(first, kMaxStaticShared);
  made.static_shared = {first, first + kMaxStaticShared};
  const uintptr_t second = made.static_shared.end + kPage;
  open_pages(second, kDynamicPages);
  made.dynamic_shared = {second, second + kDynamicPages};
  return made;
}

// What a kernel may rely on is 16 bytes.
size_t padded(size_t bytes) { return (bytes + 15) / 16 * 16; }

}   // namespace

const Arena& arena() {
  static const Arena made = make_arena();   // for the life of the process
  return made;
}

char* Arena::stack(unsigned thread) const {
  return reinterpret_cast<char*>(stacks.begin + thread * kStackStep + kPage);
}

Range shared_range(bool dynamic) {
  const size_t bytes = dynamic ? block.dynamic_bytes : block.static_bytes;
  const uintptr_t begin = (dynamic ? arena().dynamic_shared : arena().static_shared).end - padded(bytes);
  return {begin, begin + bytes};
}

void poison_shared() {
  // Before its first block has asked, a kernel's static size is not known.
  const size_t unknown = block.static_bytes == 0 ? kMaxStaticShared : padded(block.static_bytes);
  std::memset(reinterpret_cast<void*>(arena().static_shared.end - unknown), 0xff, unknown);
  std::memset(reinterpret_cast<void*>(shared_range(true).begin), 0xff, padded(block.dynamic_bytes));
}

void* static_shared_memory(size_t bytes) {
  if (bytes > kMaxStaticShared) fail("static shared memory of %zu bytes: 48 KB at most", bytes);
  if (block.static_bytes != 0 && block.static_bytes != bytes)
    fail("a kernel takes static shared memory once: %zu bytes, then %zu", block.static_bytes, bytes);
  if (bytes + block.dynamic_bytes > block.shared_limit)
    fail("%zu bytes of static and %zu of dynamic shared memory: the device has %zu", bytes, block.dynamic_bytes,
         block.shared_limit);
  block.static_bytes = bytes;
  return reinterpret_cast<void*>(shared_range(false).begin);
}

void* dynamic_shared_memory(size_t bytes_of_element) {
  if (block.dynamic_bytes < bytes_of_element)
    fail("dynamic shared memory of %zu bytes is too small for its elements of %zu", block.dynamic_bytes,
         bytes_of_element);
  return reinterpret_cast<void*>(shared_range(true).begin);
}

}   // namespace simt
