// Direct convolution with images along the vectors, for batches of small images with few channels: neither the
// columns of a plane nor the output channels would fill a vector there, 16 images do. Blocks of 16 images are
// turned to [..][image]; then output channels are broadcast, and neighbouring pixels are the tile's vectors.
// Tap rows outside the image are left out, columns outside it read zeros.
#include <algorithm>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../tiling.hpp"
#include "image_lanes.hpp"
#include "strip.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kLineBytes = 128 << 10;   // of the lines of an output row: what L1 and L2 serve well

Turned turned(const Correlation& c, MemoryFormat format) {
  Turned t{};
  t.channels = c.in_channels;
  t.height = c.h.in;
  t.columns = c.w.in;
  t.left = std::max<int64_t>(0, -c.w.first);
  t.width = t.left + std::max(c.w.in, (c.w.out - 1) * c.w.stride + c.w.first + (c.w.taps - 1) * c.w.step + 1);
  const bool planes = format == MemoryFormat::contiguous;
  t.column = planes ? 1 : c.in_channels;
  t.line = t.width * t.column;
  t.channel = planes ? c.h.in * t.line : 1;
  t.block = c.h.in * t.width * c.in_channels;
  return t;
}

// Neighbouring pixels of output row p; args.x is the block.
template <class T>
void compute(const Correlation& c, const Turned& t, PlanarArgs<T> args, const T* const* weights, const T** rows,
             const int32_t* offsets, int64_t p, bool relu) {
  const int64_t row = c.w.taps * c.in_channels;
  const Reach taps = reach(c.h, p);
  const int64_t steps = (taps.last - taps.first) * row, blocks = depth_blocks(steps, kSummed);
  args.x += (p * c.h.stride + c.h.first + taps.first * c.h.step) * t.line * kernels<T>().gemm.lanes;
  args.weights = rows;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t begin = part_begin(steps, blocks, b);
    for (int64_t k = 0; k < args.rows; ++k) rows[k] = weights[k] + taps.first * row + begin;
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
  weight_rows_of(c, data.weight, copy.as<T>());
  const std::vector<const T*> weights = row_pointers<T>(copy.as<const T>(), c.out_channels, c.depth());
  std::vector<int32_t> offsets;   // of each step
  for (int64_t r = 0; r < c.h.taps; ++r)
    for (int64_t s = 0; s < c.w.taps; ++s)
      for (int64_t i = 0; i < c.in_channels; ++i)
        offsets.push_back(int32_t((i * t.channel + r * c.h.step * t.line + s * c.w.step * t.column) * lanes));
  const bool relu = data.activation == Activation::relu;

  const int64_t blocks = div_up(c.batch, lanes), strips = std::min(div_up(kChunks, blocks), c.h.out);
  const int64_t end = c.h.first + (c.h.out - 1) * c.h.stride + (c.h.taps - 1) * c.h.step + 1;
  const memory::Buffer turned_input(size_t(blocks * t.block * lanes) * sizeof(T));
  turn_images(t, data.in, data.in_format, c.batch, c.h.first, end, turned_input.as<T>());
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
    std::vector<const T*> rows(weights.size());
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t q = 0; q < c.w.out; q += vectors) {
        args.vectors = int(std::min(vectors, c.w.out - q));
        for (int j = 0; j < args.vectors; ++j) {
          args.x_offsets[j] = ((q + j) * c.w.stride + c.w.first + t.left) * t.column * lanes;
          args.c_offsets[j] = ((p - p0) * c.w.out + q + j) * (planes ? 1 : c.out_channels) * lanes;
          args.lanes[j] = int(lanes);
        }
        compute(c, t, args, weights.data(), rows.data(), offsets.data(), p, relu);
      }
    if (data.activation != Activation::none && !relu)
      activation_kernel<T>(data.activation)(args.c, args.c, c.out_channels * pixels * lanes);
    put_images(args.c, planes, c.out_channels, c.h.out, c.w.out, p0, p1,
               std::min(lanes, c.batch - block * lanes), data.out + block * lanes * c.out_channels * c.pixels(),
               data.out_format);
  });
}

bool accepts(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  constexpr int64_t kFewestOutputs = 4, kMostOutputs = 48, kFewestSteps = 64;
  constexpr double kFarthest = 1 << 30;   // offsets are int32
  const Turned t = turned(c, in);
  const int64_t lines = ((c.h.taps - 1) * c.h.step + 1) * t.width * c.in_channels;
  const bool planes = in == MemoryFormat::contiguous && out == MemoryFormat::contiguous;
  return c.groups == 1 && c.h.dense() && c.w.dense() && c.taps() > 1 && c.depth() >= kFewestSteps &&
         c.out_channels >= kFewestOutputs && c.out_channels <= kMostOutputs && !wasteful(c.batch) &&
         lines * kImageLanes * int64_t(sizeof(float)) <= kLineBytes &&
         double(t.block * kImageLanes) < kFarthest &&
         (planes ? wasteful(c.w.out) : c.out_channels <= kImageLanes || wasteful(c.out_channels));
}

}   // namespace

const CorrelationAlgorithm batch_lanes = {"batch-lanes", accepts, run<float>, run<double>,
                                          nullptr,       nullptr, kImageLanes};

}   // namespace fastconv::cpu
