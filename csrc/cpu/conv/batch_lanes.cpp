// Direct convolution with images along the vectors, for batches of small images with few channels: neither the
// columns of a plane nor the output channels would fill a vector there, 16 images do. Blocks of 16 images are
// turned to [..][image]; then output channels are broadcast, and neighbouring pixels are the tile's vectors.
// Tap rows outside the image are left out, columns outside it read zeros.
#include <cstring>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"
#include "strip.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kLanes = 16;              // of the widest vectors
constexpr int64_t kLineBytes = 128 << 10;   // of the lines of an output row: what L1 and L2 serve well

// A turned block: channel i of column x of line y is the vector at i * channel + y * line + x * column.
struct Turned {
  int64_t left, width;   // zero columns before the input's, all columns
  int64_t channel, line, column, block;
};

Turned turned(const Correlation& c, MemoryFormat format) {
  Turned t{};
  t.left = std::max<int64_t>(0, -c.w.first);
  t.width = t.left + std::max(c.w.in, (c.w.out - 1) * c.w.stride + c.w.first + (c.w.taps - 1) * c.w.step + 1);
  const bool planes = format == MemoryFormat::contiguous;
  t.column = planes ? 1 : c.in_channels;
  t.line = t.width * t.column;
  t.channel = planes ? c.h.in * t.line : 1;
  t.block = c.h.in * t.width * c.in_channels;
  return t;
}

// The weight as rows of steps (tap row, tap, input channel).
template <class T>
void copy_weight(const Correlation& c, const T* weight, T* to) {
  for (int64_t k = 0; k < c.out_channels; ++k)
    for (int64_t r = 0; r < c.h.taps; ++r)
      for (int64_t s = 0; s < c.w.taps; ++s)
        for (int64_t i = 0; i < c.in_channels; ++i)
          *to++ = weight[c.weight_base + k * c.weight_out + i * c.weight_in + r * c.weight_h + s * c.weight_w];
}

// Lines [y0, y1) of `images` images, from image n on.
template <class T>
void turn(const Correlation& c, const CorrelationData<T>& data, const Turned& t, int64_t n, int64_t images,
          int64_t y0, int64_t y1, T* block) {
  const int64_t lanes = kernels<T>().gemm.lanes, plane = c.h.in * c.w.in;
  const bool planes = data.in_format == MemoryFormat::contiguous;
  const int64_t inner = planes ? 1 : c.in_channels, outer = planes ? c.in_channels : 1;
  std::vector<ptrdiff_t> rows;
  for (int64_t y = y0; y < y1; ++y)
    for (int64_t x = 0; x < c.w.in * inner; ++x) rows.push_back((y * t.line + t.left * inner + x) * lanes);
  const int64_t right = t.width - t.left - c.w.in;
  for (int64_t i = 0; i < outer; ++i) {
    T* to = block + i * t.channel * lanes;
    if (images < lanes)   // no stray denormals in the lanes of the missing ones
      std::memset(to + y0 * t.line * lanes, 0, size_t((y1 - y0) * t.line * lanes) * sizeof(T));
    kernels<T>().pack.transpose_rows(data.in + (n * c.in_channels + i) * plane + y0 * c.w.in * inner,
                                     c.in_channels * plane, to, rows.data(), images, int64_t(rows.size()));
    for (int64_t y = y0; y < y1; ++y) {
      T* line = to + y * t.line * lanes;
      std::memset(line, 0, size_t(t.left * inner * lanes) * sizeof(T));
      std::memset(line + (t.left + c.w.in) * inner * lanes, 0, size_t(right * inner * lanes) * sizeof(T));
    }
  }
}

// Computed rows [p0, p1) of channels and 16 images to where they belong: computed as [channel][pixel] for
// planes, else [pixel][channel].
template <class T>
void put(const Correlation& c, const CorrelationData<T>& data, const T* computed, int64_t n, int64_t images,
         int64_t p0, int64_t p1) {
  const int64_t lanes = kernels<T>().gemm.lanes, pixels = (p1 - p0) * c.w.out,
                image = c.out_channels * c.pixels();
  const bool planes = data.out_format == MemoryFormat::contiguous;
  const int64_t parts = planes ? c.out_channels : 1, part = planes ? pixels : pixels * c.out_channels;
  T* to = data.out + n * image + p0 * c.w.out * (planes ? 1 : c.out_channels);
  for (int64_t k = 0; k < parts; ++k)
    kernels<T>().pack.transpose(computed + k * part * lanes, lanes, to + k * c.pixels(), image, part, images);
}

// Neighbouring pixels of output row p; args.x is the block.
template <class T>
void compute(const Correlation& c, const Turned& t, PlanarArgs<T> args, const T* const* weights,
             const int32_t* offsets, int64_t p, bool relu) {
  const int64_t row = c.w.taps * c.in_channels;
  const Reach taps = reach(c.h, p);
  const int64_t steps = (taps.last - taps.first) * row, blocks = depth_blocks(steps);
  args.x += (p * c.h.stride + c.h.first + taps.first * c.h.step) * t.line * kernels<T>().gemm.lanes;
  std::vector<const T*> rows(static_cast<size_t>(args.rows));
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t begin = part_begin(steps, blocks, b);
    for (int64_t k = 0; k < args.rows; ++k) rows[size_t(k)] = weights[k] + taps.first * row + begin;
    args.weights = rows.data();
    args.steps = part_begin(steps, blocks, b + 1) - begin;
    args.offsets = offsets + begin;
    args.accumulate = b > 0;
    args.relu = relu && b == blocks - 1;
    kernels<T>().gemm.planar(args);
  }
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const int64_t lanes = kernels<T>().gemm.lanes, vectors = kernels<T>().gemm.vectors;
  const bool planes = data.out_format == MemoryFormat::contiguous;
  const Turned t = turned(c, data.in_format);
  const memory::Buffer copy(size_t(c.out_channels * c.depth()) * sizeof(T));
  copy_weight(c, data.weight, copy.as<T>());
  const std::vector<const T*> weights = row_pointers<T>(copy.as<const T>(), c.out_channels, c.depth());
  std::vector<int32_t> offsets;   // of each step
  for (int64_t r = 0; r < c.h.taps; ++r)
    for (int64_t s = 0; s < c.w.taps; ++s)
      for (int64_t i = 0; i < c.in_channels; ++i)
        offsets.push_back(int32_t((i * t.channel + r * c.h.step * t.line + s * c.w.step * t.column) * lanes));
  const bool relu = data.activation == Activation::relu;

  // Parts of the lines, and of the output rows, of each block.
  const int64_t blocks = div_up(c.batch, lanes), each = div_up(kChunks, blocks);
  const int64_t first = std::clamp<int64_t>(c.h.first, 0, c.h.in);   // of the lines that are read
  const int64_t lines =
      std::clamp(c.h.first + (c.h.out - 1) * c.h.stride + (c.h.taps - 1) * c.h.step + 1, first, c.h.in) - first;
  const int64_t slices = std::clamp<int64_t>(each, 1, std::max<int64_t>(1, lines));
  const int64_t strips = std::min(each, c.h.out);
  const double moved = double(lines * t.width * c.in_channels * lanes / slices);
  const memory::Buffer turned_input(size_t(blocks * t.block * lanes) * sizeof(T));
  parallel_items(blocks * slices, kMoveFlops * moved, [&](int64_t item) {
    const int64_t block = item / slices, n = block * lanes, i = item % slices;
    T* to = turned_input.as<T>() + block * t.block * lanes;
    const int64_t y0 = first + part_begin(lines, slices, i), y1 = first + part_begin(lines, slices, i + 1);
    turn(c, data, t, n, std::min(lanes, c.batch - n), y0, y1, to);
  });
  const double flops = c.flops_per_pixel() * double(c.pixels() * lanes) / double(strips);
  parallel_items(blocks * strips, flops, [&](int64_t item) {
    const int64_t block = item / strips, i = item % strips;
    const int64_t p0 = part_begin(c.h.out, strips, i), p1 = part_begin(c.h.out, strips, i + 1);
    const int64_t pixels = (p1 - p0) * c.w.out;
    const memory::Buffer computed(size_t(c.out_channels * pixels * lanes) * sizeof(T));
    PlanarArgs<T> args{};
    args.rows = c.out_channels;
    args.x = turned_input.as<const T>() + block * t.block * lanes;
    args.c = computed.as<T>();
    args.c_stride = planes ? pixels * lanes : lanes;
    args.row_bias = data.bias;
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t q = 0; q < c.w.out; q += vectors) {
        args.vectors = int(std::min(vectors, c.w.out - q));
        for (int j = 0; j < args.vectors; ++j) {
          args.x_offsets[j] = ((q + j) * c.w.stride + c.w.first + t.left) * t.column * lanes;
          args.c_offsets[j] = ((p - p0) * c.w.out + q + j) * (planes ? 1 : c.out_channels) * lanes;
          args.lanes[j] = int(lanes);
        }
        compute(c, t, args, weights.data(), offsets.data(), p, relu);
      }
    if (data.activation != Activation::none && !relu)
      activation_kernel<T>(data.activation)(args.c, args.c, c.out_channels * pixels * lanes);
    put(c, data, args.c, block * lanes, std::min(lanes, c.batch - block * lanes), p0, p1);
  });
}

// Whether n of 16 lanes at a time leave more than a tenth of them empty.
bool wasteful(int64_t n) { return 10 * n < 9 * round_up(n, kLanes); }

bool accepts(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  constexpr int64_t kFewestOutputs = 4, kMostOutputs = 48, kFewestSteps = 64;
  constexpr double kFarthest = 1 << 30;   // offsets are int32
  const Turned t = turned(c, in);
  const int64_t lines = ((c.h.taps - 1) * c.h.step + 1) * t.width * c.in_channels;
  const bool planes = in == MemoryFormat::contiguous && out == MemoryFormat::contiguous;
  return c.groups == 1 && c.h.dense() && c.w.dense() && c.taps() > 1 && c.depth() >= kFewestSteps &&
         c.out_channels >= kFewestOutputs && c.out_channels <= kMostOutputs && !wasteful(c.batch) &&
         lines * kLanes * int64_t(sizeof(float)) <= kLineBytes && double(t.block * kLanes) < kFarthest &&
         (planes ? wasteful(c.w.out) : c.out_channels <= kLanes || wasteful(c.out_channels));
}

}   // namespace

const CorrelationAlgorithm batch_lanes = {"batch-lanes", accepts, run<float>, run<double>,
                                          nullptr,       nullptr, kLanes};

}   // namespace fastconv::cpu
