// Convolution in three spatial dimensions, by the algorithms of two.
#pragma once

#include "../../core/backend.hpp"

namespace fastconv::cpu {

const char* volume_implementation(const ConvProblem&, Pass, Algorithm, DType, MemoryFormat source,
                                  MemoryFormat result);
void volume_forward(const ConvProblem&, const View& x, const View& weight, const View* bias, Activation,
                    Algorithm, const View& y);
// With bias and activation of a transposed convolution.
void volume_backward_input(const ConvProblem&, const View& grad, const View& weight, const View* bias,
                           Activation, Algorithm, const View& dx);
void volume_backward_weight(const ConvProblem&, const View& grad, const View& x, Algorithm, const View& dw,
                            const View* db);

// What a result is where nothing is added to it: the activation of the bias, or of 0 (conv.cpp).
void fill_unreached(const View& result, const View* bias, Activation);

}   // namespace fastconv::cpu
