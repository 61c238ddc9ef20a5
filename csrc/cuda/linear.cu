#include <algorithm>

#include "conv/algorithm.hpp"
#include "launch.cuh"
#include "linear.hpp"

namespace fastconv::cuda {
namespace {

// Images of one pixel, features as channels: both memory formats are the same then.
ConvProblem as_convolution(const LinearProblem& p) {
  ConvProblem problem;
  problem.spatial = 1;
  problem.batch = p.rows;
  problem.in_channels = p.in_features;
  problem.out_channels = p.out_features;
  return problem;
}

// A layer without input features is one with a single feature, which is 0.
class OneZero {
 public:
  OneZero(const LinearProblem& p, const View& like, const char* operation)
      : problem{p.rows, 1, p.out_features},
        guard_(like.device, operation),
        size_(std::max<int64_t>({p.rows, p.out_features, 1}) * itemsize(like.dtype)),
        memory_(like.device, 2 * size_, operation) {
    check(cudaMemsetAsync(memory_.as<void>(), 0, size_t(2 * size_),
                          static_cast<cudaStream_t>(like.device.stream)),
          operation);
    x = weight = like;
    x.data = memory_.as<void>();
    weight.data = memory_.as<void>(size_);
    x.shape = {p.rows, 1};
    weight.shape = {p.out_features, 1};
  }
  LinearProblem problem;
  View x, weight;

 private:
  DeviceGuard guard_;
  int64_t size_;
  Workspace memory_;
};

}   // namespace

void linear(const LinearProblem& p, const View& x, const View& weight, const View* bias, Activation activation,
            Precision precision, const View& y) {
  if (p.in_features == 0) {
    const OneZero zero(p, y, "linear");
    return linear(zero.problem, zero.x, zero.weight, bias, activation, precision, y);
  }
  run_forward("linear", as_convolution(p), x, weight, bias, activation, precision, y);
}

void linear_backward_input(const LinearProblem& p, const View& grad, const View& weight, Precision precision,
                           const View& dx) {
  run_backward_input("linear_backward_input", as_convolution(p), grad, weight, nullptr, Activation::none,
                     precision, dx);
}

void linear_backward_weight(const LinearProblem& p, const View& grad, const View& x, Precision precision,
                            const View& dw, const View* db) {
  if (p.in_features == 0) {
    const OneZero zero(p, grad, "linear_backward_weight");
    return linear_backward_weight(zero.problem, grad, zero.x, precision, zero.weight, db);
  }
  run_backward_weight("linear_backward_weight", as_convolution(p), grad, x, precision, dw, db);
}

}   // namespace fastconv::cuda
