#include "slices.hpp"

#include <algorithm>
#include <cstring>

#include "../isa.hpp"
#include "../tiling.hpp"
#include "strip.hpp"

namespace fastconv::cpu {

std::vector<Reached> reached(const Axis& axis, int64_t pixels) {
  constexpr int64_t kOwnWeightPixels = 512;
  std::vector<Reached> parts{{0, axis.taps, {}}};
  for (int64_t z = 0; z < axis.out; ++z) {
    const Reach taps = reach(axis, z);
    const int64_t count = taps.last - taps.first, missing = axis.taps - count;
    if (count == 0 || pixels * missing < kOwnWeightPixels * count) {
      parts.front().positions.push_back(z);
      continue;
    }
    auto same = std::find_if(parts.begin(), parts.end(), [&](const Reached& part) {
      return part.first == taps.first && part.last == taps.last;
    });
    if (same == parts.end()) same = parts.insert(parts.end(), Reached{taps.first, taps.last, {}});
    same->positions.push_back(z);
  }
  if (parts.front().positions.empty()) parts.erase(parts.begin());
  return parts;
}

template <class T>
void gather(const View& volume, int64_t groups, const Axis& axis, const Reached& part, int64_t begin,
            int64_t end, T* to) {
  const int64_t channels = volume.shape[1], depth = volume.shape[2], plane = plane_of(volume);
  const int64_t taps = part.taps(), each = channels / groups, count = int64_t(part.positions.size());
  const bool last = volume.format == MemoryFormat::channels_last;
  const int64_t rows = last ? plane : each, columns = last ? each : plane;
  const int64_t from_row = last ? channels : depth * plane, to_row = last ? channels * taps : plane;
  parallel_items((end - begin) * taps, kMoveFlops * double(channels * plane), [&](int64_t item) {
    const int64_t image = begin + item / taps, t = item % taps, n = image / count;
    const int64_t z =
        part.positions[size_t(image % count)] * axis.stride + axis.first + (part.first + t) * axis.step;
    const bool inside = z >= 0 && z < depth;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t from = last ? (n * depth + z) * plane * channels + g * each
                                : ((n * channels + g * each) * depth + z) * plane;
      const int64_t at = item / taps * channels * taps * plane + (g * taps + t) * each * (last ? 1 : plane);
      kernels<T>().pack.copy(volume.as<const T>() + (inside ? from : 0), from_row, to + at, to_row, rows,
                             inside ? columns : 0, columns);
    }
  });
}

template <class T>
void scatter(const T* from, const Axis& axis, const Reached& part, int64_t begin, int64_t end,
             const View& volume) {
  const int64_t channels = volume.shape[1], depth = volume.shape[2], plane = plane_of(volume);
  const int64_t count = int64_t(part.positions.size()), image = channels * plane;
  parallel_items(end - begin, kMoveFlops * double(image), [&](int64_t i) {
    const int64_t n = (begin + i) / count;
    const int64_t z = axis.out_first + part.positions[size_t((begin + i) % count)] * axis.out_step;
    if (volume.format == MemoryFormat::channels_last)
      std::memcpy(volume.as<T>() + (n * depth + z) * image, from + i * image, size_t(image) * sizeof(T));
    else
      kernels<T>().pack.copy(from + i * image, plane, volume.as<T>() + (n * channels * depth + z) * plane,
                             depth * plane, channels, plane, plane);
  });
}

template <class T>
void fold(const Folding& f, int64_t channels, const T* weight, T* to) {
  parallel_items(channels, kMoveFlops * double(f.taps * f.inputs * f.cells), [&](int64_t k) {
    for (int64_t t = 0; t < f.taps; ++t)
      kernels<T>().pack.copy(weight + f.whole(k, t), f.kernel * f.cells, to + f.folded(k, t), f.cells, f.inputs,
                             f.cells, f.cells);
  });
}

template <class T>
void add_unfolded(const Folding& f, int64_t channels, const T* folded, T* dw) {
  parallel_items(channels, kMoveFlops * double(f.taps * f.inputs * f.cells), [&](int64_t k) {
    for (int64_t t = 0; t < f.taps; ++t)
      for (int64_t c = 0; c < f.inputs; ++c) {
        const T* from = folded + f.folded(k, t) + c * f.cells;
        T* to = dw + f.whole(k, t) + c * f.kernel * f.cells;
        for (int64_t i = 0; i < f.cells; ++i) to[i] += from[i];
      }
  });
}

template void gather(const View&, int64_t, const Axis&, const Reached&, int64_t, int64_t, float*);
template void scatter(const float*, const Axis&, const Reached&, int64_t, int64_t, const View&);
template void fold(const Folding&, int64_t, const float*, float*);
template void add_unfolded(const Folding&, int64_t, const float*, float*);
template void gather(const View&, int64_t, const Axis&, const Reached&, int64_t, int64_t, double*);
template void scatter(const double*, const Axis&, const Reached&, int64_t, int64_t, const View&);
template void fold(const Folding&, int64_t, const double*, double*);
template void add_unfolded(const Folding&, int64_t, const double*, double*);

}   // namespace fastconv::cpu
