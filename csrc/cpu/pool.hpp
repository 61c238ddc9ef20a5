// Max pooling with argmax, and its backward from the argmax.
#pragma once

#include "../core/backend.hpp"

namespace fastconv::cpu {

// indices lie as y does; y may lie differently from x.
void max_pool(const PoolProblem&, const View& x, const View& y, const View* indices);
// std::invalid_argument on an index outside the input plane. Needs only batch, channels, input and output.
void max_pool_backward(const PoolProblem&, const View& grad, const View& indices, const View& dx);

}   // namespace fastconv::cpu
