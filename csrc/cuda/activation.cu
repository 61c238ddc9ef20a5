#include "activation.cuh"
#include "activation.hpp"
#include "dispatch.cuh"
#include "elementwise.cuh"

namespace fastconv::cuda {
namespace {

void copy(const View& from, const View& to, const char* operation) {
  if (from.data == to.data) return;
  check(cudaMemcpyAsync(to.data, from.data, size_t(from.elements() * itemsize(from.dtype)),
                        cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(from.device.stream)),
        operation);
}

template <class Run>
void with_function(Activation kind, const Run& run) {
  switch (kind) {
    case Activation::relu:
      return run(Relu{});
    case Activation::sigmoid:
      return run(Sigmoid{});
    case Activation::tanh:
      return run(Tanh{});
    case Activation::none:
      break;
  }
}

const char* name_of(Activation kind, bool backward) {
  switch (kind) {
    case Activation::relu:
      return backward ? "relu_backward" : "relu";
    case Activation::sigmoid:
      return backward ? "sigmoid_backward" : "sigmoid";
    case Activation::tanh:
      return backward ? "tanh_backward" : "tanh";
    case Activation::none:
      break;
  }
  return "activation";
}

}   // namespace

void activation(Activation kind, const View& x, const View& y) {
  const char* operation = name_of(kind, false);
  if (x.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  if (kind == Activation::none) return copy(x, y, operation);
  with_float_type(x.dtype, [&](auto zero) {
    with_function(kind, [&](const auto& f) { elementwise<decltype(zero)>(operation, f, x, y); });
  });
}

void activation_backward(Activation kind, const View& grad, const View& y, const View& dx) {
  const char* operation = name_of(kind, true);
  if (grad.elements() == 0) return;
  const DeviceGuard guard(grad.device, operation);
  if (kind == Activation::none) return copy(grad, dx, operation);
  with_float_type(grad.dtype, [&](auto zero) {
    with_function(kind,
                  [&](const auto& f) { elementwise_backward<decltype(zero)>(operation, f, grad, y, dx); });
  });
}

}   // namespace fastconv::cuda
