// Convolution of planes (NCHW) as a packed matrix product: output channels are broadcast, pixels of an output
// plane lie along the vectors. For each panel of 64 pixels the input under 128 or so of the products' steps
// is gathered into a block that stays in L1 while all output channels pass over it.
#include <cstring>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"

namespace fastconv::cpu {
namespace {

// The pieces of one tap's input under output pixels [begin, end) of a plane.
void clip(const Correlation& c, int64_t r, int64_t s, int64_t begin, int64_t end,
          std::vector<Segment>& pieces) {
  pieces.clear();
  const auto zeros = [&](int64_t to, int64_t length) {
    if (length > 0) pieces.push_back({to, -1, length});
  };
  const int64_t x0 = c.w.first + s * c.w.step;
  // Output columns [left, right) read inside the input.
  const int64_t left = x0 < 0 ? div_up(-x0, c.w.stride) : 0;
  const int64_t right = c.w.in > x0 ? (c.w.in - x0 - 1) / c.w.stride + 1 : 0;
  for (int64_t at = begin; at < end;) {
    const int64_t p = at / c.w.out, q0 = at % c.w.out, q1 = std::min(c.w.out, q0 + end - at);
    const int64_t y = p * c.h.stride + c.h.first + r * c.h.step;
    int64_t from = std::clamp(left, q0, q1), until = std::clamp(right, q0, q1);
    if (y < 0 || y >= c.h.in || from >= until) from = until = q1;
    zeros(at - begin, from - q0);
    if (from < until)
      pieces.push_back({at - begin + from - q0, y * c.w.in + x0 + from * c.w.stride, until - from});
    zeros(at - begin + until - q0, q1 - until);
    at += q1 - q0;
  }
}

// The weight as rows of depth consecutive values (channel, tap row, tap); forward's lies so already.
template <class T>
const T* weight_rows(const Correlation& c, const T* weight, T* copy) {
  if (c.weight_w == 1 && c.weight_h == c.w.taps && c.weight_in == c.taps()) return weight + c.weight_base;
  // Blocks of rows, so that what neighbouring rows share of a cache line is read and written once.
  constexpr int64_t kRows = 32;
  const int64_t blocks = div_up(c.out_channels, kRows), depth = c.depth();
  parallel_items(c.groups * blocks, kMoveFlops * double(kRows * depth), [&](int64_t block) {
    const int64_t g = block / blocks, k0 = block % blocks * kRows;
    const int64_t rows = std::min(kRows, c.out_channels - k0);
    const T* from = weight + c.weight_base + g * c.weight_group + k0 * c.weight_out;
    T* to = copy + (g * c.out_channels + k0) * depth;
    if (c.taps() == 1 && c.weight_out == 1)
      return kernels<T>().pack.transpose(from, c.weight_in, to, depth, c.in_channels, rows);
    for (int64_t i = 0; i < c.in_channels; ++i)
      for (int64_t k = 0; k < rows; ++k) {
        const T* w = from + i * c.weight_in + k * c.weight_out;
        T* row = to + k * depth + i * c.taps();
        for (int64_t r = 0; r < c.h.taps; ++r)
          for (int64_t s = 0; s < c.w.taps; ++s) *row++ = w[r * c.weight_h + s * c.weight_w];
      }
  });
  return copy;
}

template <class T>
struct Task {
  int64_t n, g, begin, end;   // image, group, pixels of the plane
  int64_t first, last;        // output channels of the group
};

// Equal panels, so that the last is not a sliver.
int64_t panel_of(int64_t pixels, int64_t widest, int64_t lanes) {
  const int64_t panels = div_up(pixels, widest);
  return round_up(div_up(pixels, panels), lanes);
}

template <class T>
void compute(const Correlation& c, const CorrelationData<T>& data, const T* const* rows, const Task<T>& task) {
  const auto& gemm = kernels<T>().gemm;
  const auto& pack = kernels<T>().pack;
  const int64_t panel = panel_of(task.end - task.begin, gemm.lanes * gemm.vectors, gemm.lanes);
  const int64_t taps = c.taps(),
                steps = std::max<int64_t>(1, (kDepth + kDepth / 4) / taps);   // channels a block
  const int64_t plane = c.h.extent * c.w.extent, channels = task.last - task.first;
  const bool dense = c.h.dense() && c.w.dense();
  const memory::Buffer block(size_t(steps * taps * panel) * sizeof(T));
  const memory::Buffer scratch(dense ? 0 : size_t(channels * panel) * sizeof(T));
  const T* in = data.in + (task.n * c.groups + task.g) * c.in_channels * c.h.in * c.w.in;
  T* out = data.out + ((task.n * c.groups + task.g) * c.out_channels + task.first) * plane;
  const std::vector<ptrdiff_t> offsets = row_offsets(channels, dense ? plane : panel);
  const bool relu = data.activation == Activation::relu;
  std::vector<Segment> pieces;
  std::vector<ptrdiff_t> places;   // of a panel's pixels, where they do not lie side by side

  for (int64_t p0 = task.begin; p0 < task.end; p0 += panel) {
    const int64_t width = std::min(panel, task.end - p0), padded = round_up(width, gemm.lanes);
    for (int64_t i = 0; i < c.in_channels; i += steps) {
      const int64_t count = std::min(steps, c.in_channels - i);
      for (int64_t t = 0; t < taps; ++t) {
        clip(c, t / c.w.taps, t % c.w.taps, p0, p0 + width, pieces);
        if (padded > width) pieces.push_back({width, -1, padded - width});
        pack.gather(in + i * c.h.in * c.w.in, c.h.in * c.w.in, block.as<T>() + t * padded, taps * padded, count,
                    pieces.data(), int64_t(pieces.size()), c.w.stride);
      }
      const Run<T> run = {rows + task.g * c.out_channels + task.first, i * taps, 0, count * taps};
      gemm.panel({channels, width, &run, 1, 1, block.as<T>(), dense ? out + p0 : scratch.as<T>(),
                  offsets.data(), i > 0, nullptr,
                  data.bias ? data.bias + task.g * c.out_channels + task.first : nullptr,
                  relu && i + count == c.in_channels});
    }
    if (!dense) {
      places.clear();
      for (int64_t j = p0; j < p0 + width; ++j)
        places.push_back((c.h.out_first + j / c.w.out * c.h.out_step) * c.w.extent + c.w.out_first +
                         j % c.w.out * c.w.out_step);
      for (int64_t k = 0; k < channels; ++k)
        for (int64_t j = 0; j < width; ++j) out[k * plane + places[size_t(j)]] = scratch.as<T>()[k * panel + j];
    }
    if (data.activation != Activation::none && !relu)
      for (int64_t k = 0; k < channels; ++k)
        activation_kernel<T>(data.activation)(out + k * plane + p0, out + k * plane + p0, width);
  }
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const auto& gemm = kernels<T>().gemm;
  const memory::Buffer copy(size_t(c.groups * c.out_channels * c.depth()) * sizeof(T));
  const T* weight = weight_rows(c, data.weight, copy.as<T>());
  const std::vector<const T*> rows = row_pointers(weight, c.groups * c.out_channels, c.depth());

  // Up to four panels share a pass over the weight, as far as there are strips enough for all threads.
  const int64_t planes = c.batch * c.groups, widest = gemm.lanes * gemm.vectors;
  const int64_t panels = div_up(c.pixels(), widest);
  const int64_t together = std::clamp<int64_t>(planes * panels / kChunks, 1, 4);
  const int64_t strips = div_up(panels, together);
  const double flops = 2.0 * double(c.depth()) * double(c.out_channels) * double(c.pixels());
  const int64_t wanted = std::min(kChunks, int64_t(flops * double(planes) / kChunkFlops) + 1);
  const int64_t splits = std::clamp<int64_t>(wanted / (planes * strips), 1, div_up(c.out_channels, 24));
  const double each =
      flops / double(strips * splits) + kMoveFlops * double(c.depth()) * double(c.pixels() / strips);
  parallel_items(planes * strips * splits, each, [&](int64_t item) {
    const int64_t k = item % splits, i = item / splits, plane = i / strips;
    const int64_t vectors = div_up(c.pixels(), gemm.lanes);
    const int64_t begin = part_begin(vectors, strips, i % strips) * gemm.lanes;
    const int64_t end = part_begin(vectors, strips, i % strips + 1) * gemm.lanes;
    compute<T>(c, data, rows.data(),
               {plane / c.groups, plane % c.groups, begin, std::min(c.pixels(), end),
                part_begin(c.out_channels, splits, k), part_begin(c.out_channels, splits, k + 1)});
  });
}

bool accepts(const Correlation&, MemoryFormat in, MemoryFormat out) {
  return in == MemoryFormat::contiguous && out == MemoryFormat::contiguous;
}

}   // namespace

const CorrelationAlgorithm planar_gemm = {"planar-gemm", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
