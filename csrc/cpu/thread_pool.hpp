// The threads behind parallel_for.
//
// Not OpenMP, whose regions end in a barrier for the whole team: a thread that the system has not scheduled
// yet, because another process has its core, holds everybody up for a time slice, and the others spin meanwhile
// and so lose their own turn. Here the calling thread starts at once and waits only for workers that have
// joined; a worker that comes late finds the work done. Beside a busy process a call degrades towards its
// serial time and no further.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

namespace fastconv::cpu {

class ThreadPool {
 public:
  static ThreadPool& instance();   // never destroyed: its threads sleep until the process ends

  // Calls body(context, i) for every i in [0, chunks), on the calling thread and at most `workers` others.
  // Each begins in a range of its own, the same in every call with as many chunks, and then helps in the
  // others': what a thread wrote it mostly finds in its own caches when the next call reads it. False, with
  // nothing done, where another call has the pool.
  bool run(int64_t chunks, int workers, void (*body)(void*, int64_t), void* context);

 private:
  void grow(int workers);
  void work(int seat);   // a worker's life
  bool join();
  void leave();
  void take_chunks(int seat);

  std::mutex callers_;   // held by the one call that has the pool
  int threads_ = 0;
  bool refused_ = false;   // the system grants no more threads

  // The job. Written only while nobody has joined and nobody can: see state_.
  void (*body_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  unsigned float_mode_ = 0;
  std::exception_ptr error_;
  std::mutex error_mutex_;
  struct alignas(64) Range {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  static constexpr int kMaxRanges = 64;   // threads beyond share
  Range ranges_[kMaxRanges];
  int range_count_ = 0;

  // How many workers have joined, and how many more may; kClosed when the calling thread found no chunk left.
  alignas(64) std::atomic<uint32_t> state_{kClosed};
  std::atomic<int> seats_{0};
  // Counts jobs. Workers spin on it for a moment, then sleep on it.
  alignas(64) std::atomic<uint32_t> jobs_{0};
  std::atomic<int> sleepers_{0};

  static constexpr uint32_t kClosed = 1u << 31;
};

}   // namespace fastconv::cpu
