// From problems to what the kernels are told; the arrays are filled in later.
#pragma once

#include <vector>

#include "geometry.hpp"

namespace fastconv::cuda::tiled {

// Whether a correlation's words and launches suffice.
bool fits_forward(const ConvProblem&);
bool fits_backward(const ConvProblem&);

// One launch each; backward there are more where a stride has more residues than kMostParts.
std::vector<Correlation> forward_correlation(const ConvProblem&);
std::vector<Correlation> backward_correlation(const ConvProblem&);
// depth: positions a stage.
WeightGradient weight_gradient_of(const ConvProblem&, int depth);

}   // namespace fastconv::cuda::tiled
