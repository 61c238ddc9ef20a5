// Global memory: every allocation ends before a page that faults, is 0xff at first (NaN, -1), and has bytes
// around it that nobody may write.
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "block.hpp"
#include "cuda_runtime.h"

namespace simt {
namespace {

constexpr size_t kPage = 4096;
constexpr unsigned char kCanary = 0xa5;

struct Allocation {
  size_t bytes;
  uintptr_t first_page, pages_end;   // that can be accessed
};

std::mutex mutex;
std::map<uintptr_t, Allocation> allocations;

bool intact(uintptr_t begin, uintptr_t end) {   // less than a page
  static const std::vector<unsigned char> expected(kPage, kCanary);
  return std::memcmp(reinterpret_cast<const void*>(begin), expected.data(), end - begin) == 0;
}

const char* damage(uintptr_t address, const Allocation& allocation) {
  static char text[128];
  const bool before = !intact(allocation.first_page, address);
  if (!before && intact(address + allocation.bytes, allocation.pages_end)) return nullptr;
  std::snprintf(text, sizeof text, "bytes %s the allocation of %zu bytes at %#zx have been overwritten",
                before ? "before" : "after", allocation.bytes, size_t(address));
  return text;
}

void* allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  // 16 bytes are what a vector access needs and what an array within a larger one may still have.
  const size_t padded = (bytes + 15) / 16 * 16, usable = (padded + kPage - 1) / kPage * kPage;
  void* pages = mmap(nullptr, usable + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
  const uintptr_t first = reinterpret_cast<uintptr_t>(pages) + kPage, end = first + usable;
  if (mprotect(reinterpret_cast<void*>(first), usable, PROT_READ | PROT_WRITE) != 0) {
    munmap(pages, usable + 2 * kPage);
    return nullptr;
  }
  const uintptr_t address = end - padded;
  std::memset(reinterpret_cast<void*>(first), kCanary, usable);
  std::memset(reinterpret_cast<void*>(address), 0xff, bytes);
  const std::lock_guard<std::mutex> lock(mutex);
  allocations[address] = {bytes, first, end};
  return reinterpret_cast<void*>(address);
}

const char* release(void* data) {
  if (data == nullptr) return nullptr;
  const auto address = reinterpret_cast<uintptr_t>(data);
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = allocations.find(address);
  if (found == allocations.end()) return "released memory that is not allocated";
  const Allocation allocation = found->second;
  const char* text = damage(address, allocation);
  allocations.erase(found);
  munmap(reinterpret_cast<void*>(allocation.first_page - kPage),
         allocation.pages_end - allocation.first_page + 2 * kPage);
  forget_allocations();
  return text;
}

}   // namespace

Range allocation_of(uintptr_t address) {
  const std::lock_guard<std::mutex> lock(mutex);
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin()) return {};
  --next;
  if (address >= next->second.pages_end) return {};
  return {next->first, next->first + next->second.bytes};
}

const char* describe_address(uintptr_t address) {
  const std::lock_guard<std::mutex> lock(mutex);
  static char text[160];
  const auto after = allocations.upper_bound(address);
  if (after != allocations.begin()) {
    const auto before = std::prev(after);
    const uintptr_t end = before->first + before->second.bytes;
    if (address < before->second.pages_end + kPage) {
      std::snprintf(text, sizeof text, "byte %zu of an allocation of %zu bytes",
                    size_t(address - before->first), size_t(end - before->first));
      return text;
    }
  }
  if (after != allocations.end() && address >= after->second.first_page - kPage) {
    std::snprintf(text, sizeof text, "%zu bytes before an allocation of %zu bytes",
                  size_t(after->first - address), after->second.bytes);
    return text;
  }
  std::snprintf(text, sizeof text, "%#zx, which is not in the device's memory", size_t(address));
  return text;
}

const char* broken_canary() {
  const std::lock_guard<std::mutex> lock(mutex);
  for (const auto& [address, allocation] : allocations)
    if (const char* text = damage(address, allocation)) return text;
  return nullptr;
}

}   // namespace simt

cudaError_t cudaMallocFromPoolAsync(void** address, size_t bytes, cudaMemPool_t, cudaStream_t) {
  *address = simt::allocate(bytes);
  return bytes != 0 && *address == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaFreeAsync(void* address, cudaStream_t) {
  return simt::release(address) == nullptr ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  std::memset(to, value, bytes);
  return cudaSuccess;
}

extern "C" {
void* emulator_allocate(size_t bytes) { return simt::allocate(bytes); }
const char* emulator_release(void* address) { return simt::release(address); }
size_t emulator_allocations() {
  const std::lock_guard<std::mutex> lock(simt::mutex);
  return simt::allocations.size();
}
}
