// Vectors of a run whose last one may be partial.
#pragma once

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

template <class T>
FASTCONV_INLINE Vec<T> take(const T* p, int count) {
  return count == kLanes<T> ? load(p) : load_partial(p, count);
}

template <bool kStream, class T>
FASTCONV_INLINE void put(T* p, Vec<T> v, int count) {
  if (count != kLanes<T>) return store_partial(p, v, count);
  if constexpr (kStream) return stream<T>(p, v);
  store(p, v);
}

// Elements before the first whose vector is aligned, of n at most.
template <class T>
FASTCONV_INLINE int to_aligned(const T* p, int64_t n) {
  const int past = int(reinterpret_cast<uintptr_t>(p) % kVectorBytes / sizeof(T));
  const int count = past ? kLanes<T> - past : 0;
  return count < n ? count : int(n);
}

}   // namespace fastconv::cpu::FASTCONV_ISA
