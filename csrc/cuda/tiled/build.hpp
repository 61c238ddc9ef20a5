// From problems to what the kernels are told; the arrays are filled in later.
#pragma once

#include "geometry.hpp"

namespace fastconv::cuda::tiled {

Correlation forward_correlation(const ConvProblem&);
// For strides up to kMostParts.
Correlation backward_correlation(const ConvProblem&);
// depth: positions a stage.
WeightGradient weight_gradient_of(const ConvProblem&, int depth);

}   // namespace fastconv::cuda::tiled
