// Direct convolution, channels last: pixels are broadcast, output channels lie along the vectors, and the
// weight is packed into panels [depth][64]. No image is ever unrolled: each tap gives the register tile one
// pointer a pixel, into the input or, where the tap hangs over the edge, at a row of zeros.
//
// With few input channels a tap is too short a run. There the rows of the input that a chunk needs are copied
// with their padding, and the taps of one kernel row become one run of taps * channels elements.
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

constexpr int64_t kFewChannels = 8;   // below half a vector, the pointers of a tap cost more than its products

bool mergeable(const Correlation& c) {
  return c.groups == 1 && c.in_channels <= kFewChannels && (c.w.taps <= 1 || c.w.step == 1);
}

// How the work is cut, from the problem alone: strips of output rows (of any image), and panels of channels.
struct Partition {
  int64_t rows, strips;    // all output rows; parts of them
  int64_t columns;         // parts of a row, where there are few strips
  int64_t panel, panels;   // channels a panel; panels a group
  int64_t bundles;         // parts of the panels, where there are few strips
};

Partition partition(const Correlation& c, int64_t panel) {
  // Pixels a strip: fewer would load the weight in vain, and leave too much of the last register tile empty.
  constexpr double kPixels = 192, kFewestPixels = 96;
  constexpr double kFineFlops = 4e6;   // a chunk of such a strip
  Partition part{};
  part.rows = c.batch * c.h.out;
  part.panel = panel;
  part.panels = div_up(c.out_channels, panel);
  const double all = double(part.rows * c.w.out), flops = c.flops_per_pixel() * all;
  const int64_t pixels =
      std::max<int64_t>(1, int64_t(all / std::max(kPixels, kChunkFlops / c.flops_per_pixel())));
  const int64_t strips = pixels < kChunks ? pixels : round_up(pixels, kChunks);
  const int64_t wanted = std::min(kChunks, int64_t(flops / kChunkFlops) + 1);
  const int64_t finer = std::min({div_up(kChunks, part.panels), int64_t(all / kFewestPixels),
                                  int64_t(flops / kFineFlops / double(part.panels))});
  part.strips = std::min(part.rows, std::max(strips, finer));
  const int64_t widest = std::max<int64_t>(1, int64_t(all / double(part.strips) / kPixels));
  const int64_t fine = std::min(kFineChunks, int64_t(flops / kChunkFlops) + 1);
  part.columns =
      part.strips < part.rows ? 1 : std::clamp<int64_t>(div_up(fine, part.strips * part.panels), 1, widest);
  part.bundles = std::clamp<int64_t>(wanted / (part.strips * part.columns), 1, part.panels);
  return part;
}

// Panels [group][panel][tap row][tap][channel][panel width]; the last panel of a group is as wide as it must
// be.
template <class T>
void pack_weight(const Correlation& c, const T* weight, int64_t panel, int64_t lanes, T* packed) {
  const int64_t panels = div_up(c.out_channels, panel), depth = c.depth();
  // A forward weight's rows lie in order (channel, tap row, tap): squares of it are transposed in registers.
  const bool rows = c.weight_w == 1 && c.weight_h == c.w.taps && c.weight_in == c.taps();
  const int64_t slices = std::clamp<int64_t>(kChunks / (panels * c.groups), 1, c.in_channels);
  const double moved = kMoveFlops * double(std::min(panel, c.out_channels) * depth / slices);
  parallel_items(c.groups * panels * slices, moved, [&](int64_t task) {
    const int64_t block = task / slices, j = block % panels;
    const int64_t width = std::min(panel, c.out_channels - j * panel), padded = round_up(width, lanes);
    const int64_t i0 = part_begin(c.in_channels, slices, task % slices);
    const int64_t i1 = part_begin(c.in_channels, slices, task % slices + 1);
    T* to = packed + block * depth * panel;
    const T* from = weight + c.weight_base + block / panels * c.weight_group + j * panel * c.weight_out;
    std::vector<ptrdiff_t> at;   // rows of the panel, in the order (channel, tap row, tap)
    for (int64_t i = i0; i < i1; ++i)
      for (int64_t t = 0; t < c.taps(); ++t) at.push_back((t * c.in_channels + i) * padded);
    if (width < padded)
      for (const ptrdiff_t row : at) std::memset(to + row, 0, size_t(padded) * sizeof(T));
    if (rows)
      return kernels<T>().pack.transpose_rows(from + i0 * c.taps(), c.weight_out, to, at.data(), width,
                                              (i1 - i0) * c.taps());
    const ptrdiff_t* row = at.data();
    for (int64_t i = i0; i < i1; ++i)
      for (int64_t r = 0; r < c.h.taps; ++r)
        for (int64_t s = 0; s < c.w.taps; ++s, ++row) {
          const T* w = from + i * c.weight_in + r * c.weight_h + s * c.weight_w;
          for (int64_t k = 0; k < width; ++k) to[*row + k] = w[k * c.weight_out];
        }
  });
}

// Panels [first, last) of group g; `out` is where channel 0 of the group's first panel here goes.
template <class T>
void multiply(const Correlation& c, const CorrelationData<T>& data, const Partition& part,
              const Strip<T>& strip, const T* packed, int64_t g, int64_t first, int64_t last, T* out) {
  const auto& gemm = kernels<T>().gemm;
  const int64_t depth = c.depth(), blocks = depth_blocks(depth);
  const T* bias = data.bias ? data.bias + g * c.out_channels : nullptr;
  std::vector<std::vector<Run<T>>> runs(strip.classes.size());
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t k0 = part_begin(depth, blocks, b), k1 = part_begin(depth, blocks, b + 1);
    const bool relu = data.activation == Activation::relu && b == blocks - 1;
    for (size_t i = 0; i < runs.size(); ++i) strip.cut(strip.classes[i], k0, k1, g * c.in_channels, runs[i]);
    for (int64_t j = first; j < last; ++j) {
      const int64_t width = std::min(part.panel, c.out_channels - j * part.panel);
      const T* panel = packed + (g * part.panels + j) * depth * part.panel + k0 * round_up(width, gemm.lanes);
      for (size_t i = 0; i < runs.size(); ++i) {
        const auto& pixels = strip.classes[i];
        if (b > 0 && runs[i].empty() && !relu) continue;
        gemm.panel({pixels.end - pixels.begin, width, runs[i].data(), int64_t(runs[i].size()), 1, panel,
                    out + (j - first) * part.panel, strip.out.data() + pixels.begin, b > 0,
                    bias ? bias + j * part.panel : nullptr, nullptr, relu});
      }
    }
  }
  if (data.activation == Activation::none || data.activation == Activation::relu) return;
  const ActivationKernel<T> finish = activation_kernel<T>(data.activation);
  const int64_t channels = std::min(c.out_channels, last * part.panel) - first * part.panel;
  for (const ptrdiff_t at : strip.out) finish(out + at, out + at, channels);
}

// Turns the result of a strip, [pixel][channel] at `computed`, into planes, from channel `first` on.
template <class T>
void put_planes(const Correlation& c, const T* computed, int64_t first, int64_t channels, int64_t row0,
                int64_t row1, T* out) {
  const int64_t plane = c.h.extent * c.w.extent;
  const auto& transpose = kernels<T>().pack.transpose;
  const bool dense = c.h.dense() && c.w.dense(), whole = c.w.out == c.w.extent;
  const memory::Buffer line(dense ? 0 : size_t(channels * c.w.out) * sizeof(T));
  for_images(c, row0, row1, [&](int64_t n, int64_t p0, int64_t p1, int64_t, int64_t) {
    T* to = out + (n * c.out_channels + first) * plane;
    if (dense && whole)
      return transpose(computed + (n * c.h.out + p0 - row0) * c.w.out * channels, channels, to + p0 * c.w.out,
                       plane, (p1 - p0) * c.w.out, channels);
    for (int64_t p = p0; p < p1; ++p) {
      const T* from = computed + (n * c.h.out + p - row0) * c.w.out * channels;
      if (dense) {
        transpose(from, channels, to + p * c.w.extent + c.w.out_first, plane, c.w.out, channels);
        continue;
      }
      transpose(from, channels, line.as<T>(), c.w.out, c.w.out, channels);
      T* at = to + (c.h.out_first + p * c.h.out_step) * c.w.extent + c.w.out_first;
      for (int64_t k = 0; k < channels; ++k)
        for (int64_t q = 0; q < c.w.out; ++q) at[k * plane + q * c.w.out_step] = line.as<T>()[k * c.w.out + q];
    }
  });
}

struct Task {
  int64_t row0, row1, first, last;   // output rows of all images; panels
};

template <class T>
void compute(const Correlation& c, const CorrelationData<T>& data, const Partition& part, const T* packed,
             const std::vector<T>& zeros, const Task& task) {
  const bool merge = mergeable(c), turn = !merge && data.in_format == MemoryFormat::contiguous;
  const Columns read = columns_read(c.w);
  const int64_t width = merge ? (c.w.out - 1) * c.w.stride + c.w.taps : turn ? read.end - read.begin : 0;
  Strip<T> strip{};
  strip.row0 = task.row0;
  strip.row1 = task.row1;
  const memory::Buffer copy(
      size_t(width > 0 ? lines_of(c, strip.row0, strip.row1) * width * c.in_channels : 0) * sizeof(T));
  if (merge) {
    keep_order(c, strip);
    copy_lines(c, data, copy.as<T>(), strip);
  } else {
    classify(c, strip);
    point_at_taps(c,
                  turn ? turned_lines(c, data.in, strip.row0, strip.row1, copy.as<T>())
                       : lines_in_place(c, data.in, strip.row0, strip.row1),
                  zeros.data(), strip);
  }
  if (data.out_format == MemoryFormat::contiguous) {   // groups == 1
    const int64_t channels = std::min(c.out_channels, task.last * part.panel) - task.first * part.panel;
    const memory::Buffer computed(size_t(strip.pixels() * channels) * sizeof(T));
    locate_in_strip(c, channels, strip);
    multiply(c, data, part, strip, packed, 0, task.first, task.last, computed.as<T>());
    put_planes(c, computed.as<const T>(), task.first * part.panel, channels, strip.row0, strip.row1, data.out);
  } else {
    locate_outputs(c, c.out_channels * c.groups, strip);
    for (int64_t g = 0; g < c.groups; ++g)
      multiply(c, data, part, strip, packed, g, task.first, task.last,
               data.out + g * c.out_channels + task.first * part.panel);
  }
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const auto& gemm = kernels<T>().gemm;
  const Partition part = partition(c, gemm.lanes * gemm.vectors);
  const memory::Buffer packed(size_t(c.groups * part.panels * part.panel * c.depth()) * sizeof(T));
  pack_weight(c, data.weight, part.panel, gemm.lanes, packed.as<T>());
  const std::vector<T> zeros(mergeable(c) ? 0 : size_t(c.in_channels * c.groups));
  const int64_t tasks = part.strips * part.columns * part.bundles;
  const double flops = c.flops_per_pixel() * double(part.rows * c.w.out) / double(tasks);
  parallel_items(tasks, flops, [&](int64_t task) {
    // The strips of a bundle in turn: its weight stays in the cache.
    const int64_t bundle = task / (part.strips * part.columns), column = task % part.columns;
    const int64_t strip = task / part.columns % part.strips;
    const Correlation own =
        columns_of(c, part_begin(c.w.out, part.columns, column), part_begin(c.w.out, part.columns, column + 1));
    compute(own, data, part, packed.as<const T>(), zeros,
            {part_begin(part.rows, part.strips, strip), part_begin(part.rows, part.strips, strip + 1),
             part_begin(part.panels, part.bundles, bundle), part_begin(part.panels, part.bundles, bundle + 1)});
  });
}

bool accepts_few(const Correlation& c, MemoryFormat, MemoryFormat out) {
  return out == MemoryFormat::channels_last && mergeable(c);
}
bool accepts(const Correlation&, MemoryFormat in, MemoryFormat out) {
  return in == MemoryFormat::channels_last && out == MemoryFormat::channels_last;
}
// Planes, turned a strip at a time, where channels fill the vectors: cheaper than gathering every tap, and with
// few input channels better than rows that leave vectors half empty.
bool accepts_planes(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  constexpr int64_t kManyChannels = 48, lanes = 16;
  const bool wasteful = 10 * c.w.out < 9 * round_up(c.w.out, lanes);
  return in == MemoryFormat::contiguous && out == MemoryFormat::contiguous && c.groups == 1 && c.taps() > 1 &&
         c.out_channels >= kManyChannels && (c.in_channels >= kManyChannels || (mergeable(c) && wasteful));
}

}   // namespace

const CorrelationAlgorithm channels_last_few = {"channels-last-few", accepts_few, run<float>, run<double>};
const CorrelationAlgorithm channels_last = {"channels-last", accepts, run<float>, run<double>};
const CorrelationAlgorithm turned_strips = {"turned-strips", accepts_planes, run<float>, run<double>};

}   // namespace fastconv::cpu
