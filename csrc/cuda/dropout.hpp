#pragma once

#include "core/backend.hpp"

namespace fastconv::cuda {

void dropout(const DropoutParameters&, const View& x, const View& y);

}   // namespace fastconv::cuda
