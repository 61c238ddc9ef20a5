// Max pooling with argmax, and its backward from the argmax: a sum over the windows that hold a cell, or, where
// the problem does not say what the windows were, over the results of a plane in order. An index outside the
// plane adds nothing.
#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void max_pool(const PoolProblem&, const View& x, const View& y, const View* indices);
void max_pool_backward(const PoolProblem&, const View& grad, const View& indices, const View& dx);

}   // namespace fastconv::cuda
