// What average pooling of planes, and its gradient, share: a line of sums, and the place of what it serves.
#pragma once

#include "average_pool.hpp"
#include "lanes.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int64_t kResults = 512;                               // of a row at a time
constexpr int64_t kLine = 2 * kResults + 2 * kEvenKernel;       // cells of one line
constexpr int64_t kAhead = 512;                                 // elements fetched ahead
constexpr int64_t kBesides = 4 * 64 / int64_t(sizeof(float));   // vectors run over the end

template <class T>
struct Lines {
  static constexpr int64_t kCells = (16 << 10) / int64_t(sizeof(T));
  static_assert(kCells >= kLine);
  alignas(kVectorBytes) T cell[kCells + kBesides];
};

FASTCONV_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
FASTCONV_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

template <class T>
FASTCONV_INLINE Vec<T> load_up_to(const T* p, int64_t count) {
  return count >= kLanes<T> ? load(p) : load_partial(p, int(count));
}
// `count` lanes, or all of them where what is behind, up to `room`, is written later.
template <class T>
FASTCONV_INLINE void store_up_to(T* p, Vec<T> v, int64_t count, int64_t room) {
  room >= kLanes<T> ? store(p, v) : store_partial(p, v, int(count));
}
template <class T>
FASTCONV_INLINE void clear(T* p, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = 0;
}

// The sum of consecutive elements, of many in blocks that start from zero.
template <class T>
__attribute__((noinline)) T sum_of_many(const T* x, int64_t count) {
  constexpr int n = kLanes<T>;
  Vec<T> total = zero<T>();
  while (count > 0) {
    const int64_t block = least(count, 128 * n);
    Vec<T> sum = zero<T>();
    for (int64_t i = 0; i < block; i += n) sum += load_up_to(x + i, block - i);
    total += sum;
    x += block;
    count -= block;
  }
  return reduce_add<T>(total);
}
template <class T>
FASTCONV_INLINE T sum_of(const T* x, int64_t count) {
  if (count >= 2 * kLanes<T>) return sum_of_many(x, count);
  T sum = x[0];
  for (int64_t i = 1; i < count; ++i) sum += x[i];
  return sum;
}

// A row of results: its plane, and where it lies there.
struct Place {
  int64_t plane, outer, inner;
  const int64_t* extents;

  Place(int64_t row, const int64_t (&of)[3])
      : plane(row / of[1] / of[0]), outer(row / of[1] % of[0]), inner(row % of[1]), extents(of) {}
  FASTCONV_INLINE void next() {
    if (++inner < extents[1]) return;
    inner = 0;
    if (++outer < extents[0]) return;
    outer = 0;
    ++plane;
  }
};

// Results [first, first + count) of a row, and the columns [begin, end) of the other side that they need; those
// outside are zeros.
struct Piece {
  int64_t first, count, begin, end;
};

}   // namespace
}   // namespace fastconv::cpu::FASTCONV_ISA
