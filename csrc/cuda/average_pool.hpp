// Average pooling, adaptive too, and its backward: a thread a result, which adds up its window, or what the
// windows that hold a cell pass on to it. Several threads add up a large window, or a plane.
#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void average_pool(const PoolProblem&, const AverageParameters&, const View& x, const View& y);
void average_pool_backward(const PoolProblem&, const AverageParameters&, const View& grad, const View& dx);

}   // namespace fastconv::cuda
