#include "conv/algorithm.hpp"
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

}   // namespace

void linear(const LinearProblem& p, const View& x, const View& weight, const View* bias, Activation activation,
            Precision precision, const View& y) {
  run_forward("linear", as_convolution(p), x, weight, bias, activation, precision, y);
}

void linear_backward_input(const LinearProblem& p, const View& grad, const View& weight, Precision precision,
                           const View& dx) {
  run_backward_input("linear_backward_input", as_convolution(p), grad, weight, precision, dx);
}

void linear_backward_weight(const LinearProblem& p, const View& grad, const View& x, Precision precision,
                            const View& dw, const View* db) {
  run_backward_weight("linear_backward_weight", as_convolution(p), grad, x, precision, dw, db);
}

}   // namespace fastconv::cuda
