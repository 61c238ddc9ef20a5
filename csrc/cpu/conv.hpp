// Convolution: the ordered lists of implementations and the choice between them. How they compute: conv/.
#pragma once

#include "../core/backend.hpp"

namespace fastconv::cpu {

const char* conv_implementation(const ConvProblem&, Pass, Algorithm, Precision, DType, MemoryFormat source,
                                MemoryFormat result);
void conv_forward(const ConvProblem&, const View& x, const View& weight, const View* bias, Activation,
                  Algorithm, Precision, const View& y);
// Pooled windows of the forward's result, which is not kept (conv_pool.cpp).
void conv_max_pool(const ConvProblem&, const PoolProblem&, const View& x, const View& weight, const View* bias,
                   Activation, Algorithm, Precision, const View& y, const View* indices);
void conv_max_pool_backward(const ConvProblem&, const PoolProblem&, const View& grad, const View& indices,
                            const View* x, const View* weight, Algorithm, Precision, const View* dx,
                            const View* dw, const View* db);
const char* conv_max_pool_backward_implementation(const ConvProblem&, const PoolProblem&, Pass, Algorithm);
void conv_backward_input(const ConvProblem&, const View& grad, const View& weight, Algorithm, Precision,
                         const View& dx);
void conv_transpose(const ConvProblem&, const View& x, const View& weight, const View* bias, Activation,
                    Algorithm, Precision, const View& y);
void conv_backward_weight(const ConvProblem&, const View& grad, const View& x, Algorithm, Precision,
                          const View& dw, const View* db);

}   // namespace fastconv::cpu
