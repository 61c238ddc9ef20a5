// Direct convolution with images along the vectors, for batches of small images with few channels: neither the
// columns of a plane nor the output channels would fill a vector there, 16 images do. The lines of 16 images
// that a few output rows read are turned to [..][image] in the cache; then output channels are broadcast, and
// neighbouring pixels are the tile's vectors. Tap rows outside the image are left out, columns outside it read
// zeros.
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
constexpr int64_t kCopyBytes = 256 << 10;   // of the lines of one strip: a quarter of a small L2

// The turned lines: channel i of column x of line y is the vector at i * channel + y * line + x * column.
struct Turned {
  int64_t left, width;   // zero columns before the input's, all columns
  int64_t channel, line, column;
};

Turned turned(const Correlation& c, MemoryFormat format, int64_t lines) {
  Turned t{};
  t.left = std::max<int64_t>(0, -c.w.first);
  t.width = t.left + std::max(c.w.in, (c.w.out - 1) * c.w.stride + c.w.first + (c.w.taps - 1) * c.w.step + 1);
  const bool planes = format == MemoryFormat::contiguous;
  t.column = planes ? 1 : c.in_channels;
  t.line = t.width * t.column;
  t.channel = planes ? lines * t.line : 1;
  return t;
}

int64_t lines_of_rows(const Correlation& c, int64_t rows) {
  return std::min(c.h.in, (rows - 1) * c.h.stride + (c.h.taps - 1) * c.h.step + 1);
}

struct Partition {
  int64_t rows, strips;   // output rows a strip; strips a block of images
  int64_t blocks;         // of images
};

Partition partition(const Correlation& c, int64_t lanes, int64_t bytes) {
  Partition part{};
  part.blocks = div_up(c.batch, lanes);
  const double flops = c.flops_per_pixel() * double(c.pixels() * lanes);
  const int64_t wanted =
      std::clamp<int64_t>(div_up(2 * kChunks, part.blocks), 1, int64_t(flops / kChunkFlops) + 1);
  part.rows = std::max<int64_t>(1, c.h.out / wanted);
  const Turned t = turned(c, MemoryFormat::contiguous, 1);
  while (part.rows > 1 && lines_of_rows(c, part.rows) * t.line * c.in_channels * lanes * bytes > kCopyBytes)
    --part.rows;
  part.strips = div_up(c.h.out, part.rows);
  return part;
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
          int64_t y0, int64_t y1, T* to) {
  const int64_t lanes = kernels<T>().gemm.lanes, plane = c.h.in * c.w.in;
  const bool planes = data.in_format == MemoryFormat::contiguous;
  const int64_t inner = planes ? 1 : c.in_channels;   // elements a column
  std::vector<ptrdiff_t> rows;
  for (int64_t y = 0; y < y1 - y0; ++y)
    for (int64_t x = 0; x < c.w.in * inner; ++x) rows.push_back((y * t.line + t.left * inner + x) * lanes);
  const T* from = data.in + n * c.in_channels * plane + y0 * c.w.in * inner;
  for (int64_t i = 0; i < (planes ? c.in_channels : 1); ++i)
    kernels<T>().pack.transpose_rows(from + i * plane, c.in_channels * plane, to + i * t.channel * lanes,
                                     rows.data(), images, int64_t(rows.size()));
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

// Output row p from the turned lines, whose first is y0.
template <class T>
void compute_row(const Correlation& c, const Turned& t, PlanarArgs<T> args, const T* const* weights,
                 const int32_t* offsets, int64_t p, int64_t y0, bool relu) {
  const int64_t lanes = kernels<T>().gemm.lanes, row = c.w.taps * c.in_channels;
  const Reach taps = reach(c.h, p);
  const int64_t steps = (taps.last - taps.first) * row, blocks = depth_blocks(steps);
  const T* line = args.x + (p * c.h.stride + c.h.first - y0) * t.line * lanes;
  std::vector<const T*> rows(static_cast<size_t>(args.rows));
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t l0 = taps.first * row + part_begin(steps, blocks, b);
    for (int64_t k = 0; k < args.rows; ++k) rows[size_t(k)] = weights[k] + l0;
    args.weights = rows.data();
    args.steps = taps.first * row + part_begin(steps, blocks, b + 1) - l0;
    args.offsets = offsets + l0;
    args.accumulate = b > 0;
    args.relu = relu && b == blocks - 1;
    args.x = line;
    kernels<T>().gemm.planar(args);
  }
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const int64_t lanes = kernels<T>().gemm.lanes, vectors = kernels<T>().gemm.vectors;
  const Partition part = partition(c, lanes, sizeof(T));
  const bool planes = data.out_format == MemoryFormat::contiguous;
  const Turned t = turned(c, data.in_format, lines_of_rows(c, part.rows));
  const memory::Buffer copy(size_t(c.out_channels * c.depth()) * sizeof(T));
  copy_weight(c, data.weight, copy.as<T>());
  const std::vector<const T*> weights = row_pointers<T>(copy.as<const T>(), c.out_channels, c.depth());
  std::vector<int32_t> offsets;   // of each step, from the output pixel's first column and line
  for (int64_t r = 0; r < c.h.taps; ++r)
    for (int64_t s = 0; s < c.w.taps; ++s)
      for (int64_t i = 0; i < c.in_channels; ++i)
        offsets.push_back(int32_t((i * t.channel + r * c.h.step * t.line + s * c.w.step * t.column) * lanes));
  const bool relu = data.activation == Activation::relu;

  const double flops = c.flops_per_pixel() * double(c.pixels() * lanes) / double(part.strips);
  parallel_items(part.blocks * part.strips, flops, [&](int64_t item) {
    const int64_t n = item / part.strips * lanes, images = std::min(lanes, c.batch - n);
    const int64_t p0 = item % part.strips * part.rows, p1 = std::min(c.h.out, p0 + part.rows);
    const int64_t pixels = (p1 - p0) * c.w.out;
    const int64_t y0 = std::clamp<int64_t>(p0 * c.h.stride + c.h.first, 0, c.h.in);
    const int64_t bottom = (p1 - 1) * c.h.stride + c.h.first + (c.h.taps - 1) * c.h.step + 1;
    const int64_t y1 = std::clamp(bottom, y0, c.h.in);
    const size_t read =
        size_t(lines_of_rows(c, part.rows) * t.line / t.column * c.in_channels * lanes) * sizeof(T);
    const memory::Buffer lines(read);
    const memory::Buffer computed(size_t(c.out_channels * pixels * lanes) * sizeof(T));
    std::memset(lines.as<T>(), 0, read);
    turn(c, data, t, n, images, y0, y1, lines.as<T>());

    PlanarArgs<T> args{};
    args.rows = c.out_channels;
    args.c = computed.as<T>();
    args.c_stride = planes ? pixels * lanes : lanes;
    args.row_bias = data.bias;
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t q = 0; q < c.w.out; q += vectors) {
        args.x = lines.as<const T>();
        args.vectors = int(std::min(vectors, c.w.out - q));
        for (int j = 0; j < args.vectors; ++j) {
          args.x_offsets[j] = ((q + j) * c.w.stride + c.w.first + t.left) * t.column * lanes;
          args.c_offsets[j] = ((p - p0) * c.w.out + q + j) * (planes ? 1 : c.out_channels) * lanes;
          args.lanes[j] = int(lanes);
        }
        compute_row(c, t, args, weights.data(), offsets.data(), p, y0, relu);
      }
    if (data.activation != Activation::none && !relu)
      activation_kernel<T>(data.activation)(args.c, args.c, c.out_channels * pixels * lanes);
    put(c, data, args.c, n, images, p0, p1);
  });
}

// Whether n of 16 lanes at a time leave more than a tenth of them empty.
bool wasteful(int64_t n) { return 10 * n < 9 * round_up(n, kLanes); }

bool accepts(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  constexpr int64_t kFewestOutputs = 4, kMostOutputs = 48, kFewestTaps = 4;
  const int64_t line = turned(c, in, 1).width * c.in_channels * kLanes * int64_t(sizeof(float));
  const bool planes = in == MemoryFormat::contiguous && out == MemoryFormat::contiguous;
  return c.groups == 1 && c.h.dense() && c.w.dense() && c.taps() >= kFewestTaps &&
         c.out_channels >= kFewestOutputs && c.out_channels <= kMostOutputs && !wasteful(c.batch) &&
         lines_of_rows(c, 1) * line <= kCopyBytes && wasteful(planes ? c.w.out : c.out_channels);
}

}   // namespace

const CorrelationAlgorithm batch_lanes = {"batch-lanes", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
