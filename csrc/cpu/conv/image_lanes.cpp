#include "image_lanes.hpp"

#include <algorithm>
#include <cstring>

#include "../isa.hpp"
#include "../tiling.hpp"

namespace fastconv::cpu {
namespace {

// Lines [y0, y1) of up to `lanes` images.
template <class T>
void turn_lines(const Turned& t, const T* from, MemoryFormat format, int64_t images, int64_t y0, int64_t y1,
                T* block) {
  const int64_t lanes = kernels<T>().gemm.lanes, plane = t.height * t.columns;
  const bool planes = format == MemoryFormat::contiguous;
  const int64_t inner = planes ? 1 : t.channels, outer = planes ? t.channels : 1;
  std::vector<ptrdiff_t> rows;   // where the elements of the lines go
  for (int64_t y = y0; y < y1; ++y)
    for (int64_t x = 0; x < t.columns; ++x)
      for (int64_t i = 0; i < inner; ++i)
        rows.push_back((i * t.channel + y * t.line + (t.left + x) * t.column) * lanes);
  // Neighbouring vectors of a line: those of all channels, or of one.
  const int64_t run = t.channel == 1 ? t.channels : 1, runs = t.channels / run;
  const int64_t before = t.left * run * lanes, end = (t.left + t.columns) * run * lanes;
  for (int64_t i = 0; i < runs; ++i)
    for (int64_t y = y0; y < y1; ++y) {
      T* line = block + (i * t.channel + y * t.line) * lanes;
      std::memset(line, 0, size_t(before) * sizeof(T));
      std::memset(line + end, 0, size_t(t.width * run * lanes - end) * sizeof(T));
      if (images < lanes)   // no stray denormals in the lanes of the missing ones
        std::memset(line + before, 0, size_t(end - before) * sizeof(T));
    }
  for (int64_t i = 0; i < outer; ++i)
    kernels<T>().pack.transpose_rows(from + i * plane + y0 * t.columns * inner, t.channels * plane,
                                     block + i * t.channel * lanes, rows.data(), images, int64_t(rows.size()));
}

}   // namespace

Turned turned_pixels(int64_t channels, int64_t height, int64_t columns) {
  return {channels, height, columns, 0, columns, 1, columns * channels, channels, height * columns * channels};
}

template <class T>
void turn_images(const Turned& t, const T* from, MemoryFormat format, int64_t batch, int64_t first, int64_t end,
                 T* to) {
  const int64_t lanes = kernels<T>().gemm.lanes, blocks = div_up(batch, lanes);
  first = std::clamp<int64_t>(first, 0, t.height);
  const int64_t lines = std::clamp(end, first, t.height) - first;
  const int64_t slices = std::clamp<int64_t>(div_up(kChunks, blocks), 1, std::max<int64_t>(1, lines));
  const double moved = double(lines * t.width * t.channels * lanes / slices);
  parallel_items(blocks * slices, kMoveFlops * moved, [&](int64_t item) {
    const int64_t block = item / slices, n = block * lanes, i = item % slices;
    turn_lines(t, from + n * t.channels * t.height * t.columns, format, std::min(lanes, batch - n),
               first + part_begin(lines, slices, i), first + part_begin(lines, slices, i + 1),
               to + block * t.block * lanes);
  });
}
template void turn_images(const Turned&, const float*, MemoryFormat, int64_t, int64_t, int64_t, float*);
template void turn_images(const Turned&, const double*, MemoryFormat, int64_t, int64_t, int64_t, double*);

template <class T>
void put_images(const T* computed, bool planes, int64_t channels, int64_t height, int64_t columns, int64_t p0,
                int64_t p1, int64_t images, T* to, MemoryFormat format) {
  const auto& pack = kernels<T>().pack;
  const int64_t lanes = kernels<T>().gemm.lanes, pixels = (p1 - p0) * columns;
  const int64_t image = channels * height * columns;
  if (format == MemoryFormat::channels_last)
    return pack.transpose(computed, lanes, to + p0 * columns * channels, image, pixels * channels, images);
  for (int64_t k = 0; k < channels; ++k)
    pack.transpose(computed + k * (planes ? pixels : 1) * lanes, (planes ? 1 : channels) * lanes,
                   to + (k * height + p0) * columns, image, pixels, images);
}
template void put_images(const float*, bool, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, float*,
                         MemoryFormat);
template void put_images(const double*, bool, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, double*,
                         MemoryFormat);

bool wasteful(int64_t n) { return 10 * n < 9 * round_up(n, kImageLanes); }

}   // namespace fastconv::cpu
