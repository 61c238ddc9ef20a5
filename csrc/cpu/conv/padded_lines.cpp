#include "padded_lines.hpp"

#include <algorithm>
#include <cstring>

#include "../isa.hpp"

namespace fastconv::cpu {

template <class T>
void copy_padded_lines(const Correlation& c, const T* in, MemoryFormat format, int64_t image, int64_t y0,
                       int64_t y1, T* to) {
  const int64_t line = padded_line(c), channels = c.in_channels;
  const T* from = in + image * c.h.in * c.w.in * channels;
  const int64_t x0 = std::max<int64_t>(0, c.w.first), x1 = std::min(c.w.in, line / channels + c.w.first);
  const int64_t before = (x0 - c.w.first) * channels, count = std::max<int64_t>(0, x1 - x0) * channels;
  for (int64_t y = y0; y < y1; ++y, to += line) {
    if (y < 0 || y >= c.h.in || count == 0) {
      std::memset(to, 0, size_t(line) * sizeof(T));
      continue;
    }
    std::memset(to, 0, size_t(before) * sizeof(T));
    if (format == MemoryFormat::channels_last)
      std::memcpy(to + before, from + (y * c.w.in + x0) * channels, size_t(count) * sizeof(T));
    else
      kernels<T>().pack.transpose(from + y * c.w.in + x0, c.h.in * c.w.in, to + before, channels, channels,
                                  x1 - x0);
    std::memset(to + before + count, 0, size_t(line - before - count) * sizeof(T));
  }
}
template void copy_padded_lines(const Correlation&, const float*, MemoryFormat, int64_t, int64_t, int64_t,
                                float*);
template void copy_padded_lines(const Correlation&, const double*, MemoryFormat, int64_t, int64_t, int64_t,
                                double*);

}   // namespace fastconv::cpu
