// Softmax and cross-entropy. A target that names no class makes its row's loss and gradient NaN: to report it,
// the host would have to wait for the device.
#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void softmax(bool log, int64_t outer, int64_t classes, int64_t inner, const View& x, const View& y);
void softmax_backward(bool log, int64_t outer, int64_t classes, int64_t inner, const View& grad, const View& y,
                      const View& dx);
int64_t cross_entropy(Reduction, const View& logits, const View& target, const View& loss);   // -1
void cross_entropy_backward(Reduction, const View& grad, const View& logits, const View& target,
                            const View& dlogits);

}   // namespace fastconv::cuda
