// Max pooling with argmax, and its backward from the argmax.
#pragma once

#include "../core/backend.hpp"
#include "kernels/pool.hpp"

namespace fastconv::cpu {

// indices lie as y does; y may lie differently from x.
void max_pool(const PoolProblem&, const View& x, const View& y, const View* indices);

// Some output rows of planes or, channels last, of images, from the input rows that they read: what
// `windows` says.
template <class T>
struct PoolRows {
  PoolWindows windows;
  bool last;   // channels last, all arrays
  int64_t images, channels;
  int64_t pitch;   // pixels from one plane's (image's) first row to the next's, in y and indices
  bool stream;     // past the caches
  const T* x;
  T* y;
  int64_t* indices;   // or null
};
template <class T>
void max_pool_rows(const PoolRows<T>&);
PoolWindows windows_of(const PoolProblem&);

// std::invalid_argument on an index outside the input plane. Needs only batch, channels, input and output.
void max_pool_backward(const PoolProblem&, const View& grad, const View& indices, const View& dx);

}   // namespace fastconv::cpu
