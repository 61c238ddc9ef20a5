// Batch normalisation; x, y, grad and dx lie in the same order.
#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void batch_norm(const NormProblem&, const BatchNormParameters&, const View& x, const View* running_mean,
                const View* running_var, const View* weight, const View* bias, const View& y, const View& mean,
                const View& invstd);
void batch_norm_backward(const NormProblem&, bool training, Activation, const View& grad, const View& x,
                         const View* weight, const View* bias, const View& mean, const View& invstd,
                         const View* dx, const View* dw, const View* db);

}   // namespace fastconv::cuda
