// Updates of one parameter in place, all arrays lying in the same order.
#pragma once

#include "../core/backend.hpp"

namespace fastconv::cpu {

void sgd_update(const SgdParameters&, const View& parameter, const View& grad, const View* momentum);
void adam_update(const AdamParameters&, const View& parameter, const View& grad, const View& exp_avg,
                 const View& exp_avg_sq);

}   // namespace fastconv::cpu
