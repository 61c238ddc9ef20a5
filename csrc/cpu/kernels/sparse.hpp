// Gradients of a convolution from a sparse gradient at its result: behind a max pooling only one cell of each
// window is not zero, and behind a ReLU many of those are zero too.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fastconv::cpu {

// Cells of one plane of the result. The input that cell i saw begins `offsets[i]` elements into an image of
// pixels with their channels side by side; it is `lines` stretches of `vectors` vectors, `line` elements apart.
template <class T>
struct SparseCells {
  const int32_t* offsets;
  const T* values;
  int64_t count;
  int64_t lines, vectors;
  ptrdiff_t line;
};

template <class T>
struct SparseKernels {
  // Which of `count` gradients are not zero: indices[i] is a position in [0, plane), places[position] its
  // offset. Returns how many there are, or -1 where a position is outside.
  int64_t (*find)(const T* grad, const int64_t* indices, int64_t count, const int32_t* places, int64_t plane,
                  int32_t* offsets, T* values);
  // sums[r][j] += sum over cells i: values[i] * image[offsets[i] + r * line + j], j < vectors * lanes.
  void (*gather)(const SparseCells<T>&, const T* image, T* sums);
  // image[offsets[i] + r * line + j] += values[i] * weight[r][j], of each line only j < width where that
  // matters: the weight is zero behind it.
  void (*scatter)(const SparseCells<T>&, const T* weight, int64_t width, T* image);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
SparseKernels<T> sparse_kernels();
}
#endif

}   // namespace fastconv::cpu
