// Small helpers to cut a problem into chunks that depend on the problem alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "parallel.hpp"

namespace fastconv::cpu {

// Work below this many flops (5 us or so at full speed) is not worth handing to another thread.
constexpr double kChunkFlops = 1e6;

// Enough chunks to keep up to this many threads evenly busy.
constexpr int64_t kChunks = 16;

// Chunks of work that pays for them, where more cost little.
constexpr int64_t kFineChunks = 32;

// Larger results are written past the caches: what comes first would be gone before it is read. A group of
// cores shares about this much.
constexpr int64_t kCachedBytes = int64_t{32} << 20;

constexpr int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return div_up(a, b) * b; }

// [0, size) in `count` nearly equal parts: where part i begins.
constexpr int64_t part_begin(int64_t size, int64_t count, int64_t i) { return size * i / count; }

// Calls body(begin, end) for bundles of neighbouring items that are worth a chunk, in the calling thread where
// all of them together are not. What an item computes does not depend on its bundle.
template <class Body>
void parallel_bundles(int64_t items, double flops_each, Body&& body) {
  if (items <= 0) return;
  const double worth = kChunkFlops / std::max(flops_each, 1.0);
  const int64_t bundle = worth >= double(items) ? items : std::max<int64_t>(1, int64_t(worth));
  parallel_ranges(items, bundle, body);
}
template <class Body>
void parallel_items(int64_t items, double flops_each, Body&& body) {
  parallel_bundles(items, flops_each, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) body(item);
  });
}

// Moving an element costs about as much time as this many flops.
constexpr double kMoveFlops = 16;

// Steps of a reduction that are summed up, from zero, before they are added to what came before: rounding
// errors grow with the root of their number. Blocks of GemmKernels::depth are as short.
constexpr int64_t kSummed = 128;

// Equal blocks of at most about `depth` steps.
inline int64_t depth_blocks(int64_t steps, int64_t depth) {
  return std::max<int64_t>(1, div_up(steps, depth + depth / 4));
}

template <class T>
std::vector<const T*> row_pointers(const T* base, int64_t rows, ptrdiff_t stride) {
  std::vector<const T*> pointers(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) pointers[size_t(i)] = base + i * stride;
  return pointers;
}

}   // namespace fastconv::cpu
