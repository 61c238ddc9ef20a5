#include "activation.hpp"

#include <cstring>

#include "isa.hpp"
#include "parallel.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {
namespace {

void copy(const View& from, const View& to) {
  if (from.data != to.data && from.elements() > 0)
    std::memmove(to.data, from.data, size_t(from.elements() * itemsize(from.dtype)));
}

template <class T>
const CurveKernel<T>& curve_kernel(Activation kind) {
  const ActivationKernels<T>& table = kernels<T>().activation;
  if (kind == Activation::relu) return table.of_relu;
  return kind == Activation::sigmoid ? table.of_sigmoid : table.of_tanh;
}

template <class T>
const CurveKernel<T>& curve_kernel(Curve kind) {
  const ActivationKernels<T>& table = kernels<T>().activation;
  switch (kind) {
    case Curve::leaky_relu:
      return table.leaky_relu;
    case Curve::elu:
      return table.elu;
    case Curve::hardtanh:
      return table.hardtanh;
    case Curve::silu:
      return table.silu;
    case Curve::softplus:
      return table.softplus;
    case Curve::gelu:
      return table.gelu;
    case Curve::gelu_tanh:
      break;
  }
  return table.gelu_tanh;
}

// Elements a chunk: 4 to 20 us each. What moves memory takes more of them than what computes.
constexpr int64_t kMovingGrain = 32768, kComputingGrain = 16384;
int64_t grain(Curve kind) {
  return kind == Curve::leaky_relu || kind == Curve::hardtanh ? kMovingGrain : kComputingGrain;
}

// Whether a result goes past the caches: it and the inputs exceed them. Chunks begin where lines do.
bool streams(const View& result, int inputs) {
  return (inputs + 1) * result.elements() * itemsize(result.dtype) > kCachedBytes &&
         reinterpret_cast<uintptr_t>(result.data) % 64 == 0;
}

template <class T>
void run(const CurveKernel<T>& kernel, int64_t grain, double a, double b, const View& x, const View& y) {
  const bool stream = streams(y, 1);
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  parallel_ranges(x.elements(), grain, [&](int64_t begin, int64_t end) {
    kernel.forward(T(a), T(b), from + begin, to + begin, end - begin, stream);
  });
}

// kept: x or, of what a convolution may end with, y.
template <class T>
void run_backward(const CurveKernel<T>& kernel, int64_t grain, double a, double b, const View& grad,
                  const View& kept, const View& dx) {
  const bool stream = streams(dx, 2);
  const T *g = grad.as<const T>(), *from = kept.as<const T>();
  T* to = dx.as<T>();
  parallel_ranges(grad.elements(), grain, [&](int64_t begin, int64_t end) {
    kernel.backward(T(a), T(b), g + begin, from + begin, to + begin, end - begin, stream);
  });
}

}   // namespace

template <class T>
ActivationKernel<T> activation_kernel(Activation kind) {
  const ActivationKernels<T>& table = kernels<T>().activation;
  switch (kind) {
    case Activation::relu:
      return table.relu;
    case Activation::sigmoid:
      return table.sigmoid;
    case Activation::tanh:
      return table.tanh;
    case Activation::none:
      break;
  }
  return nullptr;
}
template ActivationKernel<float> activation_kernel<float>(Activation);
template ActivationKernel<double> activation_kernel<double>(Activation);

void activation(Activation kind, const View& x, const View& y) {
  if (kind == Activation::none) return copy(x, y);
  const int64_t grain = kind == Activation::relu ? kMovingGrain : kComputingGrain;
  x.dtype == DType::float32 ? run(curve_kernel<float>(kind), grain, 0, 0, x, y)
                            : run(curve_kernel<double>(kind), grain, 0, 0, x, y);
}

void activation_backward(Activation kind, const View& grad, const View& y, const View& dx) {
  if (kind == Activation::none) return copy(grad, dx);
  grad.dtype == DType::float32 ? run_backward(curve_kernel<float>(kind), kMovingGrain, 0, 0, grad, y, dx)
                               : run_backward(curve_kernel<double>(kind), kMovingGrain, 0, 0, grad, y, dx);
}

void curve(const CurveParameters& p, const View& x, const View& y) {
  x.dtype == DType::float32 ? run(curve_kernel<float>(p.kind), grain(p.kind), p.a, p.b, x, y)
                            : run(curve_kernel<double>(p.kind), grain(p.kind), p.a, p.b, x, y);
}

void curve_backward(const CurveParameters& p, const View& grad, const View& x, const View& dx) {
  grad.dtype == DType::float32
      ? run_backward(curve_kernel<float>(p.kind), grain(p.kind), p.a, p.b, grad, x, dx)
      : run_backward(curve_kernel<double>(p.kind), grain(p.kind), p.a, p.b, grad, x, dx);
}

}   // namespace fastconv::cpu
