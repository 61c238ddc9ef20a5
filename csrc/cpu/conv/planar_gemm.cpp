// Convolution of planes (NCHW) as a packed matrix product: output channels are broadcast, pixels lie along the
// vectors. The output pixels of all images form one row, cut into panels of four vectors: the input under 128
// or so of the products' steps is gathered into a block that stays in L1 while the output channels pass over
// it.
#include <cstring>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kRowBlock = 192;   // output channels whose weight, of a block of steps, half fills L2
constexpr int64_t kFewRows = 96;     // fewer output channels would not pay for gathering a block again

// Pixels [begin, end) of the row of all images, packed with `padded` between steps. `inside`: of one image
// whose result they are computed in, from element `out` on.
struct Panel {
  int64_t begin, end, padded, out;
  bool inside;
};

// What the blocks of neighbouring panels are made of: for each tap, pieces of the input of a channel, and
// zeros.
struct Pieces {
  std::vector<Segment> pieces;
  std::vector<size_t> first;   // piece of each tap, and the end

  void add(int64_t to, int64_t from, int64_t length, int64_t step) {
    if (length <= 0) return;
    if (pieces.size() > first.back()) {
      Segment& last = pieces.back();
      const bool zeros = from < 0 && last.from < 0;
      if (last.to + last.length == to &&
          (zeros || (from >= 0 && last.from >= 0 && last.from + last.length * step == from))) {
        last.length += length;
        return;
      }
    }
    pieces.push_back({to, from, length});
  }
};

// Adds the pieces of one tap under the panel's pixels, padded with zeros; they go to `block` on.
void clip(const Correlation& c, int64_t r, int64_t s, const Panel& panel, int64_t block, Pieces& pieces) {
  const int64_t begin = panel.begin, end = panel.end;
  const int64_t image = c.groups * c.in_channels * c.h.in * c.w.in, x0 = c.w.first + s * c.w.step;
  // Output columns [left, right) read inside the input.
  const int64_t left = x0 < 0 ? div_up(-x0, c.w.stride) : 0;
  const int64_t right = c.w.in > x0 ? (c.w.in - x0 - 1) / c.w.stride + 1 : 0;
  for (int64_t at = begin; at < end;) {
    const int64_t line = at / c.w.out, q0 = at % c.w.out, q1 = std::min(c.w.out, q0 + end - at);
    const int64_t y = line % c.h.out * c.h.stride + c.h.first + r * c.h.step;
    int64_t from = std::clamp(left, q0, q1), until = std::clamp(right, q0, q1);
    if (y < 0 || y >= c.h.in || from >= until) from = until = q1;
    const int64_t to = block + at - begin - q0;
    pieces.add(to + q0, -1, from - q0, 0);
    pieces.add(to + from, line / c.h.out * image + y * c.w.in + x0 + from * c.w.stride, until - from,
               c.w.stride);
    pieces.add(to + until, -1, q1 - until, 0);
    at += q1 - q0;
  }
  pieces.add(block + end - begin, -1, panel.padded - (end - begin), 0);
}

// The weight as a row for each output channel, `stride` apart, its steps (channel, tap row, tap) `step` apart.
template <class T>
struct Weights {
  memory::Buffer copy;
  const T* data;
  ptrdiff_t group, stride, step;

  Weights(const Correlation& c, const T* weight)
      : copy(in_place(c) ? 0 : size_t(c.groups * c.out_channels * pitch_of(c)) * sizeof(T)),
        data(in_place(c) ? weight + c.weight_base : copy.as<T>()),
        group(in_place(c) ? c.weight_group : c.out_channels * pitch_of(c)),
        stride(in_place(c) ? c.weight_out : pitch_of(c)),
        step(in_place(c) && c.taps() == 1 ? c.weight_in : 1) {
    if (!in_place(c)) turn(c, weight, copy.as<T>());
  }

 private:
  // Forward's: the steps of a row lie side by side.
  static bool dense(const Correlation& c) {
    return c.weight_w == 1 && c.weight_h == c.w.taps && c.weight_in == c.taps();
  }
  // Narrow panels read each row so often that it pays to have its steps, and the next row, in order.
  static bool in_place(const Correlation& c) {
    return kernels<T>().gemm.bundle == 1 && (c.taps() == 1 || dense(c));
  }
  // Off the powers of two, of which rows would share few sets of the cache.
  static int64_t pitch_of(const Correlation& c) { return round_up(c.depth(), 16) + 16; }

  static void turn(const Correlation& c, const T* weight, T* copy) {
    // Blocks of rows, so that what neighbouring rows share of a cache line is read and written once.
    constexpr int64_t kRows = 32;
    const auto& pack = kernels<T>().pack;
    const int64_t blocks = div_up(c.out_channels, kRows), depth = c.depth(), pitch = pitch_of(c);
    parallel_items(c.groups * blocks, kMoveFlops * double(kRows * depth), [&](int64_t block) {
      const int64_t g = block / blocks, k0 = block % blocks * kRows;
      const int64_t rows = std::min(kRows, c.out_channels - k0);
      const T* from = weight + c.weight_base + g * c.weight_group + k0 * c.weight_out;
      T* to = copy + (g * c.out_channels + k0) * pitch;
      if (dense(c)) return pack.copy(from, c.weight_out, to, pitch, rows, depth, depth);
      if (c.taps() == 1 && c.weight_out == 1)
        return pack.transpose(from, c.weight_in, to, pitch, c.in_channels, rows);
      for (int64_t i = 0; i < c.in_channels; ++i)
        for (int64_t k = 0; k < rows; ++k) {
          const T* w = from + i * c.weight_in + k * c.weight_out;
          T* row = to + k * pitch + i * c.taps();
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

Panel panel_at(const Correlation& c, const Task& task, int64_t begin, int64_t width, int64_t lanes) {
  const int64_t end = std::min(task.end, begin + width), n = begin / c.pixels();
  return {begin, end, round_up(end - begin, lanes),
          ((n * c.groups + task.g) * c.out_channels + task.first) * c.pixels() + begin % c.pixels(),
          c.h.dense() && c.w.dense() && end <= (n + 1) * c.pixels()};
}

// Of panels [first, last), which are equally wide and whose blocks lie block_size apart.
Pieces pieces_of(const Correlation& c, const std::vector<Panel>& panels, size_t first, size_t last,
                 int64_t block_size) {
  Pieces pieces;
  for (int64_t t = 0; t < c.taps(); ++t) {
    pieces.first.push_back(pieces.pieces.size());
    for (size_t j = first; j < last; ++j)
      clip(c, t / c.w.taps, t % c.w.taps, panels[j], int64_t(j) * block_size, pieces);
  }
  pieces.first.push_back(pieces.pieces.size());
  return pieces;
}

// The input of `count` channels under the panels: neighbours in turn, so that lines and pages are read once.
template <class T>
void gather(const Correlation& c, const T* in, int64_t count, int64_t padded, const Pieces& pieces, T* blocks) {
  const int64_t taps = c.taps();
  for (int64_t t = 0; t < taps; ++t)
    kernels<T>().pack.gather(in, c.h.in * c.w.in, blocks + t * padded, taps * padded, count,
                             pieces.pieces.data() + pieces.first[size_t(t)],
                             int64_t(pieces.first[size_t(t + 1)] - pieces.first[size_t(t)]), c.w.stride);
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
                steps = std::max<int64_t>(1, (gemm.depth + gemm.depth / 4) / taps);   // channels a block
  const int64_t plane = c.h.extent * c.w.extent, channels = task.last - task.first;
  // Narrow panels share the rows of a block of the weight while it is in L2.
  const int64_t together = gemm.bundle == 1 ? 1 : 2 * gemm.bundle;
  const int64_t rows = gemm.bundle == 1 ? channels : kRowBlock;
  const int64_t block_size = steps * taps * width, computed_size = channels * width;
  const memory::Buffer block(size_t(together * block_size) * sizeof(T));
  const memory::Buffer computed(size_t(together * computed_size) * sizeof(T));
  const bool relu = data.activation == Activation::relu;
  const T* in = data.in + task.g * c.in_channels * c.h.in * c.w.in;
  const T* bias = data.bias ? data.bias + task.g * c.out_channels + task.first : nullptr;
  std::vector<Panel> panels;
  PanelArgs<T> args{};
  args.run_count = 1;
  args.step = weights.step;
  args.a_stride = weights.stride;

  for (int64_t begin = task.begin; begin < task.end; begin += together * width) {
    const int64_t end = std::min(task.end, begin + together * width), count = div_up(end - begin, width);
    panels.clear();
    for (int64_t at = begin; at < end; at += width) panels.push_back(panel_at(c, task, at, width, gemm.lanes));
    const size_t equal = panels.size() - (panels.back().padded < width);
    const Pieces pieces = pieces_of(c, panels, 0, equal, block_size);
    const Pieces rest = pieces_of(c, panels, equal, panels.size(), block_size);
    const auto out_of = [&](int64_t j) {
      const Panel& panel = panels[size_t(j)];
      return panel.inside ? data.out + panel.out : computed.as<T>() + j * computed_size;
    };
    for (int64_t i = 0; i < c.in_channels; i += steps) {
      const Run<T> run = {nullptr, i * taps * weights.step, 0, std::min(steps, c.in_channels - i) * taps};
      args.runs = &run;
      args.accumulate = i > 0;
      args.relu = relu && i + steps >= c.in_channels;
      const T* channel = in + i * c.h.in * c.w.in;
      gather(c, channel, run.length / taps, width, pieces, block.as<T>());
      gather(c, channel, run.length / taps, panels.back().padded, rest, block.as<T>());
      for (int64_t k = 0; k < channels; k += rows)
        for (int64_t j = 0; j < count; ++j) {
          const Panel& panel = panels[size_t(j)];
          args.rows = std::min(rows, channels - k);
          args.columns = panel.end - panel.begin;
          args.b = block.as<T>() + j * block_size;
          args.c_stride = panel.inside ? plane : width;
          args.c = out_of(j) + k * args.c_stride;
          args.row_bias = bias ? bias + k : nullptr;
          args.even = weights.data + task.g * weights.group + (task.first + k) * weights.stride;
          gemm.panel(args);
        }
    }
    for (int64_t j = 0; j < count; ++j) {
      const Panel& panel = panels[size_t(j)];
      if (data.activation != Activation::none && !relu)
        for (int64_t k = 0; k < channels; ++k) {
          T* to = out_of(j) + k * (panel.inside ? plane : width);
          activation_kernel<T>(data.activation)(to, to, panel.end - panel.begin);
        }
      if (!panel.inside) put(c, data, task, panel.begin, panel.end, out_of(j), width);
    }
  }
}

// Panels of the row of all images are shared out in strips, and channels in splits where strips are few.
template <class T>
void run(const Correlation& strided, const CorrelationData<T>& given) {
  const bool skips = skips_pixels(strided);
  const int64_t read = strided.batch * strided.groups * strided.in_channels * strided.pixels();
  const memory::Buffer pixels_read(skips ? size_t(read) * sizeof(T) : 0);
  const Correlation c = skips ? without_skips(strided, given.in, pixels_read.as<T>()) : strided;
  CorrelationData<T> data = given;
  if (skips) data.in = pixels_read.as<T>();
  const auto& gemm = kernels<T>().gemm;
  const Weights<T> weights(c, data.weight);

  const int64_t widest = gemm.lanes * gemm.vectors;
  const int64_t pixels = c.batch * c.pixels(), units = div_up(pixels, widest);   // whole panels
  const double flops = 2.0 * double(c.depth()) * double(c.out_channels) * double(pixels) * double(c.groups);
  const int64_t wanted = std::min(kChunks, int64_t(flops / kChunkFlops) + 1);
  const int64_t panels = div_up(units, gemm.bundle);
  const int64_t strips = std::min(panels, std::max(div_up(panels, 4), div_up(wanted, c.groups)));
  const int64_t splits = std::clamp<int64_t>(wanted / (c.groups * strips), 1, div_up(c.out_channels, kFewRows));
  const double each =
      flops / double(c.groups * strips * splits) + kMoveFlops * double(c.depth() * pixels / strips);
  parallel_items(c.groups * strips * splits, each, [&](int64_t item) {
    const int64_t k = item % splits, i = item / splits, g = i / strips;
    const int64_t begin = part_begin(units, strips, i % strips) * widest;
    const int64_t end = part_begin(units, strips, i % strips + 1) * widest;
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
