#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void activation(Activation kind, const View& x, const View& y);
void activation_backward(Activation kind, const View& grad, const View& y, const View& dx);
void curve(const CurveParameters& p, const View& x, const View& y);
void curve_backward(const CurveParameters& p, const View& grad, const View& x, const View& dx);

}   // namespace fastconv::cuda
