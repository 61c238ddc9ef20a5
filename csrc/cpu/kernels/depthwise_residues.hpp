// Backward-input of stride 2: the two residues of an axis of the result.
#pragma once

#include "depthwise.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

// Whether the residue `which` has two taps, and between them lies the other's only one.
inline bool has_middle(const TapAxis& two, const TapAxis& one, int which) {
  return two.taps == 2 && two.step == 1 && one.taps == 1 && two.stride == 1 && two.out_step == 2 &&
         one.first == two.first + (which == 0);
}

}   // namespace fastconv::cpu::FASTCONV_ISA
