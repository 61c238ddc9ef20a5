// Average pooling, adaptive and global too, and its backward.
#pragma once

#include "../core/backend.hpp"

namespace fastconv::cpu {

const char* average_pool_implementation(const PoolProblem&, const AverageParameters&, Pass, DType,
                                        MemoryFormat);
// y lies as x does, dx as grad does.
void average_pool(const PoolProblem&, const AverageParameters&, const View& x, const View& y);
void average_pool_backward(const PoolProblem&, const AverageParameters&, const View& grad, const View& dx);

}   // namespace fastconv::cpu
