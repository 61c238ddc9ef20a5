// One function pointer per operation. The bindings validate, allocate results and call; a backend computes.
#pragma once

#include <cstdint>

#include "norm_problem.hpp"
#include "problem.hpp"
#include "view.hpp"

namespace fastconv {

enum class Activation : uint8_t { none, relu, sigmoid, tanh };
// Activations that no kernel ends with. Their backward starts from the input.
enum class Curve : uint8_t { leaky_relu, elu, hardtanh, silu, softplus, gelu, gelu_tanh };
enum class Algorithm : uint8_t { automatic, direct, winograd };
// What float32 products are rounded to where a device has faster ones: TF32 keeps 10 bits of the mantissa, the
// sums stay in float32. The CPU has nothing to gain.
enum class Precision : uint8_t { highest, tf32 };
enum class Pass : uint8_t { forward, backward_input, backward_weight };
enum class Reduction : uint8_t { none, mean, sum };

struct CurveParameters {
  Curve kind;
  double a, b;   // leaky_relu: slope; elu: alpha; hardtanh: lowest, highest; softplus: beta, threshold
};
struct BatchNormParameters {
  bool training;   // statistics of the batch, and running ones updated; else the running ones
  double momentum, eps;
  Activation activation;   // none or relu
};
struct ResponseNormParameters {
  int64_t size;   // channels of a window
  double alpha, beta, k;
};
struct AverageParameters {
  bool count_include_pad;   // the divisor counts cells of the padding
  int64_t divisor;          // in place of the cells that count; 0: none
};
struct DropoutParameters {
  double p;
  uint64_t key;   // of Philox4x32-10
};
// Options of an update. `step` counts from 1.
struct SgdParameters {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, first_step;   // first_step: the momentum buffer becomes the gradient, undampened (PyTorch)
};
struct AdamParameters {
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;
  bool decoupled;   // AdamW: weight decay acts on the parameter, not on the gradient
};
struct AdagradParameters {
  double lr, lr_decay, eps, weight_decay;
  int64_t step;
};
struct AdadeltaParameters {
  double lr, rho, eps, weight_decay;
};
struct RmspropParameters {
  double lr, alpha, eps, weight_decay, momentum;
};
struct LambParameters {
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;
};

// One parameter, its gradient and its state, dense in one order. Null data: the rule runs without that state.
constexpr int kMaxState = 3;
struct Update {
  View parameter, grad;
  View state[kMaxState];
};
using Updates = std::vector<Update>;

// Optional arrays are null pointers. Views of one call share device and floating dtype; indices are int64,
// class targets int64 or int32. Results are dense and may lie differently from the inputs.
// A CUDA backend queues its work on the stream of the views and returns; an entry that is null it has not yet.
struct Backend {
  const char* name;

  // The implementation that the call would run, a function of its arguments alone; null where none accepts.
  const char* (*conv_implementation)(const ConvProblem&, Pass, Algorithm, Precision, DType, MemoryFormat source,
                                     MemoryFormat result);
  void (*conv_forward)(const ConvProblem&, const View& x, const View& weight, const View* bias, Activation,
                       Algorithm, Precision, const View& y);
  // max_pool of what conv_forward gives, to the last bit where the weight is finite; indices or null.
  void (*conv_max_pool)(const ConvProblem&, const PoolProblem&, const View& x, const View& weight,
                        const View* bias, Activation, Algorithm, Precision, const View& y, const View* indices);
  // The gradients of conv_max_pool from that of the pooled map and the positions that max_pool gives with it;
  // dx, dw, db: null where they are not wanted, db without dw, x without dw, weight without dx. What a cell
  // that no window chose would add, zero or, of something infinite, NaN, may be left out. An index outside its
  // plane: as below. Of the two implementations "sparse" takes the chosen cells alone, "spread" makes the map's
  // gradient first.
  const char* (*conv_max_pool_backward_implementation)(const ConvProblem&, const PoolProblem&, Pass, Algorithm);
  void (*conv_max_pool_backward)(const ConvProblem&, const PoolProblem&, const View& grad, const View& indices,
                                 const View* x, const View* weight, Algorithm, Precision, const View* dx,
                                 const View* dw, const View* db);
  void (*conv_backward_input)(const ConvProblem&, const View& grad, const View& weight, Algorithm, Precision,
                              const View& dx);
  // conv_backward_input as an operation of its own, with what a forward one has.
  void (*conv_transpose)(const ConvProblem&, const View& x, const View& weight, const View* bias, Activation,
                         Algorithm, Precision, const View& y);
  void (*conv_backward_weight)(const ConvProblem&, const View& grad, const View& x, Algorithm, Precision,
                               const View& dw, const View* db);

  // indices: flat position in the input plane; null when nobody asked.
  void (*max_pool)(const PoolProblem&, const View& x, const View& y, const View* indices);
  // An index outside its plane: the CPU throws std::invalid_argument, to which the caller adds the operation's
  // name; a CUDA backend, which nobody waits for, leaves it out.
  void (*max_pool_backward)(const PoolProblem&, const View& grad, const View& indices, const View& dx);

  // The kernel that computes a pass of arrays that lie so.
  const char* (*average_pool_implementation)(const PoolProblem&, const AverageParameters&, Pass, DType,
                                             MemoryFormat);
  // Means of the windows, adaptive ones too. dx lies as grad does.
  void (*average_pool)(const PoolProblem&, const AverageParameters&, const View& x, const View& y);
  void (*average_pool_backward)(const PoolProblem&, const AverageParameters&, const View& grad, const View& dx);

  void (*linear)(const LinearProblem&, const View& x, const View& weight, const View* bias, Activation,
                 Precision, const View& y);
  void (*linear_backward_input)(const LinearProblem&, const View& grad, const View& weight, Precision,
                                const View& dx);
  void (*linear_backward_weight)(const LinearProblem&, const View& grad, const View& x, Precision,
                                 const View& dw, const View* db);

  void (*activation)(Activation, const View& x, const View& y);
  // From the gradient at the output and the kept output y.
  void (*activation_backward)(Activation, const View& grad, const View& y, const View& dx);
  void (*curve)(const CurveParameters&, const View& x, const View& y);
  void (*curve_backward)(const CurveParameters&, const View& grad, const View& x, const View& dx);

  // Arrays seen as (outer, classes, inner): softmax over the middle. log: log-softmax.
  void (*softmax)(bool log, int64_t outer, int64_t classes, int64_t inner, const View& x, const View& y);
  void (*softmax_backward)(bool log, int64_t outer, int64_t classes, int64_t inner, const View& grad,
                           const View& y, const View& dx);

  // logits (N, classes), target (N,), loss () or (N,). Targets are checked: returns the first bad row, or -1.
  // A CUDA backend returns -1 and makes the loss of a bad row NaN, with its gradient.
  int64_t (*cross_entropy)(Reduction, const View& logits, const View& target, const View& loss);
  void (*cross_entropy_backward)(Reduction, const View& grad, const View& logits, const View& target,
                                 const View& dlogits);

  // mean, invstd (C,), of the accumulator's type: what the result was computed with, for the backward pass. The
  // running statistics are updated in training; the variance that they keep is the unbiased one.
  void (*batch_norm)(const NormProblem&, const BatchNormParameters&, const View& x, const View* running_mean,
                     const View* running_var, const View* weight, const View* bias, const View& y,
                     const View& mean, const View& invstd);
  // From the gradient behind the activation, whose mask x and the terms give again.
  void (*batch_norm_backward)(const NormProblem&, bool training, Activation, const View& grad, const View& x,
                              const View* weight, const View* bias, const View& mean, const View& invstd,
                              const View* dx, const View* dw, const View* db);

  // Over each group of each example; layer normalisation too. weight, bias: one number a channel. mean, invstd
  // (batch, groups), of the accumulator's type: what the result was computed with.
  void (*group_norm)(const GroupNormProblem&, double eps, const View& x, const View* weight, const View* bias,
                     const View& y, const View& mean, const View& invstd);
  void (*group_norm_backward)(const GroupNormProblem&, const View& grad, const View& x, const View* weight,
                              const View& mean, const View& invstd, const View* dx, const View* dw,
                              const View* db);

  // x / (k + alpha * mean of x^2 over a window of channels)^beta
  void (*local_response_norm)(const NormProblem&, const ResponseNormParameters&, const View& x, const View& y);
  void (*local_response_norm_backward)(const NormProblem&, const ResponseNormParameters&, const View& grad,
                                       const View& x, const View& dx);

  void (*dropout)(const DropoutParameters&, const View& x, const View& y);

  // In place on parameters and state, all parameters of a call in one pass. State:
  void (*sgd_update)(const SgdParameters&, const Updates&);             // momentum buffer or null
  void (*adam_update)(const AdamParameters&, const Updates&);           // mean, square, largest square or null
  void (*adagrad_update)(const AdagradParameters&, const Updates&);     // sum of squares
  void (*adadelta_update)(const AdadeltaParameters&, const Updates&);   // square, squared step
  void (*rmsprop_update)(const RmspropParameters&, const Updates&);   // square, mean or null, momentum or null
  void (*lamb_update)(const LambParameters&, const Updates&);         // mean, square
  // The Euclidean norm of all arrays together; norm is a scalar of their dtype.
  void (*total_norm)(const std::vector<View>& arrays, const View& norm);
};

// The only branch on the device (backend.cpp). Throws std::runtime_error where the device has no backend.
const Backend& backend_for(Device device);

const Backend* cpu_backend();
const Backend*
cuda_backend();   // in a library of its own: the module fastconv._cuda, or the emulator of tests/

// What backend_for gives for CUDA devices from now on; null at first and to forget it.
void register_cuda_backend(const Backend* backend);

}   // namespace fastconv
