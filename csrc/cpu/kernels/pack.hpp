// Rearranging data for the register tiles: transposes and clipped copies.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fastconv::cpu {

// A piece of a packed row: `length` elements from source + `from`, `step` apart, or zeros where from < 0.
struct Segment {
  ptrdiff_t to, from;
  int64_t length;
};

template <class T>
struct PackKernels {
  // dst[j * dst_stride + i] = src[i * src_stride + j] for i < rows, j < columns.
  void (*transpose)(const T* src, ptrdiff_t src_stride, T* dst, ptrdiff_t dst_stride, int64_t rows,
                    int64_t columns);
  // The same with row j of the result at dst + dst_rows[j].
  void (*transpose_rows)(const T* src, ptrdiff_t src_stride, T* dst, const ptrdiff_t* dst_rows, int64_t rows,
                         int64_t columns);
  // dst[i * dst_stride + j] = src[i * src_stride + j] for j < columns, zero for columns <= j < width.
  void (*copy)(const T* src, ptrdiff_t src_stride, T* dst, ptrdiff_t dst_stride, int64_t rows, int64_t columns,
               int64_t width);
  // dst[i * dst_stride + j] = rows[i][offset + j] for i < count, j < columns.
  void (*copy_rows)(const T* const* rows, ptrdiff_t offset, T* dst, ptrdiff_t dst_stride, int64_t count,
                    int64_t columns);
  // For each of `rows` rows (src and dst advance by their strides) every segment in turn.
  void (*gather)(const T* src, ptrdiff_t src_stride, T* dst, ptrdiff_t dst_stride, int64_t rows,
                 const Segment* segments, int64_t segment_count, ptrdiff_t step);
  // sum[j] += src[i * src_stride + j] over i in order.
  void (*add_rows)(const T* src, ptrdiff_t src_stride, int64_t rows, int64_t columns, T* sum);
  // The sum of n consecutive elements, in a fixed order.
  T (*sum)(const T* src, int64_t n);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
PackKernels<T> pack_kernels();
}
#endif

}   // namespace fastconv::cpu
