#pragma once

#include "../core/backend.hpp"

namespace fastconv::cpu {

void dropout(const DropoutParameters&, const View& x, const View& y);

}   // namespace fastconv::cpu
