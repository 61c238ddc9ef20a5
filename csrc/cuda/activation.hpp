#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void activation(Activation kind, const View& x, const View& y);
void activation_backward(Activation kind, const View& grad, const View& y, const View& dx);

}   // namespace fastconv::cuda
