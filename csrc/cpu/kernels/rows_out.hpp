// Where computed rows go one after the other: to memory at once or, past the caches, by way of a buffer that is
// written in whole vectors wherever it begins.
#pragma once

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

template <class T>
class RowsOut {
 public:
  static constexpr int64_t kHeld = (16 << 10) / int64_t(sizeof(T));
  // As soon as so much is there it goes: few enough stores to be under way while what follows is computed.
  static constexpr int64_t kBurst = (2 << 10) / int64_t(sizeof(T));

  RowsOut(T* to, bool stream) : to_(to), stream_(stream) {
    if (!stream) return;
    first_ = used_ = int64_t(uintptr_t(to) % kVectorBytes / sizeof(T));
    to_ -= first_;
  }

  // Room for the next `count` elements, at most kHeld - kLanes; to be filled before the next call.
  T* next(int64_t count) {
    if (!stream_) return (to_ += count) - count;
    if (used_ >= kBurst || used_ + count > kHeld) flush();
    return held_ + (used_ += count) - count;
  }

  void finish() {
    if (!stream_) return;
    flush();
    for (int64_t i = first_; i < used_; ++i) to_[i] = held_[i];
    end_stream();
  }

 private:
  // Whole vectors go, what is left of the last one comes to the front.
  void flush() {
    constexpr int64_t n = kLanes<T>;
    const int64_t whole = used_ / n * n;
    if (whole == 0) return;
    int64_t i = 0;
    if (first_ > 0) {
      for (i = first_; i < n; ++i) to_[i] = held_[i];
      first_ = 0;
    }
    for (; i < whole; i += n) stream(to_ + i, load(held_ + i));
    to_ += whole;
    used_ -= whole;
    for (i = 0; i < used_; ++i) held_[i] = held_[whole + i];
  }

  T* to_;   // of held_[0]
  const bool stream_;
  int64_t first_ = 0, used_ = 0;   // what is held and not yet written: [first_, used_)
  alignas(kVectorBytes) T held_[kHeld];
};

}   // namespace fastconv::cpu::FASTCONV_ISA
