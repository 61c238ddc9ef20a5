#include "activation.hpp"

#include <cstring>
#include <limits>

#include "isa.hpp"
#include "parallel.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {
namespace {

// Elements a chunk: 4 to 20 us each. relu moves memory, sigmoid and tanh compute.
int64_t grain(Activation kind) { return kind == Activation::relu ? 32768 : 16384; }

template <class T>
ActivationBackwardKernel<T> backward_kernel(Activation kind) {
  const ActivationKernels<T>& table = kernels<T>().activation;
  switch (kind) {
    case Activation::relu:
      return table.relu_backward;
    case Activation::sigmoid:
      return table.sigmoid_backward;
    case Activation::tanh:
      return table.tanh_backward;
    case Activation::none:
      break;
  }
  return nullptr;
}

void copy(const View& from, const View& to) {
  if (from.data != to.data && from.elements() > 0)
    std::memmove(to.data, from.data, size_t(from.elements() * itemsize(from.dtype)));
}

template <class T>
void run(Activation kind, const View& x, const View& y) {
  const ActivationKernel<T> kernel = activation_kernel<T>(kind);
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  parallel_ranges(x.elements(), grain(kind),
                  [&](int64_t begin, int64_t end) { kernel(from + begin, to + begin, end - begin); });
}

template <class T>
void run_backward(Activation kind, const View& grad, const View& y, const View& dx) {
  const ActivationBackwardKernel<T> kernel = backward_kernel<T>(kind);
  const T *g = grad.as<const T>(), *kept = y.as<const T>();
  T* to = dx.as<T>();
  parallel_ranges(grad.elements(), grain(Activation::relu), [&](int64_t begin, int64_t end) {
    kernel(g + begin, kept + begin, to + begin, end - begin);
  });
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

int64_t grain(Curve kind) { return kind == Curve::leaky_relu || kind == Curve::hardtanh ? 32768 : 16384; }

// Whether a result goes past the caches: it and the inputs exceed them. Chunks begin where lines do.
bool streams(const View& result, int inputs) {
  return (inputs + 1) * result.elements() * itemsize(result.dtype) > kCachedBytes &&
         reinterpret_cast<uintptr_t>(result.data) % 64 == 0;
}

template <class T>
void run_curve(const CurveParameters& p, const View& x, const View& y) {
  const auto kernel = curve_kernel<T>(p.kind).forward;
  const bool stream = streams(y, 1);
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  parallel_ranges(x.elements(), grain(p.kind), [&](int64_t begin, int64_t end) {
    kernel(T(p.a), T(p.b), from + begin, to + begin, end - begin, stream);
  });
}

template <class T>
void run_curve_backward(const CurveParameters& p, const View& grad, const View& x, const View& dx) {
  const auto kernel = curve_kernel<T>(p.kind).backward;
  const bool stream = streams(dx, 2);
  const T *g = grad.as<const T>(), *kept = x.as<const T>();
  T* to = dx.as<T>();
  parallel_ranges(grad.elements(), grain(p.kind), [&](int64_t begin, int64_t end) {
    kernel(T(p.a), T(p.b), g + begin, kept + begin, to + begin, end - begin, stream);
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
  // The same bits, but past the caches.
  if (kind == Activation::relu && streams(y, 1))
    return curve({Curve::hardtanh, 0, std::numeric_limits<double>::infinity()}, x, y);
  x.dtype == DType::float32 ? run<float>(kind, x, y) : run<double>(kind, x, y);
}

void activation_backward(Activation kind, const View& grad, const View& y, const View& dx) {
  if (kind == Activation::none) return copy(grad, dx);
  grad.dtype == DType::float32 ? run_backward<float>(kind, grad, y, dx)
                               : run_backward<double>(kind, grad, y, dx);
}

void curve(const CurveParameters& p, const View& x, const View& y) {
  x.dtype == DType::float32 ? run_curve<float>(p, x, y) : run_curve<double>(p, x, y);
}

void curve_backward(const CurveParameters& p, const View& grad, const View& x, const View& dx) {
  grad.dtype == DType::float32 ? run_curve_backward<float>(p, grad, x, dx)
                               : run_curve_backward<double>(p, grad, x, dx);
}

}   // namespace fastconv::cpu
