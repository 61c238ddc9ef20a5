// One way to compute convolutions on a device. conv.cu tries them in order; what one accepts is a matter of the
// problem and of how its arrays lie alone.
#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

struct ConvCall {
  const ConvProblem& problem;
  Pass pass;
  DType dtype;
  Precision precision;
  MemoryFormat source, result;   // of the input (gradient) and the result; backward_weight: gradient and input
};

// No array is empty; the device is set. `operation` names the call in errors. Views may be those of a linear
// layer: their memory is what the problem says, their shapes may be others.
struct ConvAlgorithm {
  const char* name;
  bool (*accepts)(const ConvCall&);
  void (*forward)(const char* operation, const ConvProblem&, const View& x, const View& weight,
                  const View* bias, Activation, const View& y);
  void (*backward_input)(const char* operation, const ConvProblem&, const View& grad, const View& weight,
                         const View* bias, Activation, const View& dx);
  void (*backward_weight)(const char* operation, const ConvProblem&, const View& grad, const View& x,
                          const View& dw, const View* db);
};
extern const ConvAlgorithm tensor_core_conv;   // ../tiled/tiled.cu
extern const ConvAlgorithm simt_conv;          // ../tiled/tiled.cu
extern const ConvAlgorithm depthwise_conv;     // depthwise.cu
extern const ConvAlgorithm direct_conv;        // direct.cu

// The three passes of a convolution or of a linear layer (linear.cu), which is one of a single position.
void run_forward(const char* operation, const ConvProblem&, const View& x, const View& weight, const View* bias,
                 Activation, Precision, const View& y);
// bias, activation: of a transposed convolution.
void run_backward_input(const char* operation, const ConvProblem&, const View& grad, const View& weight,
                        const View* bias, Activation, Precision, const View& dx);
void run_backward_weight(const char* operation, const ConvProblem&, const View& grad, const View& x, Precision,
                         const View& dw, const View* db);

}   // namespace fastconv::cuda
