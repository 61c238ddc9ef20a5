// Updates of parameters in place, 64 arrays of a call in one launch.
#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void sgd_update(const SgdParameters&, const Updates&);
void adam_update(const AdamParameters&, const Updates&);
void adagrad_update(const AdagradParameters&, const Updates&);
void adadelta_update(const AdadeltaParameters&, const Updates&);
void rmsprop_update(const RmspropParameters&, const Updates&);
void lamb_update(const LambParameters&, const Updates&);
void total_norm(const std::vector<View>& arrays, const View& norm);

}   // namespace fastconv::cuda
