#include "activation.hpp"
#include "curve.cuh"
#include "dispatch.cuh"
#include "elementwise.cuh"

namespace fastconv::cuda {
namespace {

template <class A, class Run>
void with_function(const CurveParameters& p, const Run& run) {
  const A a = A(p.a), b = A(p.b);
  switch (p.kind) {
    case Curve::leaky_relu:
      return run(LeakyRelu<A>{a});
    case Curve::elu:
      return run(Elu<A>{a});
    case Curve::hardtanh:
      return run(Hardtanh<A>{a, b});
    case Curve::silu:
      return run(Silu<A>{});
    case Curve::softplus:
      return run(Softplus<A>{a, b});
    case Curve::gelu:
      return run(Gelu<A>{});
    case Curve::gelu_tanh:
      return run(GeluTanh<A>{});
  }
}

const char* name_of(Curve kind, bool backward) {
  switch (kind) {
    case Curve::leaky_relu:
      return backward ? "leaky_relu_backward" : "leaky_relu";
    case Curve::elu:
      return backward ? "elu_backward" : "elu";
    case Curve::hardtanh:
      return backward ? "hardtanh_backward" : "hardtanh";
    case Curve::silu:
      return backward ? "silu_backward" : "silu";
    case Curve::softplus:
      return backward ? "softplus_backward" : "softplus";
    case Curve::gelu:
    case Curve::gelu_tanh:
      break;
  }
  return backward ? "gelu_backward" : "gelu";
}

}   // namespace

void curve(const CurveParameters& p, const View& x, const View& y) {
  const char* operation = name_of(p.kind, false);
  if (x.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_function<Accumulator<T>>(p, [&](const auto& f) { elementwise<T>(operation, f, x, y); });
  });
}

void curve_backward(const CurveParameters& p, const View& grad, const View& x, const View& dx) {
  const char* operation = name_of(p.kind, true);
  if (grad.elements() == 0) return;
  const DeviceGuard guard(grad.device, operation);
  with_float_type(grad.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_function<Accumulator<T>>(p,
                                  [&](const auto& f) { elementwise_backward<T>(operation, f, grad, x, dx); });
  });
}

}   // namespace fastconv::cuda
