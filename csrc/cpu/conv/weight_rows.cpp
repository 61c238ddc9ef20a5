// Gradient of the weight for few channels: the taps of a kernel row, all input channels of each, lie side by
// side in a channels-last line of the input and fill the vectors; output channels are broadcast from the
// gradient, turned into planes a strip at a time. It is the transpose of what weight_gemm.cpp computes, for
// layers whose output channels would leave more of a vector empty than taps times input channels do.
#include <algorithm>
#include <cstring>

#include "../../core/memory.hpp"
#include "../isa.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"
#include "padded_lines.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kPixels = 256;   // of a strip: its gradient, 20 channels or so, and its lines stay in L1

// All from the problem alone.
struct Partition {
  int64_t line, pitch;    // elements of a padded line of the input; of a row of sums, whole vectors
  int64_t vectors;        // of a kernel row
  int64_t rows, chunks;   // output rows of all images; parts of them, with private sums
  int64_t strip;          // output rows of an image together
  int64_t size;           // elements of the sums: of each output channel its kernel rows, then its bias
};

Partition partition(const Correlation& c, int64_t lanes) {
  Partition part{};
  part.line = padded_line(c);
  part.vectors = div_up(c.w.taps * c.in_channels, lanes);
  part.pitch = c.h.taps * part.vectors * lanes + lanes;
  part.rows = c.batch * c.h.out;
  const double flops = c.flops_per_pixel() * double(part.rows * c.w.out);
  part.chunks = std::clamp<int64_t>(int64_t(flops / kChunkFlops), 1, std::min(kChunks, part.rows));
  part.strip = std::clamp<int64_t>(kPixels / c.w.out, 1, c.h.out);
  part.size = c.out_channels * part.pitch;
  return part;
}

// The gradient of `pixels` pixels from `begin` on of an image: a row for each output channel.
template <class T>
void turn_gradient(const Correlation& c, const WeightGradientData<T>& data, int64_t image, int64_t begin,
                   int64_t pixels, T* to) {
  const auto& pack = kernels<T>().pack;
  const T* from = data.grad + image * c.pixels() * c.out_channels;
  if (data.grad_format == MemoryFormat::channels_last)
    pack.transpose(from + begin * c.out_channels, c.out_channels, to, pixels, pixels, c.out_channels);
  else
    pack.copy(from + begin, c.pixels(), to, pixels, c.out_channels, pixels, pixels);
}

// Adds the products of a strip of output rows, from its lines and its gradient.
template <class T>
void multiply(const Correlation& c, const Partition& part, const T* lines, const T* const* gradient,
              const std::vector<int32_t>& offsets, int64_t pixels, bool accumulate, T* sums) {
  const auto& gemm = kernels<T>().gemm;
  PlanarArgs<T> args{};
  args.rows = c.out_channels;
  args.weights = gradient;
  args.steps = pixels;
  args.offsets = offsets.data();
  args.x = lines;
  args.c = sums;
  args.c_stride = part.pitch;
  args.accumulate = accumulate;
  const int64_t all = c.h.taps * part.vectors, groups = div_up(all, gemm.vectors);
  for (int64_t i = 0; i < groups; ++i) {
    const int64_t first = part_begin(all, groups, i);
    args.vectors = int(part_begin(all, groups, i + 1) - first);
    for (int j = 0; j < args.vectors; ++j) {
      const int64_t r = (first + j) / part.vectors, v = (first + j) % part.vectors;
      args.x_offsets[j] = r * c.h.step * part.line + v * gemm.lanes;
      args.c_offsets[j] = (first + j) * gemm.lanes;
      args.lanes[j] = gemm.lanes;
    }
    gemm.planar(args);
  }
}

template <class T>
void compute(const Correlation& c, const WeightGradientData<T>& data, const Partition& part, int64_t row0,
             int64_t row1, T* sums) {
  const auto& kernel = kernels<T>();
  const int64_t most = (part.strip - 1) * c.h.stride + (c.h.taps - 1) * c.h.step + 1;
  const memory::Buffer lines(size_t(most * part.line + part.vectors * kernel.gemm.lanes) * sizeof(T));
  const memory::Buffer gradient(size_t(c.out_channels * part.strip * c.w.out) * sizeof(T));
  std::vector<int32_t> offsets;   // of a strip's pixels in its lines
  for (int64_t p = 0; p < part.strip; ++p)
    for (int64_t q = 0; q < c.w.out; ++q)
      offsets.push_back(int32_t(p * c.h.stride * part.line + q * c.w.stride * c.in_channels));
  for (int64_t k = 0; k < c.out_channels; ++k) sums[k * part.pitch + part.pitch - 1] = 0;
  for (int64_t row = row0; row < row1;) {
    const int64_t image = row / c.h.out, p0 = row % c.h.out;
    const int64_t rows = std::min({part.strip, c.h.out - p0, row1 - row}), pixels = rows * c.w.out;
    const int64_t y0 = p0 * c.h.stride + c.h.first;
    const int64_t y1 = y0 + (rows - 1) * c.h.stride + (c.h.taps - 1) * c.h.step + 1;
    copy_padded_lines(c, data.x, data.x_format, image, y0, y1, lines.as<T>());
    turn_gradient(c, data, image, p0 * c.w.out, pixels, gradient.as<T>());
    const std::vector<const T*> pointers = row_pointers<T>(gradient.as<T>(), c.out_channels, pixels);
    multiply<T>(c, part, lines.as<T>(), pointers.data(), offsets, pixels, row > row0, sums);
    for (int64_t k = 0; k < c.out_channels && data.db; ++k)
      sums[k * part.pitch + part.pitch - 1] += kernel.pack.sum(pointers[size_t(k)], pixels);
    row += rows;
  }
}

template <class T>
void run(const Correlation& c, const WeightGradientData<T>& data) {
  const int64_t lanes = kernels<T>().gemm.lanes;
  const Partition part = partition(c, lanes);
  const memory::Buffer buffer(size_t(part.chunks * part.size) * sizeof(T));
  T* sums = buffer.as<T>();
  const double flops = c.flops_per_pixel() * double(part.rows * c.w.out) / double(part.chunks);
  parallel_items(part.chunks, flops, [&](int64_t i) {
    compute<T>(c, data, part, part_begin(part.rows, part.chunks, i), part_begin(part.rows, part.chunks, i + 1),
               sums + i * part.size);
  });
  kernels<T>().pack.add_rows(sums + part.size, part.size, part.chunks - 1, part.size, sums);
  T* dw = data.dw;
  for (int64_t k = 0; k < c.out_channels; ++k) {
    const T* sum = sums + k * part.pitch;
    for (int64_t i = 0; i < c.in_channels; ++i)
      for (int64_t r = 0; r < c.h.taps; ++r)
        for (int64_t s = 0; s < c.w.taps; ++s) *dw++ = sum[r * part.vectors * lanes + s * c.in_channels + i];
    if (data.db) data.db[k] = sum[part.pitch - 1];
  }
}

// Where these vectors are fuller than those of output channels, in a loop that broadcasts few of them; in
// planes dot products compete, whose vectors are full of pixels.
bool accepts(const Correlation& c, MemoryFormat, MemoryFormat x) {
  constexpr int64_t kLanes = 16, kMostOutputs = 32, kMostLine = 1 << 20;
  if (c.groups > 1 || c.w.step != 1 || c.out_channels > kMostOutputs || c.w.stride > c.w.taps) return false;
  if (partition(c, kLanes).line * (c.h.taps * c.h.step + c.h.stride) >= kMostLine) return false;
  const auto filled = [](int64_t n) { return double(n) / double(round_up(n, kLanes)); };
  const double taps = filled(c.w.taps * c.in_channels);
  if (x == MemoryFormat::contiguous && taps < 0.8) return false;
  return taps > filled(c.out_channels) || (c.out_channels <= kLanes && taps >= 0.75);
}

}   // namespace

const WeightGradientAlgorithm weight_rows = {"tap-rows", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
