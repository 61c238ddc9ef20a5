// Activations that no kernel ends with; A: what they are computed in. backward is the gradient at the output
// times the derivative at the input x. Where an infinity times 0 would be NaN, x stops short of it: the results
// are the limits.
#pragma once

#include "math.cuh"

namespace fastconv::cuda {

// A NaN stays.
template <class A>
__device__ __forceinline__ A at_least(A x, A bound) {
  return x < bound ? bound : x;
}
template <class A>
__device__ __forceinline__ A at_most(A x, A bound) {
  return x > bound ? bound : x;
}

template <class A>
struct LeakyRelu {
  A slope;
  __device__ __forceinline__ A forward(A x) const { return x > A(0) ? x : x * slope; }
  __device__ __forceinline__ A backward(A grad, A x) const { return x > A(0) ? grad : grad * slope; }
};

template <class A>
struct Elu {
  A alpha;
  __device__ __forceinline__ A forward(A x) const { return x > A(0) ? x : exponential_minus_1(x) * alpha; }
  __device__ __forceinline__ A backward(A grad, A x) const {
    return x > A(0) ? grad : grad * (exponential(x) * alpha);
  }
};

template <class A>
struct Hardtanh {
  A lowest, highest;
  __device__ __forceinline__ A forward(A x) const { return at_most(at_least(x, lowest), highest); }
  __device__ __forceinline__ A backward(A grad, A x) const { return x > lowest && x < highest ? grad : A(0); }
};

// sigmoid(v) and 1 - sigmoid(v), which may be small.
template <class A>
struct Logistic {
  A value, rest;
  explicit __device__ __forceinline__ Logistic(A v) {
    const A e = exponential(-magnitude(v)), larger = 1 / (1 + e), smaller = e * larger;
    value = v < A(0) ? smaller : larger;
    rest = v < A(0) ? larger : smaller;
  }
  // The derivative of x sigmoid(v), v' = slope.
  __device__ __forceinline__ A swish(A x, A slope) const { return value * (1 + x * rest * slope); }
};

template <class A>
struct Silu {
  static constexpr A kEnd = sizeof(A) == 4 ? 104 : 746;   // past it sigmoid is 0 or 1
  __device__ __forceinline__ A forward(A x) const {
    x = at_least(x, -kEnd);
    return x * Logistic<A>(x).value;
  }
  __device__ __forceinline__ A backward(A grad, A x) const {
    x = at_most(at_least(x, -kEnd), kEnd);
    return grad * Logistic<A>(x).swish(x, A(1));
  }
};

template <class A>
struct Softplus {
  A beta, threshold;
  __device__ __forceinline__ A forward(A x) const {
    const A v = x * beta, y = at_least(v, A(0)) + logarithm_of_1_plus(exponential(-magnitude(v)));
    return v > threshold ? x : y / beta;
  }
  __device__ __forceinline__ A backward(A grad, A x) const {
    const A v = x * beta;
    return v > threshold ? grad : grad * Logistic<A>(v).value;
  }
};

template <class A>
struct Gelu {
  static constexpr A kEnd = sizeof(A) == 4 ? 15 : 39;   // past it the distribution is 0 or 1
  __device__ __forceinline__ A forward(A x) const {
    x = at_least(x, -kEnd);
    return x * normal_distribution(x);
  }
  // The square in two parts: rounded to one, it would move the exponential by x^2 / 2 units in the last place.
  __device__ __forceinline__ A backward(A grad, A x) const {
    constexpr A kDensity = A(0.398942280401432677939946059934);   // at 0: 1 / sqrt(2 pi)
    x = at_most(at_least(x, -kEnd), kEnd);
    const A square = x * x, rest = fused(x, x, -square);
    const A density = kDensity * exponential(square * A(-0.5)) * (1 - rest * A(0.5));
    return grad * (normal_distribution(x) + x * density);
  }
};

// x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3), for (1 + tanh u) / 2 would cancel.
template <class A>
struct GeluTanh {
  static constexpr A kLinear = A(1.5957691216057307118), kCubic = A(0.071354816272600248776);
  static constexpr A kEnd = sizeof(A) == 4 ? 12 : 22;   // past it sigmoid(2 u) is 0 or 1
  __device__ __forceinline__ A forward(A x) const {
    x = at_least(x, -kEnd);
    return x * Logistic<A>(x * (kLinear + kCubic * (x * x))).value;
  }
  __device__ __forceinline__ A backward(A grad, A x) const {
    x = at_most(at_least(x, -kEnd), kEnd);
    const A square = x * x;
    return grad * Logistic<A>(x * (kLinear + kCubic * square)).swish(x, kLinear + 3 * kCubic * square);
  }
};

}   // namespace fastconv::cuda
