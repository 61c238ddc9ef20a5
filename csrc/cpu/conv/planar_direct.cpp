// Direct convolution of planes (NCHW) for few output channels, where gathering a packed block would cost more
// than the products: output channels are broadcast, output columns lie along the vectors, and the taps read a
// padded copy of the input lines in place. The copy keeps the columns of each residue modulo the stride
// together, so that a vector of neighbouring outputs reads neighbouring inputs whatever the stride.
#include <cstring>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"
#include "line_copy.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kFewOutputs = 48;
constexpr int64_t kFewInputs = 4;
constexpr int64_t kFewestColumns = 256;
constexpr int64_t kCopyBytes = 256 << 10;   // of the lines of one strip: a quarter of a small L2

// Rows of a plane a strip, so that its lines fit the cache; of a wide row, a block of columns.
struct Partition {
  int64_t rows, strips;
  int64_t columns, blocks;
};

template <class T>
Partition partition(const Correlation& c, const LineCopy& lines) {
  Partition part{};
  const double flops = c.flops_per_pixel() * double(c.pixels()) / double(c.groups);
  const int64_t planes = c.batch * c.groups, lanes = kernels<T>().gemm.lanes;
  const int64_t line_bytes = lines.pitch * c.in_channels * c.h.stride * int64_t(sizeof(T));
  const int64_t fitting = std::max<int64_t>(1, kCopyBytes / line_bytes);
  const int64_t wanted = std::clamp<int64_t>(div_up(kFineChunks, planes), 1, int64_t(flops / kChunkFlops) + 1);
  part.rows = std::clamp<int64_t>(std::min(fitting, div_up(c.h.out, wanted)), 1, c.h.out);
  part.strips = div_up(c.h.out, part.rows);
  part.rows = div_up(c.h.out, part.strips);
  part.strips = div_up(c.h.out, part.rows);
  const int64_t cuts = part.rows > 1 ? 1 : std::max(wanted / part.strips, line_bytes / kCopyBytes);
  part.columns =
      round_up(div_up(c.w.out, std::clamp<int64_t>(cuts, 1, div_up(c.w.out, kFewestColumns))), lanes);
  part.blocks = div_up(c.w.out, part.columns);
  return part;
}

template <class T>
struct Weights {
  const T* rows;   // [group][out channel][depth]
  memory::Buffer copy;

  // Forward's lie in order.
  static bool ordered(const Correlation& c) {
    return c.weight_w == 1 && c.weight_h == c.w.taps && c.weight_in == c.taps() && c.weight_out == c.depth() &&
           c.weight_group == c.out_channels * c.depth();
  }
  Weights(const Correlation& c, const T* weight)
      : rows(weight + c.weight_base),
        copy(ordered(c) ? 0 : size_t(c.groups * c.out_channels * c.depth()) * sizeof(T)) {
    if (ordered(c)) return;
    T* to = copy.as<T>();
    rows = to;
    for (int64_t g = 0; g < c.groups; ++g)
      for (int64_t k = 0; k < c.out_channels; ++k)
        for (int64_t i = 0; i < c.in_channels; ++i)
          for (int64_t r = 0; r < c.h.taps; ++r) {
            const T* from = weight + c.weight_base + g * c.weight_group + k * c.weight_out + i * c.weight_in +
                            r * c.weight_h;
            for (int64_t s = 0; s < c.w.taps; ++s) *to++ = from[s * c.weight_w];
          }
  }
};

template <class T>
struct Image {
  const T* copy;
  const T* bias;
  const T* const* weights;   // [block of the depth][out channel]
  const int32_t* offsets;
  T* out;
};

// Output rows [begin, end) of one plane, from the copy of their lines.
template <class T>
void compute(const Correlation& c, const LineCopy& lines, const Image<T>& image, int64_t begin, int64_t end,
             bool relu, T* scratch) {
  const auto& gemm = kernels<T>().gemm;
  const int64_t across = div_up(c.w.out, gemm.lanes), vectors = (end - begin) * across;
  const int64_t plane = c.h.extent * c.w.extent, depth = c.depth(), blocks = depth_blocks(depth, kSummed);
  const bool dense = c.h.dense() && c.w.dense();
  PlanarArgs<T> args{};
  args.rows = c.out_channels;
  args.c = dense ? image.out : scratch;
  args.c_stride = dense ? plane : gemm.lanes * gemm.vectors;
  args.row_bias = image.bias;
  args.x = image.copy;
  int64_t p = 0, q = 0;   // row and column of a vector: few steps a tile leave no time for divisions
  for (int64_t v = 0; v < vectors; v += gemm.vectors) {
    args.vectors = int(std::min<int64_t>(gemm.vectors, vectors - v));
    for (int j = 0; j < args.vectors; ++j) {
      args.x_offsets[j] = p * c.h.stride * lines.pitch + q;
      args.c_offsets[j] = dense ? (begin + p) * c.w.extent + c.w.out_first + q : j * gemm.lanes;
      args.lanes[j] = int(std::min<int64_t>(gemm.lanes, c.w.out - q));
      q += gemm.lanes;
      if (q < c.w.out) continue;
      q = 0;
      ++p;
    }
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t l0 = part_begin(depth, blocks, b);
      args.weights = image.weights + b * c.out_channels;
      args.steps = part_begin(depth, blocks, b + 1) - l0;
      args.offsets = image.offsets + l0;
      args.accumulate = b > 0;
      args.relu = relu && b == blocks - 1;
      gemm.planar(args);
    }
    if (dense) continue;
    for (int64_t k = 0; k < c.out_channels; ++k)
      for (int j = 0; j < args.vectors; ++j) {
        const int64_t y = begin + (v + j) / across, q = (v + j) % across * gemm.lanes;
        T* to = image.out + k * plane + (c.h.out_first + y * c.h.out_step) * c.w.extent + c.w.out_first;
        for (int i = 0; i < args.lanes[j]; ++i)
          to[(q + i) * c.w.out_step] = scratch[k * args.c_stride + j * gemm.lanes + i];
      }
  }
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const auto& gemm = kernels<T>().gemm;
  const Partition part = partition<T>(c, LineCopy(c, gemm.lanes));
  const Correlation block = columns_of(c, 0, std::min(c.w.out, part.columns));
  const LineCopy lines(block, gemm.lanes);
  const Weights<T> weights(c, data.weight);
  const int64_t depth = c.depth(), blocks = depth_blocks(depth, kSummed), plane = c.h.extent * c.w.extent;
  std::vector<const T*> rows;   // [group][block][out channel]
  for (int64_t g = 0; g < c.groups; ++g)
    for (int64_t b = 0; b < blocks; ++b)
      for (int64_t k = 0; k < c.out_channels; ++k)
        rows.push_back(weights.rows + (g * c.out_channels + k) * depth + part_begin(depth, blocks, b));
  const std::vector<int32_t> offsets = lines.offsets(block, part.rows);
  const int64_t channel = lines.channel(block, part.rows), pieces = part.strips * part.blocks;
  const bool relu = data.activation == Activation::relu;
  const ActivationKernel<T> finish = relu ? nullptr : activation_kernel<T>(data.activation);

  const LineCopy::Pieces whole = lines.pieces(block, 0, part.rows);
  const double flops = c.flops_per_pixel() * double(c.pixels()) / double(c.groups * pieces);
  const auto& gather = kernels<T>().pack.gather;
  parallel_bundles(c.batch * c.groups * pieces, flops, [&](int64_t first, int64_t last) {
    const memory::Buffer copy(size_t(c.in_channels * channel) * sizeof(T));
    const memory::Buffer scratch(size_t(c.out_channels * gemm.lanes * gemm.vectors) * sizeof(T));
    const auto fill = [&](const T* plane, const std::vector<Segment>& segments) {
      gather(plane, c.h.in * c.w.in, copy.as<T>(), channel, c.in_channels, segments.data(),
             int64_t(segments.size()), c.w.stride);
    };
    if (pieces == 1) fill(nullptr, whole.zeros);
    for (int64_t i = first; i < last; ++i) {
      const int64_t image = i / pieces, g = image % c.groups, q = i % part.blocks * part.columns;
      const int64_t begin = i / part.blocks % part.strips * part.rows,
                    end = std::min(c.h.out, begin + part.rows);
      const Correlation own = columns_of(c, q, std::min(c.w.out, q + part.columns));
      const T* in = data.in + image * c.in_channels * c.h.in * c.w.in;
      if (pieces == 1) {
        fill(in, whole.data);
      } else {
        const LineCopy::Pieces its = lines.pieces(own, begin, end);
        fill(in, its.zeros);
        fill(in, its.data);
      }
      T* out = data.out + image * c.out_channels * plane;
      compute<T>(own, lines,
                 {copy.as<T>(), data.bias ? data.bias + g * c.out_channels : nullptr,
                  rows.data() + g * blocks * c.out_channels, offsets.data(), out},
                 begin, end, relu, scratch.as<T>());
      if (!finish) continue;   // forward: rows lie one after the other, and a block is one row's
      for (int64_t k = 0; k < c.out_channels; ++k) {
        T* to = out + k * plane + begin * c.w.extent + q;
        finish(to, to, (end - begin - 1) * c.w.extent + own.w.out);
      }
    }
  });
}

bool accepts(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  constexpr int64_t lanes = 16;
  return in == MemoryFormat::contiguous && out == MemoryFormat::contiguous && LineCopy::fits(c) &&
         (c.out_channels <= kFewOutputs || c.in_channels <= kFewInputs) &&
         10 * c.w.out >= 6 * round_up(c.w.out, lanes);   // little waste at the line's end
}

}   // namespace

const CorrelationAlgorithm planar_direct = {"planar-direct", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
