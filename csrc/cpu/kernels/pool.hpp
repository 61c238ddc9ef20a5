// Max pooling. The first maximum in row-major window order wins, a NaN wins over everything and the last NaN
// over the others, padding never wins: a window of padding alone gives -inf and index -1.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

// Always three spatial dimensions, outermost first; the missing outer ones have extent 1. stride 0: window o
// holds the cells from floor(o * input / output) to ceil((o + 1) * input / output), at most `kernel`.
struct PoolWindows {
  int64_t input[3], kernel[3], output[3], stride[3], dilation[3], padding[3];
};

// Rows are output rows, counted through all planes (NCHW) or images (channels-last). y and indices point to
// where row `begin` goes. indices: flat position in the input plane; null where nobody asked.
template <class T>
struct PoolKernels {
  void (*max_rows)(const PoolWindows&, const T* x, T* y, int64_t* indices, int64_t begin, int64_t end);
  // stream: past the caches.
  void (*max_rows_channels_last)(const PoolWindows&, int64_t channels, const T* x, T* y, int64_t* indices,
                                 int64_t begin, int64_t end, bool stream);

  // dx = 0, then dx[indices[i]] += grad[i] in order. Returns the first i whose index is outside [0, plane),
  // which writes nothing, or -1.
  int64_t (*scatter)(const T* grad, const int64_t* indices, int64_t outputs, T* dx, int64_t plane);
  // The same for `count` adjacent channels of a channels-last image.
  int64_t (*scatter_channels_last)(const T* grad, const int64_t* indices, int64_t outputs, int64_t channels,
                                   int64_t count, T* dx, int64_t plane);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
void max_rows(const PoolWindows&, const T* x, T* y, int64_t* indices, int64_t begin, int64_t end);
template <class T>
void max_rows_channels_last(const PoolWindows&, int64_t channels, const T* x, T* y, int64_t* indices,
                            int64_t begin, int64_t end, bool stream);
template <class T>
int64_t scatter(const T* grad, const int64_t* indices, int64_t outputs, T* dx, int64_t plane);
template <class T>
int64_t scatter_channels_last(const T* grad, const int64_t* indices, int64_t outputs, int64_t channels,
                              int64_t count, T* dx, int64_t plane);
template <class T>
PoolKernels<T> pool_kernels();
}   // namespace FASTCONV_ISA
#endif

}   // namespace fastconv::cpu
