// Lines of the input, channels last, with the padding that the taps of a row reach: those of a pixel are one
// run.
#pragma once

#include "correlation.hpp"

namespace fastconv::cpu {

// Elements of a padded line.
inline int64_t padded_line(const Correlation& c) {
  return ((c.w.out - 1) * c.w.stride + c.w.taps) * c.in_channels;
}

// Lines [y0, y1) of an image, which may lie outside it; of one group, with taps of step 1.
template <class T>
void copy_padded_lines(const Correlation&, const T* in, MemoryFormat, int64_t image, int64_t y0, int64_t y1,
                       T* to);

}   // namespace fastconv::cpu
