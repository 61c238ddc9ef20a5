// The pool that CPU results and workspaces come from: 64-byte aligned blocks, kept for reuse up to a cap,
// because the first touch of a fresh page costs more than most kernels do. Sizes are rounded up to classes,
// eight to a doubling, and a block serves its own class only: a loop that repeats its shapes soon needs no
// fresh memory. Above the cap (a quarter of the memory that the process may use, unless set) the block that lay
// idle longest goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace fastconv::memory {

void* allocate(size_t bytes);         // never null; throws a std::bad_alloc that says how much was asked for.
                                      // allocate(0) is a valid block.
void release(void* block) noexcept;   // back to the pool; any thread

struct Stats {
  int64_t in_use, cached, peak;   // bytes: held by callers, held by the pool, most ever in use
  int64_t allocations, reused;    // calls, and those served without fresh memory
};
Stats stats();
void reset_peak();
void release_cached();                 // gives the cached blocks back to the system
void set_cache_limit(int64_t bytes);   // std::invalid_argument if negative
int64_t cache_limit();
void set_poison(bool on);   // for tests: blocks are handed out full of 0xff bytes, NaN in any float type

// A workspace for the length of a scope.
class Buffer {
 public:
  explicit Buffer(size_t bytes) : block_(allocate(bytes)) {}
  ~Buffer() { release(block_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(block_);
  }

 private:
  void* block_;
};

}   // namespace fastconv::memory
