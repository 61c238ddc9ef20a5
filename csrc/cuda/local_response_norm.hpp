#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void local_response_norm(const NormProblem&, const ResponseNormParameters&, const View& x, const View& y);
void local_response_norm_backward(const NormProblem&, const ResponseNormParameters&, const View& grad,
                                  const View& x, const View& dx);

}   // namespace fastconv::cuda
