// Activations over whole arrays; x, y, grad and dx lie in the same order.
#pragma once

#include "../core/backend.hpp"
#include "kernels/activation.hpp"

namespace fastconv::cpu {

void activation(Activation, const View& x, const View& y);
void activation_backward(Activation, const View& grad, const View& y, const View& dx);
void curve(const CurveParameters&, const View& x, const View& y);
void curve_backward(const CurveParameters&, const View& grad, const View& x, const View& dx);

// The serial kernel, for the epilogues of conv and linear; null for Activation::none.
template <class T>
ActivationKernel<T> activation_kernel(Activation);

}   // namespace fastconv::cpu
