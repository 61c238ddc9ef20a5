// What this machine can do at most, on all threads (kernels/probe.hpp). The caller takes the time.
#pragma once

#include <cstdint>

#include "core/view.hpp"

namespace fastconv::cpu {

int64_t probe_fma(DType dtype, int64_t steps);   // floating-point operations done
void probe_read(const View& x);
void probe_copy(const View& x, const View& y);

}   // namespace fastconv::cpu
