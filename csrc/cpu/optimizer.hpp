// Updates of parameters in place, all of a call in one pass over threads.
#pragma once

#include "../core/backend.hpp"

namespace fastconv::cpu {

void sgd_update(const SgdParameters&, const Updates&);
void adam_update(const AdamParameters&, const Updates&);
void adagrad_update(const AdagradParameters&, const Updates&);
void adadelta_update(const AdadeltaParameters&, const Updates&);
void rmsprop_update(const RmspropParameters&, const Updates&);
void lamb_update(const LambParameters&, const Updates&);
void total_norm(const std::vector<View>& arrays, const View& norm);

}   // namespace fastconv::cpu
