// One output plane, and the kernels that walk down planes (depthwise_walk.cpp).
#pragma once

#include "depthwise.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

// What one output plane is made of, and where it lies.
template <class T>
struct Plane {
  const T *in, *weights[2];
  T bias, *out;

  FASTCONV_INLINE Plane(const PlaneForward<T>& a, int64_t plane) {
    const int64_t k = plane % (a.groups * a.outputs);
    in = a.in + plane / a.outputs * a.inputs * a.h.in * a.w[0].in;
    for (int i = 0; i < a.residues; ++i) weights[i] = a.weights[i] + k * a.inputs * a.w[i].taps * a.h.taps;
    bias = a.bias ? a.bias[k] : T(0);
    out = a.out + plane * a.h.extent * a.w[0].extent;
  }
};

// Whether the walks know the kernel; then they have computed what plane_forward, plane_pair and plane_gradient
// (depthwise.hpp) should.
template <class T>
bool walk_forward(const PlaneForward<T>&, int64_t first, int64_t last, int64_t begin, int64_t end);
template <class T>
bool walk_pair(const PlaneForward<T>& even, const PlaneForward<T>& odd, int64_t first, int64_t last,
               int64_t begin, int64_t end);
template <class T>
bool walk_gradient(const PlaneGradient<T>&, int64_t begin, int64_t end);

}   // namespace fastconv::cpu::FASTCONV_ISA
