// The transforms of Winograd's minimal filtering F(m x m, 3 x 3), m = 2 or 4: a tile of m x m outputs of a
// 3x3 correlation from (m+2)^2 products a channel (Winograd 1980; Lavin, Gray 2016), and of the gradient of its
// weight, F(3 x 3, m x m). Channels lie along the vectors.
//
// Each is L X L^T with a small matrix L that follows from the points of interpolation:
// 0, 1, -1, infinity for m = 2; 0, +-sqrt(1/2), +-sqrt(2), infinity for m = 4, where they cost half the
// rounding error that the integer points 0, +-1, +-2 do.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fastconv::cpu {

// Into the products' domain: cells[i] is where the channels of cell i of the matrix begin, row by row; entry q
// of the result goes to to + q * stride.
template <class T>
using WinogradTransform = void (*)(const T* const* cells, int64_t channels, T* to, ptrdiff_t stride);

// Out of it: entry q of the products is read at from + q * stride; cells of null are left out. With a bias
// (channels,) and ReLU where asked for.
template <class T>
using WinogradInverse = void (*)(const T* from, ptrdiff_t stride, int64_t channels, T* const* cells,
                                 const T* bias, bool relu);

template <class T>
struct WinogradKernels {
  WinogradTransform<T> input;           // (m+2, m+2) cells
  WinogradTransform<T> weight;          // (3, 3)
  WinogradTransform<T> gradient;        // (m, m), of the output
  WinogradInverse<T> output;            // (m, m)
  WinogradInverse<T> weight_gradient;   // (3, 3)
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
WinogradKernels<T> winograd_kernels(int m);
}
#endif

}   // namespace fastconv::cpu
