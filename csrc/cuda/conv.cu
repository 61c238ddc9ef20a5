#include <algorithm>
#include <iterator>

#include "conv.hpp"
#include "conv/algorithm.hpp"
#include "launch.cuh"

namespace fastconv::cuda {
namespace {

// The first that accepts runs; the last accepts everything.
const ConvAlgorithm* const algorithms[] = {&tensor_core_conv, &simt_conv, &depthwise_conv, &direct_conv};

const ConvAlgorithm& choose(const ConvCall& call) {
  return **std::find_if(std::begin(algorithms), std::end(algorithms),
                        [&](const ConvAlgorithm* algorithm) { return algorithm->accepts(call); });
}

void zero(const View& view, const char* operation) {
  if (view.elements() == 0) return;
  check(cudaMemsetAsync(view.data, 0, size_t(view.elements() * itemsize(view.dtype)),
                        static_cast<cudaStream_t>(view.device.stream)),
        operation);
}

// For errors.
const char* name_of(const ConvProblem& problem, Pass pass) {
  static const char* const names[kMaxSpatial][3] = {
      {"conv1d", "conv1d_backward_input", "conv1d_backward_weight"},
      {"conv2d", "conv2d_backward_input", "conv2d_backward_weight"},
      {"conv3d", "conv3d_backward_input", "conv3d_backward_weight"}};
  return names[problem.spatial - 1][int(pass)];
}

}   // namespace

void run_forward(const char* operation, const ConvProblem& problem, const View& x, const View& weight,
                 const View* bias, Activation activation, Precision precision, const View& y) {
  if (y.elements() == 0) return;
  const DeviceGuard guard(y.device, operation);
  choose({problem, Pass::forward, x.dtype, precision, x.format, y.format})
      .forward(operation, problem, x, weight, bias, activation, y);
}

void run_backward_input(const char* operation, const ConvProblem& problem, const View& grad, const View& weight,
                        const View* bias, Activation activation, Precision precision, const View& dx) {
  const DeviceGuard guard(dx.device, operation);
  if (grad.elements() == 0 || dx.elements() == 0) return zero(dx, operation);
  choose({problem, Pass::backward_input, grad.dtype, precision, grad.format, dx.format})
      .backward_input(operation, problem, grad, weight, bias, activation, dx);
}

void run_backward_weight(const char* operation, const ConvProblem& problem, const View& grad, const View& x,
                         Precision precision, const View& dw, const View* db) {
  const DeviceGuard guard(dw.device, operation);
  if (grad.elements() == 0 || x.elements() == 0) {
    zero(dw, operation);
    if (db != nullptr) zero(*db, operation);
    return;
  }
  choose({problem, Pass::backward_weight, grad.dtype, precision, grad.format, x.format})
      .backward_weight(operation, problem, grad, x, dw, db);
}

const char* conv_implementation(const ConvProblem& problem, Pass pass, Algorithm asked, Precision precision,
                                DType dtype, MemoryFormat source, MemoryFormat result) {
  if (asked == Algorithm::winograd) return nullptr;
  return choose({problem, pass, dtype, precision, source, result}).name;
}

void conv_forward(const ConvProblem& problem, const View& x, const View& weight, const View* bias,
                  Activation activation, Algorithm, Precision precision, const View& y) {
  run_forward(name_of(problem, Pass::forward), problem, x, weight, bias, activation, precision, y);
}

void conv_backward_input(const ConvProblem& problem, const View& grad, const View& weight, Algorithm,
                         Precision precision, const View& dx) {
  run_backward_input(name_of(problem, Pass::backward_input), problem, grad, weight, nullptr, Activation::none,
                     precision, dx);
}

void conv_transpose(const ConvProblem& problem, const View& x, const View& weight, const View* bias,
                    Activation activation, Algorithm, Precision precision, const View& y) {
  static const char* const names[kMaxSpatial] = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"};
  run_backward_input(names[problem.spatial - 1], problem, x, weight, bias, activation, precision, y);
}

void conv_backward_weight(const ConvProblem& problem, const View& grad, const View& x, Algorithm,
                          Precision precision, const View& dw, const View* db) {
  run_backward_weight(name_of(problem, Pass::backward_weight), problem, grad, x, precision, dw, db);
}

}   // namespace fastconv::cuda
