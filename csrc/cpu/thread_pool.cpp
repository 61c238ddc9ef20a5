#include "thread_pool.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace fastconv::cpu {
namespace {

// How long a thread spins for what it waits for before it sleeps: longer than the glue between two layers,
// much shorter than a time slice. Going to sleep and being woken costs 5 to 50 us.
constexpr std::chrono::microseconds kSpin{40};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until word != value; false when kSpin is over.
bool spin_while(const std::atomic<uint32_t>& word, uint32_t value) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (word.load(std::memory_order_acquire) != value) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// Sleeps while word == value; may return early.
void sleep_while(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void wake(std::atomic<uint32_t>& word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}
static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free);

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

ThreadPool& ThreadPool::instance() {
  static ThreadPool* pool = new ThreadPool;
  return *pool;
}

bool ThreadPool::run(int64_t chunks, int workers, void (*body)(void*, int64_t), void* context) {
  const std::unique_lock<std::mutex> mine(callers_, std::try_to_lock);
  if (!mine.owns_lock()) return false;
  grow(workers);
  body_ = body;
  context_ = context;
  range_count_ = int(std::min<int64_t>({chunks, workers + 1, kMaxRanges}));
  for (int i = 0; i < range_count_; ++i) {
    ranges_[i].next.store(chunks * i / range_count_, std::memory_order_relaxed);
    ranges_[i].end = chunks * (i + 1) / range_count_;
  }
  float_mode_ = FloatMode::current();
  error_ = nullptr;
  seats_.store(workers, std::memory_order_relaxed);
  state_.store(0, std::memory_order_release);   // open
  jobs_.fetch_add(1);   // sequentially consistent, like sleepers_: one of the two sees the other
  if (sleepers_.load() > 0) wake(jobs_, workers);
  take_chunks(0);
  // Closed to newcomers; those inside finish the chunk that they have.
  uint32_t joined = state_.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed;
  while (joined != kClosed) {
    if (!spin_while(state_, joined)) sleep_while(state_, joined);
    joined = state_.load(std::memory_order_acquire);
  }
  if (error_) std::rethrow_exception(error_);
  return true;
}

void ThreadPool::grow(int workers) {
  if (threads_ >= workers || refused_) return;
  // Signals are for the program's own threads: a new one inherits the mask of its creator.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (; threads_ < workers; ++threads_) std::thread([this, seat = threads_ + 1] { work(seat); }).detach();
  } catch (const std::exception&) {   // no thread, or no memory for one
    refused_ = true;                  // those that are there, and the calling one, do the work
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ThreadPool::work(int seat) {
  for (uint32_t seen = 0;;) {
    if (!spin_while(jobs_, seen)) {
      sleepers_.fetch_add(1);
      sleep_while(jobs_, seen);
      sleepers_.fetch_sub(1);
    }
    seen = jobs_.load(std::memory_order_acquire);
    if (!join()) continue;
    {
      const FloatMode scope(float_mode_);
      take_chunks(seat);
    }
    leave();
  }
}

bool ThreadPool::join() {
  uint32_t state = state_.load(std::memory_order_acquire);
  do {
    if ((state & kClosed) || int(state) >= seats_.load(std::memory_order_relaxed)) return false;
  } while (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel));
  return true;
}

void ThreadPool::leave() {
  if (state_.fetch_sub(1, std::memory_order_acq_rel) == (kClosed | 1)) wake(state_, 1);
}

void ThreadPool::take_chunks(int seat) {
  try {
    for (int i = 0; i < range_count_; ++i) {
      Range& range = ranges_[(seat + i) % range_count_];
      for (int64_t c; (c = range.next.fetch_add(1, std::memory_order_relaxed)) < range.end;) body_(context_, c);
    }
  } catch (...) {
    for (int i = 0; i < range_count_; ++i) ranges_[i].next.store(ranges_[i].end, std::memory_order_relaxed);
    const std::lock_guard<std::mutex> lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

}   // namespace fastconv::cpu
