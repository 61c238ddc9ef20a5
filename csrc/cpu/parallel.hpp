// How work is spread over threads (thread_pool.hpp).
#pragma once

#include <cstdint>
#include <type_traits>

namespace fastconv::cpu {

// Default: the cores that this process may use (affinity, cgroup quota), or OMP_NUM_THREADS.
// In a forked child always 1: the pool's threads did not survive the fork.
constexpr int kMaxThreads = 4096;
int num_threads();
void set_num_threads(int count);

namespace detail {
void run(int64_t chunks, void (*body)(void*, int64_t), void* context);
}

// Calls body(i) for every i in [0, chunks), handed out dynamically. What a chunk is must come from the
// problem alone, never from the number of threads: that is what keeps results equal bit for bit.
// An exception in a chunk is rethrown after the loop.
template <class Body>
void parallel_for(int64_t chunks, Body&& body) {
  if (chunks == 1) return body(int64_t{0});
  if (chunks > 1)
    detail::run(
        chunks, [](void* context, int64_t i) { (*static_cast<std::remove_reference_t<Body>*>(context))(i); },
        const_cast<void*>(static_cast<const void*>(&body)));
}

// Splits [0, size) into chunks of at most `grain` and calls body(begin, end) for each.
template <class Body>
void parallel_ranges(int64_t size, int64_t grain, Body&& body) {
  if (size <= 0) return;
  parallel_for((size + grain - 1) / grain, [&](int64_t i) {
    const int64_t begin = i * grain;
    body(begin, begin + grain < size ? begin + grain : size);
  });
}

}   // namespace fastconv::cpu
