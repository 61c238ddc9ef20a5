// Means over windows, and their gradients: a cell's is the sum of what the windows that hold it pass on. Sums
// run along each row of a window or over its rows first, so that an error grows with their extent, not their
// area.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

struct Span {
  int64_t begin, end;
};

// Always three spatial dimensions, outermost first; the missing outer ones have extent 1.
template <class T>
struct MeanWindows {
  int64_t input[3], output[3];
  const Span* cells[3];     // of each window: the input cells in it, one at least
  const Span* windows[3];   // of each input cell: the windows that hold it; backward only
  const T* counts[3];       // of each window: the factors of its divisor; readable for a vector beyond the last
  T divisor;                // of all windows; 0 where they differ
  // Along a row, where windows are alike and vectors of them pay; kernel 0 elsewhere.
  int64_t kernel, stride, padding;
};

// The longest kernel along a row, and strides up to 2, whose windows are summed up as vectors.
constexpr int64_t kEvenKernel = 32;

// What alike_backward keeps: rows of at most so many gradients, each held by the windows of at most so many
// rows.
constexpr int64_t kAlikeWidth = 256, kAlikeRows = 8;

// Rows are counted through all planes (NCHW) or images (channels last); y and dx point to where row `begin`
// goes. stream: past the caches.
template <class T>
struct AveragePoolKernels {
  void (*rows)(const MeanWindows<T>&, const T* x, T* y, int64_t begin, int64_t end, bool stream);
  void (*rows_backward)(const MeanWindows<T>&, const T* grad, T* dx, int64_t begin, int64_t end, bool stream);
  // Narrow rows in windows of two columns each, from the first on.
  void (*pairs)(const MeanWindows<T>&, const T* x, T* y, int64_t begin, int64_t end, bool stream);
  void (*pairs_backward)(const MeanWindows<T>&, const T* grad, T* dx, int64_t begin, int64_t end, bool stream);
  // Planes, not volumes, whose windows along a row are summed up as vectors, all of the same divisor.
  void (*alike_backward)(const MeanWindows<T>&, const T* grad, T* dx, int64_t begin, int64_t end, bool stream);
  // `count` adjacent ones of `channels` channels; not past the caches unless they are all.
  void (*rows_channels_last)(const MeanWindows<T>&, int64_t channels, int64_t count, const T* x, T* y,
                             int64_t begin, int64_t end, bool stream);
  void (*rows_channels_last_backward)(const MeanWindows<T>&, int64_t channels, const T* grad, T* dx,
                                      int64_t begin, int64_t end, bool stream);
  // One window that is the whole plane of `cells`.
  void (*planes)(const T* x, int64_t cells, T divisor, T* y, int64_t planes);
  void (*planes_backward)(const T* grad, int64_t cells, T divisor, T* dx, int64_t planes, bool stream);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
void average_rows(const MeanWindows<T>&, const T* x, T* y, int64_t begin, int64_t end, bool stream);
template <class T>
void average_rows_backward(const MeanWindows<T>&, const T* grad, T* dx, int64_t begin, int64_t end,
                           bool stream);
template <class T>
void average_pairs(const MeanWindows<T>&, const T* x, T* y, int64_t begin, int64_t end, bool stream);
template <class T>
void average_pairs_backward(const MeanWindows<T>&, const T* grad, T* dx, int64_t begin, int64_t end,
                            bool stream);
template <class T>
void average_alike_backward(const MeanWindows<T>&, const T* grad, T* dx, int64_t begin, int64_t end,
                            bool stream);
template <class T>
void average_rows_channels_last(const MeanWindows<T>&, int64_t channels, int64_t count, const T* x, T* y,
                                int64_t begin, int64_t end, bool stream);
template <class T>
void average_rows_channels_last_backward(const MeanWindows<T>&, int64_t channels, const T* grad, T* dx,
                                         int64_t begin, int64_t end, bool stream);
template <class T>
void average_planes(const T* x, int64_t cells, T divisor, T* y, int64_t planes);
template <class T>
void average_planes_backward(const T* grad, int64_t cells, T divisor, T* dx, int64_t planes, bool stream);
template <class T>
AveragePoolKernels<T> average_pool_kernels();
}   // namespace FASTCONV_ISA
#endif

}   // namespace fastconv::cpu
