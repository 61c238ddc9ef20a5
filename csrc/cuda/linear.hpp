#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void linear(const LinearProblem&, const View& x, const View& weight, const View* bias, Activation, Precision,
            const View& y);
void linear_backward_input(const LinearProblem&, const View& grad, const View& weight, Precision,
                           const View& dx);
void linear_backward_weight(const LinearProblem&, const View& grad, const View& x, Precision, const View& dw,
                            const View* db);

}   // namespace fastconv::cuda
