// Average pooling, adaptive and global too, and its backward.
#pragma once

#include "../core/backend.hpp"

namespace fastconv::cpu {

// y lies as x does, dx as grad does.
void average_pool(const PoolProblem&, const AverageParameters&, const View& x, const View& y);
void average_pool_backward(const PoolProblem&, const AverageParameters&, const View& grad, const View& dx);

}   // namespace fastconv::cpu
