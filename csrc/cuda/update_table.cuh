// Many arrays in one launch: a table of their addresses, and which part of which array a block takes. The table
// travels as an argument of the kernel; copying one to the device would wait for the stream.
#pragma once

#include "core/backend.hpp"
#include "launch.cuh"
#include "math.cuh"
#include "types.cuh"

namespace fastconv::cuda {

constexpr int kUpdateThreads = 256, kUnrolled = 4;
constexpr int kChunk = 4 * kUnrolled * kUpdateThreads;   // elements a block
constexpr int kMostArrays =
    64;   // with the coefficients below 4096 bytes, the arguments that every driver takes

struct Entry {
  void *parameter, *state[kMaxState];
  const void* grad;
  int64_t count, first_chunk;
};
struct Table {
  Entry entries[kMostArrays];
  int arrays;
};

// The part of an array that a block works on.
struct Slice {
  int array;
  int64_t begin, end;
};
__device__ __forceinline__ Slice slice_of(const Table& table, int64_t chunk) {
  int low = 0, high = table.arrays;   // the last array whose chunks begin at or before this one
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    table.entries[middle].first_chunk <= chunk ? low = middle : high = middle;
  }
  const int64_t begin = (chunk - table.entries[low].first_chunk) * kChunk;
  return {low, begin, min(begin + kChunk, table.entries[low].count)};
}

template <class A>
__device__ __forceinline__ A decayed(A weight_decay, A p, A g) {
  return weight_decay != A(0) ? g + p * weight_decay : g;   // 0 * inf would be NaN
}

template <class A>
__device__ __forceinline__ void move_moments(A gain1, A beta2, A gain2, A g, A* s) {
  s[0] += (g - s[0]) * gain1;
  s[1] = s[1] * beta2 + g * g * gain2;
}

// Tables of at most kMostArrays arrays, without the empty ones; run(table, chunks) for each.
template <class Items, class Fill, class Run>
void with_tables(const Items& items, const Fill& fill, const Run& run) {
  for (size_t next = 0; next < items.size();) {
    Table table{};
    int64_t chunks = 0;
    for (; next < items.size() && table.arrays < kMostArrays; ++next) {
      Entry& entry = table.entries[table.arrays];
      entry = fill(items[next]);
      if (entry.count == 0) continue;
      entry.first_chunk = chunks;
      chunks += ceil_div(entry.count, kChunk);
      ++table.arrays;
    }
    if (table.arrays > 0) run(table, chunks);
  }
}

inline Entry entry_of(const Update& update) {
  Entry entry{};
  entry.parameter = update.parameter.data;
  entry.grad = update.grad.data;
  for (int k = 0; k < kMaxState; ++k) entry.state[k] = update.state[k].data;
  entry.count = update.parameter.elements();
  return entry;
}

}   // namespace fastconv::cuda
