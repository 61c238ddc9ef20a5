// The register tiles that convolution and linear layers are made of.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fastconv::cpu {

// Widest tile in vectors, in every instruction set's kernels.
constexpr int kMaxVectors = 4;
// Most steps of a block: GemmKernels::depth and a quarter, rounded up.
constexpr int kDeepest = 128 + 128 / 4 + 16;

// A stretch of the reduction during which the rows of A advance evenly.
template <class T>
struct Run {
  const T* const* rows;   // one pointer a row of C
  ptrdiff_t offset;       // added to each
  int64_t first;          // step of B that the stretch begins at
  int64_t length;         // steps
};

// C[m][j] = C or bias + sum over runs, p:  rows[m][offset + p * step] * B[first + p][j],  0 <= j < columns.
// B is packed: consecutive steps lie ceil(columns / lanes) * lanes apart, the tail filled with zeros.
template <class T>
struct PanelArgs {
  int64_t rows;
  int64_t columns;   // at most vectors * lanes of the kernel table
  const Run<T>* runs;
  int64_t run_count;
  ptrdiff_t step;
  const T* b;
  T* c;
  const ptrdiff_t* c_offsets;   // row m starts at c + c_offsets[m]; null: at c + m * c_stride
  bool accumulate;              // add to C; else to the bias, or zero
  const T* column_bias;         // (columns,) or null
  const T* row_bias;            // (rows,) or null
  bool relu;                    // on the result
  // Or null. Else the rows of A lie evenly, row m at even + m * a_stride, and Run::rows is not read.
  const T* even;
  ptrdiff_t a_stride, c_stride;
  bool stream;   // past the caches: C is not read, and its rows begin on lines of the cache
};

// The same with B read in place from an image whose rows lie contiguous: step l of vector v reads
// x[x_offsets[v] + offsets[l] ...]. Vectors may read up to one vector past the last element that counts.
template <class T>
struct PlanarArgs {
  int64_t rows;              // output channels
  const T* const* weights;   // row k: `steps` contiguous values
  int64_t steps;
  const int32_t* offsets;
  const T* x;
  int vectors;   // at most kMaxVectors
  ptrdiff_t x_offsets[kMaxVectors];
  ptrdiff_t c_offsets[kMaxVectors];
  int lanes[kMaxVectors];   // how many of each vector's lanes are stored
  T* c;
  ptrdiff_t c_stride;   // between rows
  bool accumulate;
  const T* row_bias;
  bool relu;
};

// C[i][j] = C, or zero, + sum over runs, p: a[i][a_offset + p] * b[j][b_offset + p]; the reduction runs along
// the vectors.
struct DotRun {
  ptrdiff_t a_offset, b_offset;
  int64_t length;
};
template <class T>
struct DotArgs {
  int64_t rows, columns;
  const T* const* a;
  const T* const* b;
  const DotRun* runs;
  int64_t run_count;
  T* c;
  ptrdiff_t c_stride;
  bool accumulate;
};

template <class T>
using DotKernel = void (*)(const DotArgs<T>&);

template <class T>
struct GemmKernels {
  int lanes;     // elements of a vector
  int vectors;   // vectors of the widest panel
  // Steps of the reduction between two visits to C: a panel of so many is at most 32 KB, two thirds of L1
  // with AVX-512, half of it elsewhere. Loading and storing C then costs about 3 %.
  int depth;
  // Narrow panels to share a pass over what they read together, which would come from beyond L2 for each of
  // them; rows of A are copied side by side for them. 1: panels are wide.
  int bundle;
  void (*panel)(const PanelArgs<T>&);
  void (*planar)(const PlanarArgs<T>&);
  DotKernel<T> dot;
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
GemmKernels<T> gemm_kernels();
template <class T>
DotKernel<T> dot_kernel();   // dot.cpp
}   // namespace FASTCONV_ISA
#endif

}   // namespace fastconv::cpu
