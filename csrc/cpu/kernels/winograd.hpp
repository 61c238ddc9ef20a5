// The transforms of Winograd's minimal filtering F(m x m, r x r): a tile of m x m outputs of an r x r
// correlation from (m+r-1)^2 products a channel (Winograd 1980; Lavin, Gray 2016), and of the gradient of its
// weight, F(r x r, m x m). Channels lie along the vectors, or the images of each channel.
//
// Each is L X L^T with a small matrix L that follows from the points of interpolation: 0, 1, -1, infinity for
// tiles of 4 cells; +-1/2, +-5/4, infinity for tiles of 5; 0, +-sqrt(1/2), +-sqrt(2), infinity for tiles of 6.
// The last two cost half the rounding error that the points 0, +-1, 2 (and -2) do.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fastconv::cpu {

// Into the products' domain: cells[i] is where the channels of cell i of the matrix begin, row by row; entry q
// of the result goes to to + q * stride, a vector of channels `pitch` after the other.
template <class T>
using WinogradTransform = void (*)(const T* const* cells, int64_t channels, T* to, ptrdiff_t stride,
                                   ptrdiff_t pitch);

// Out of it: entry q of the products is read at from + q * stride; cells of null are left out. With a bias
// (channels,) and ReLU where asked for.
template <class T>
using WinogradInverse = void (*)(const T* from, ptrdiff_t stride, int64_t channels, T* const* cells,
                                 const T* bias, bool relu);

template <class T>
struct WinogradKernels {
  WinogradTransform<T> input;           // (m+r-1, m+r-1) cells
  WinogradTransform<T> weight;          // (r, r)
  WinogradTransform<T> gradient;        // (m, m), of the output
  WinogradInverse<T> output;            // (m, m)
  WinogradInverse<T> weight_gradient;   // (r, r)
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T, int m, int r>
WinogradKernels<T> winograd_kernels();
}
#endif

}   // namespace fastconv::cpu
