#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void group_norm(const GroupNormProblem&, double eps, const View& x, const View* weight, const View* bias,
                const View& y, const View& mean, const View& invstd);
void group_norm_backward(const GroupNormProblem&, const View& grad, const View& x, const View* weight,
                         const View& mean, const View& invstd, const View* dx, const View* dw, const View* db);

}   // namespace fastconv::cuda
