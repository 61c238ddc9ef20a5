// Softmax, log-softmax and cross-entropy. The gradient of -log softmax(x)[t] is softmax(x) - onehot(t).
#pragma once

#include "../core/backend.hpp"

namespace fastconv::cpu {

void softmax(bool log, int64_t outer, int64_t classes, int64_t inner, const View& x, const View& y);
void softmax_backward(bool log, int64_t outer, int64_t classes, int64_t inner, const View& grad, const View& y,
                      const View& dx);

int64_t cross_entropy(Reduction, const View& logits, const View& target, const View& loss);
// std::invalid_argument on a target outside [0, classes).
void cross_entropy_backward(Reduction, const View& grad, const View& logits, const View& target,
                            const View& dlogits);

}   // namespace fastconv::cpu
