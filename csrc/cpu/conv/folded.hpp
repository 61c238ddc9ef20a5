// Convolution with strides as one without: the residues of a position modulo the stride become channels (space
// to depth), and kernels of 2 to 5 strides are Winograd's.
#pragma once

#include <optional>

#include "../../core/backend.hpp"

namespace fastconv::cpu {

// The problem of the folded arrays, where that is the faster way: by the problem alone and how the array lies
// that is folded: x, or what backward-input computes.
std::optional<ConvProblem> folded_problem(const ConvProblem&, Pass, Algorithm, MemoryFormat);

// Of a problem and what it is folded into.
void folded_forward(const ConvProblem&, const ConvProblem& folded, const View& x, const View& weight,
                    const View* bias, Activation, const View& y);
// With bias and activation of a transposed convolution.
void folded_backward_input(const ConvProblem&, const ConvProblem& folded, const View& grad, const View& weight,
                           const View* bias, Activation, const View& dx);
void folded_backward_weight(const ConvProblem&, const ConvProblem& folded, const View& grad, const View& x,
                            const View& dw, const View* db);

}   // namespace fastconv::cpu
