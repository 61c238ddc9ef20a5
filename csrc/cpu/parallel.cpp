#include "parallel.hpp"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace fastconv::cpu {
namespace {

// Cores' worth of time that the control group grants, or 0 where it sets no limit.
int cgroup_quota() {
  double quota = 0, period = 0;
  if (FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    if (std::fscanf(file, "%lf %lf", &quota, &period) != 2) quota = 0;   // "max 100000": no limit
    std::fclose(file);
  } else {
    const auto number = [](const char* path) {
      double value = 0;
      if (FILE* f = std::fopen(path, "r")) {
        if (std::fscanf(f, "%lf", &value) != 1) value = 0;
        std::fclose(f);
      }
      return value;
    };
    quota = number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    period = number("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  }
  return quota > 0 && period > 0 ? std::max(1, int(std::ceil(quota / period))) : 0;
}

int default_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const int count = std::atoi(text);
    if (count > 0) return count;
  }
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : omp_get_num_procs();
  if (const int quota = cgroup_quota()) cores = std::min(cores, quota);
  return std::max(1, cores);
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_threads()};
  return count;
}

std::atomic<bool> forked{false};
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });

// Within its scope a worker flushes denormals exactly as the calling thread does; otherwise the bits of a
// result would depend on who computed which chunk.
class FloatMode {
#if defined(__SSE__)
 public:
  static unsigned current() { return _mm_getcsr(); }
  explicit FloatMode(unsigned callers) : own_(_mm_getcsr()) { _mm_setcsr(callers); }
  ~FloatMode() { _mm_setcsr(own_); }

 private:
  const unsigned own_;
#else
 public:
  static unsigned current() { return 0; }
  explicit FloatMode(unsigned) {}
#endif
};

}   // namespace

int num_threads() { return forked ? 1 : thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int count) {
  if (count < 1)
    throw std::invalid_argument("set_num_threads: the number of threads must be at least 1, got " +
                                std::to_string(count));
  thread_count() = count;
}

namespace detail {

void run(int64_t chunks, void (*body)(void*, int64_t), void* context) {
  const int threads = int(std::min<int64_t>(num_threads(), chunks));
  if (threads == 1 || omp_in_parallel()) {
    for (int64_t i = 0; i < chunks; ++i) body(context, i);
    return;
  }
  std::atomic<int64_t> next{0};
  std::exception_ptr error;
  const unsigned mode = FloatMode::current();
#pragma omp parallel num_threads(threads)
  {
    const FloatMode scope(mode);
    try {
      for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) body(context, i);
    } catch (...) {
      next = chunks;
#pragma omp critical(fastconv_error)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}   // namespace detail
}   // namespace fastconv::cpu
