#include "parallel.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "thread_pool.hpp"

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
    const long count = std::strtol(text, nullptr, 10);   // of a list "4,2" the first: the outermost level
    if (count > 0) return int(std::min<long>(count, kMaxThreads));
  }
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  if (const int quota = cgroup_quota()) cores = std::min(cores, quota);
  return std::max(1, cores);
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_threads()};
  return count;
}

std::atomic<bool> forked{false};
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });

// Set while this thread runs a chunk: what a chunk calls runs serially.
thread_local bool inside = false;

}   // namespace

int num_threads() { return forked ? 1 : thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int count) {
  if (count < 1 || count > kMaxThreads)
    throw std::invalid_argument("set_num_threads: count must be from 1 to " + std::to_string(kMaxThreads) +
                                ", got " + std::to_string(count));
  thread_count() = count;
}

namespace detail {

void run(int64_t chunks, void (*body)(void*, int64_t), void* context) {
  struct Job {
    void (*body)(void*, int64_t);
    void* context;
  } job = {body, context};
  const auto guarded = [](void* given, int64_t i) {
    struct Inside {
      const bool before = inside;
      Inside() { inside = true; }
      ~Inside() { inside = before; }
    } scope;
    static_cast<Job*>(given)->body(static_cast<Job*>(given)->context, i);
  };
  const int threads = int(std::min<int64_t>(num_threads(), chunks));
  if (threads > 1 && !inside && ThreadPool::instance().run(chunks, threads - 1, guarded, &job)) return;
  for (int64_t i = 0; i < chunks; ++i) body(context, i);
}

}   // namespace detail
}   // namespace fastconv::cpu
