// Convolution of planes (NCHW) as a packed matrix product: output channels are broadcast, pixels lie along the
// vectors. The output pixels of all images form one row, cut into panels of 64: the input under 128 or so of
// the products' steps is gathered into a block that stays in L1 while the output channels pass over it.
#include <cstring>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kMostPieces = 64;   // of a problem whose last one may run alone
constexpr int64_t kFewRows = 96;      // fewer output channels would not pay for gathering a block again

// What the block of a panel is made of: for each tap, pieces of the input of a channel, and zeros.
struct Panel {
  std::vector<Segment> pieces;
  std::vector<size_t> first;   // piece of each tap, and the end

  void add(int64_t to, int64_t from, int64_t length, int64_t step) {
    if (length <= 0) return;
    if (pieces.size() > first.back()) {
      Segment& last = pieces.back();
      const bool zeros = from < 0 && last.from < 0;
      if (zeros || (from >= 0 && last.from >= 0 && last.from + last.length * step == from)) {
        last.length += length;
        return;
      }
    }
    pieces.push_back({to, from, length});
  }
};

// Adds the pieces of one tap under pixels [begin, end) of the output row of all images; `padded` with zeros.
void clip(const Correlation& c, int64_t r, int64_t s, int64_t begin, int64_t end, int64_t padded,
          Panel& panel) {
  const int64_t image = c.groups * c.in_channels * c.h.in * c.w.in, x0 = c.w.first + s * c.w.step;
  // Output columns [left, right) read inside the input.
  const int64_t left = x0 < 0 ? div_up(-x0, c.w.stride) : 0;
  const int64_t right = c.w.in > x0 ? (c.w.in - x0 - 1) / c.w.stride + 1 : 0;
  panel.first.push_back(panel.pieces.size());
  for (int64_t at = begin; at < end;) {
    const int64_t line = at / c.w.out, q0 = at % c.w.out, q1 = std::min(c.w.out, q0 + end - at);
    const int64_t y = line % c.h.out * c.h.stride + c.h.first + r * c.h.step;
    int64_t from = std::clamp(left, q0, q1), until = std::clamp(right, q0, q1);
    if (y < 0 || y >= c.h.in || from >= until) from = until = q1;
    const int64_t to = at - begin - q0;
    panel.add(to + q0, -1, from - q0, 0);
    panel.add(to + from, line / c.h.out * image + y * c.w.in + x0 + from * c.w.stride, until - from,
              c.w.stride);
    panel.add(to + until, -1, q1 - until, 0);
    at += q1 - q0;
  }
  panel.add(end - begin, -1, padded - (end - begin), 0);
}

// The weight as a row for each output channel, its steps (channel, tap row, tap) `step` apart.
template <class T>
struct Weights {
  memory::Buffer copy;
  std::vector<const T*> rows;
  ptrdiff_t step;

  // In place where steps are evenly apart: forward's, and those of 1x1 kernels.
  static bool even(const Correlation& c) {
    return c.taps() == 1 || (c.weight_w == 1 && c.weight_h == c.w.taps && c.weight_in == c.taps());
  }
  Weights(const Correlation& c, const T* weight)
      : copy(even(c) ? 0 : size_t(c.groups * c.out_channels * c.depth()) * sizeof(T)),
        step(c.taps() == 1 ? c.weight_in : 1) {
    if (!even(c)) turn(c, weight, copy.as<T>());
    for (int64_t g = 0; g < c.groups; ++g)
      for (int64_t k = 0; k < c.out_channels; ++k)
        rows.push_back(even(c) ? weight + c.weight_base + g * c.weight_group + k * c.weight_out
                               : copy.as<T>() + (g * c.out_channels + k) * c.depth());
  }

 private:
  static void turn(const Correlation& c, const T* weight, T* copy) {
    // Blocks of rows, so that what neighbouring rows share of a cache line is read and written once.
    constexpr int64_t kRows = 32;
    const int64_t blocks = div_up(c.out_channels, kRows), depth = c.depth();
    parallel_items(c.groups * blocks, kMoveFlops * double(kRows * depth), [&](int64_t block) {
      const int64_t g = block / blocks, k0 = block % blocks * kRows;
      const int64_t rows = std::min(kRows, c.out_channels - k0);
      const T* from = weight + c.weight_base + g * c.weight_group + k0 * c.weight_out;
      T* to = copy + (g * c.out_channels + k0) * depth;
      for (int64_t i = 0; i < c.in_channels; ++i)
        for (int64_t k = 0; k < rows; ++k) {
          const T* w = from + i * c.weight_in + k * c.weight_out;
          T* row = to + k * depth + i * c.taps();
          for (int64_t r = 0; r < c.h.taps; ++r)
            for (int64_t s = 0; s < c.w.taps; ++s) *row++ = w[r * c.weight_h + s * c.weight_w];
        }
    });
  }
};

struct Task {
  int64_t g, begin, end;   // group, pixels of the row of all images
  int64_t first, last;     // output channels of the group
};

// Equal panels, so that the last is not a sliver.
int64_t panel_of(int64_t pixels, int64_t widest, int64_t lanes) {
  const int64_t panels = div_up(pixels, widest);
  return round_up(div_up(pixels, panels), lanes);
}

// The computed pixels [begin, end), `stride` apart in each channel, to where they belong in every image.
template <class T>
void put(const Correlation& c, const CorrelationData<T>& data, const Task& task, int64_t begin, int64_t end,
         const T* computed, int64_t stride) {
  const int64_t plane = c.h.extent * c.w.extent, channels = task.last - task.first;
  const bool dense = c.h.dense() && c.w.dense();
  for (int64_t at = begin; at < end;) {
    const int64_t n = at / c.pixels(), p = at % c.pixels();
    const int64_t length = std::min(end - at, (dense ? c.pixels() : round_up(p + 1, c.w.out)) - p);
    const T* from = computed + at - begin;
    T* to = data.out + ((n * c.groups + task.g) * c.out_channels + task.first) * plane;
    if (dense) {
      kernels<T>().pack.copy(from, stride, to + p, plane, channels, length, length);
    } else {
      to += (c.h.out_first + p / c.w.out * c.h.out_step) * c.w.extent + c.w.out_first +
            p % c.w.out * c.w.out_step;
      for (int64_t k = 0; k < channels; ++k)
        for (int64_t j = 0; j < length; ++j) to[k * plane + j * c.w.out_step] = from[k * stride + j];
    }
    at += length;
  }
}

template <class T>
void compute(const Correlation& c, const CorrelationData<T>& data, const Weights<T>& weights,
             const Task& task) {
  const auto& gemm = kernels<T>().gemm;
  const int64_t width = panel_of(task.end - task.begin, gemm.lanes * gemm.vectors, gemm.lanes);
  const int64_t taps = c.taps(),
                steps = std::max<int64_t>(1, (kDepth + kDepth / 4) / taps);   // channels a block
  const int64_t plane = c.h.extent * c.w.extent, channels = task.last - task.first;
  const memory::Buffer block(size_t(steps * taps * width) * sizeof(T));
  const memory::Buffer computed(size_t(channels * width) * sizeof(T));
  const std::vector<ptrdiff_t> apart = row_offsets(channels, width), in_place = row_offsets(channels, plane);
  const bool relu = data.activation == Activation::relu;
  const T* in = data.in + task.g * c.in_channels * c.h.in * c.w.in;
  const T* bias = data.bias ? data.bias + task.g * c.out_channels + task.first : nullptr;
  Panel panel;

  for (int64_t p0 = task.begin; p0 < task.end; p0 += width) {
    const int64_t p1 = std::min(task.end, p0 + width), padded = round_up(p1 - p0, gemm.lanes);
    panel.pieces.clear();
    panel.first.clear();
    for (int64_t t = 0; t < taps; ++t) clip(c, t / c.w.taps, t % c.w.taps, p0, p1, padded, panel);
    panel.first.push_back(panel.pieces.size());
    // A panel inside one image is computed where it belongs.
    const int64_t n = p0 / c.pixels();
    const bool inside = c.h.dense() && c.w.dense() && p1 <= (n + 1) * c.pixels();
    T* out = inside
                 ? data.out + ((n * c.groups + task.g) * c.out_channels + task.first) * plane + p0 % c.pixels()
                 : computed.as<T>();
    for (int64_t i = 0; i < c.in_channels; i += steps) {
      const int64_t count = std::min(steps, c.in_channels - i);
      for (int64_t t = 0; t < taps; ++t)
        kernels<T>().pack.gather(in + i * c.h.in * c.w.in, c.h.in * c.w.in, block.as<T>() + t * padded,
                                 taps * padded, count, panel.pieces.data() + panel.first[size_t(t)],
                                 int64_t(panel.first[size_t(t + 1)] - panel.first[size_t(t)]), c.w.stride);
      const Run<T> run = {weights.rows.data() + task.g * c.out_channels + task.first, i * taps * weights.step,
                          0, count * taps};
      gemm.panel({channels, p1 - p0, &run, 1, weights.step, block.as<T>(), out,
                  inside ? in_place.data() : apart.data(), i > 0, nullptr, bias,
                  relu && i + count == c.in_channels});
    }
    if (data.activation != Activation::none && !relu)
      for (int64_t k = 0; k < channels; ++k) {
        T* to = out + (inside ? in_place : apart)[size_t(k)];
        activation_kernel<T>(data.activation)(to, to, p1 - p0);
      }
    if (!inside) put(c, data, task, p0, p1, computed.as<T>(), width);
  }
}

// Panels of the row of all images are shared out in strips, and channels in splits where strips are few.
template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const auto& gemm = kernels<T>().gemm;
  const Weights<T> weights(c, data.weight);

  const int64_t pixels = c.batch * c.pixels(), vectors = div_up(pixels, gemm.lanes);
  const double flops = 2.0 * double(c.depth()) * double(c.out_channels) * double(pixels) * double(c.groups);
  const int64_t wanted = std::min(kMostPieces, int64_t(flops / kChunkFlops) + 1);
  const int64_t panels = div_up(vectors, gemm.vectors);
  const int64_t strips = std::min(panels, std::max(div_up(panels, 4), div_up(wanted, c.groups)));
  const int64_t splits = std::clamp<int64_t>(wanted / (c.groups * strips), 1, div_up(c.out_channels, kFewRows));
  const double each =
      flops / double(c.groups * strips * splits) + kMoveFlops * double(c.depth() * pixels / strips);
  parallel_items(c.groups * strips * splits, each, [&](int64_t item) {
    const int64_t k = item % splits, i = item / splits, g = i / strips;
    const int64_t begin = part_begin(vectors, strips, i % strips) * gemm.lanes;
    const int64_t end = part_begin(vectors, strips, i % strips + 1) * gemm.lanes;
    compute<T>(c, data, weights,
               {g, begin, std::min(pixels, end), part_begin(c.out_channels, splits, k),
                part_begin(c.out_channels, splits, k + 1)});
  });
}

bool accepts(const Correlation&, MemoryFormat in, MemoryFormat out) {
  return in == MemoryFormat::contiguous && out == MemoryFormat::contiguous;
}

}   // namespace

const CorrelationAlgorithm planar_gemm = {"planar-gemm", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
