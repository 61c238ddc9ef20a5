#include "memory_format.hpp"

#include <algorithm>

#include "isa.hpp"
#include "parallel.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {

template <class T>
void copy_format(const T* from, MemoryFormat from_format, T* to, int64_t batch, int64_t channels,
                 int64_t pixels) {
  const int64_t slice = std::max<int64_t>(64, 65536 / std::max<int64_t>(1, channels) / 64 * 64);
  const int64_t slices = div_up(pixels, slice);
  parallel_items(batch * slices, kMoveFlops * double(channels * std::min(slice, pixels)), [&](int64_t task) {
    const int64_t image = task / slices * channels * pixels, p = task % slices * slice;
    const int64_t count = std::min(slice, pixels - p);
    if (from_format == MemoryFormat::contiguous)
      kernels<T>().pack.transpose(from + image + p, pixels, to + image + p * channels, channels, channels,
                                  count);
    else
      kernels<T>().pack.transpose(from + image + p * channels, channels, to + image + p, pixels, count,
                                  channels);
  });
}
template void copy_format(const float*, MemoryFormat, float*, int64_t, int64_t, int64_t);
template void copy_format(const double*, MemoryFormat, double*, int64_t, int64_t, int64_t);

void copy_format(const View& from, const View& to) {
  if (from.elements() == 0) return;
  const int64_t batch = from.shape[0], channels = from.shape[1], pixels = from.elements() / (batch * channels);
  if (itemsize(from.dtype) == sizeof(float))
    copy_format(from.as<const float>(), from.format, to.as<float>(), batch, channels, pixels);
  else
    copy_format(from.as<const double>(), from.format, to.as<double>(), batch, channels, pixels);
}

}   // namespace fastconv::cpu
