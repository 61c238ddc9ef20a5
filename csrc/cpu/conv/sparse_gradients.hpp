// The gradients of a convolution whose result went through max pooling, from the cells that the windows chose.
#pragma once

#include "correlation.hpp"

namespace fastconv::cpu {

// An array (N, C, cells) as it lies.
template <class E>
struct Planes {
  E* data;
  MemoryFormat format;
};

template <class T>
struct SparseGradientData {
  int64_t cells;                   // of a pooled plane
  Planes<const T> grad;            // at the pooled map
  Planes<const int64_t> indices;   // into the planes of the convolution's result
  Planes<const T> x;               // read for dw
  const T* weight;                 // read for dx
  Planes<T> dx;                    // null where it is not wanted
  T* dw;                           // or null
  T* db;                           // null too where dw is
};

// Whether `cells` a plane are few enough for this gradient to be faster than that of the whole plane, by the
// problem alone: some of them are zero, but how many is not looked at.
bool sparse_gradient_pays(const Correlation&, int64_t cells, Pass, Algorithm);

// False, and nothing that counts, where an index lies outside its plane.
template <class T>
bool sparse_gradients(const Correlation&, const SparseGradientData<T>&);

}   // namespace fastconv::cpu
