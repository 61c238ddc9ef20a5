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

namespace fastconv::cpu {
namespace {

constexpr int64_t kFewChannels = 8;   // below half a vector, the pointers of a tap cost more than its products

bool mergeable(const Correlation& c) {
  return c.groups == 1 && c.in_channels <= kFewChannels && (c.w.taps <= 1 || c.w.step == 1);
}

// How the work is cut, from the problem alone: strips of output rows (of any image), and panels of channels.
struct Partition {
  int64_t rows, strips;    // all output rows; parts of them
  int64_t panel, panels;   // channels a panel; panels a group
  int64_t bundles;         // parts of the panels, where there are few strips
};

Partition partition(const Correlation& c, int64_t panel) {
  Partition part{};
  part.rows = c.batch * c.h.out;
  part.panel = panel;
  part.panels = div_up(c.out_channels, panel);
  const double worth = std::max(128.0, kChunkFlops / c.flops_per_pixel());
  const int64_t pixels = std::max<int64_t>(1, int64_t(double(part.rows * c.w.out) / worth));
  part.strips = std::min(part.rows, pixels < kChunks ? pixels : round_up(pixels, kChunks));
  const double flops = c.flops_per_pixel() * double(part.rows * c.w.out);
  const int64_t wanted = std::min(kChunks, int64_t(flops / kChunkFlops) + 1);
  part.bundles = std::clamp<int64_t>(wanted / std::max<int64_t>(1, part.strips), 1, part.panels);
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

// Where the register tile finds its rows: a list of runs (pointers of all pixels, elements).
template <class T>
struct Strip {
  std::vector<const T*> pointers;
  std::vector<Run<T>> runs;
  std::vector<ptrdiff_t> out;   // of each pixel

  // The runs that cover steps [begin, end) of a panel whose block begins at `begin`.
  void cut(int64_t begin, int64_t end, std::vector<Run<T>>& to) const {
    to.clear();
    int64_t at = 0;
    for (const Run<T>& run : runs) {
      const int64_t from = std::max(begin, at), until = std::min(end, at + run.length);
      if (from < until) to.push_back({run.rows, run.offset + from - at, from - begin, until - from});
      at += run.length;
    }
  }
};

template <class T>
void locate_outputs(const Correlation& c, int64_t row0, int64_t row1, int64_t channels, Strip<T>& strip) {
  strip.out.clear();
  for (int64_t row = row0; row < row1; ++row) {
    const int64_t n = row / c.h.out, y = c.h.out_first + row % c.h.out * c.h.out_step;
    for (int64_t q = 0; q < c.w.out; ++q)
      strip.out.push_back(((n * c.h.extent + y) * c.w.extent + c.w.out_first + q * c.w.out_step) * channels);
  }
}

// One run a tap: pointers straight into the input, or at `zeros`.
template <class T>
void point_at_taps(const Correlation& c, const T* in, const T* zeros, int64_t row0, int64_t row1,
                   Strip<T>& strip) {
  const int64_t channels = c.in_channels * c.groups, pixels = (row1 - row0) * c.w.out;
  strip.pointers.resize(size_t(c.taps() * pixels));
  strip.runs.clear();
  const T** to = strip.pointers.data();
  for (int64_t r = 0; r < c.h.taps; ++r)
    for (int64_t s = 0; s < c.w.taps; ++s) {
      strip.runs.push_back({to, 0, 0, c.in_channels});
      for (int64_t row = row0; row < row1; ++row) {
        const int64_t y = row % c.h.out * c.h.stride + c.h.first + r * c.h.step;
        const T* line = y >= 0 && y < c.h.in ? in + (row / c.h.out * c.h.in + y) * c.w.in * channels : nullptr;
        int64_t x = c.w.first + s * c.w.step;
        for (int64_t q = 0; q < c.w.out; ++q, x += c.w.stride)
          *to++ = line && x >= 0 && x < c.w.in ? line + x * channels : zeros;
      }
    }
}

// One run a kernel row, in a padded copy of the lines that the strip reads.
template <class T>
void copy_lines(const Correlation& c, const CorrelationData<T>& data, int64_t row0, int64_t row1, int64_t lines,
                T* copy, Strip<T>& strip) {
  const int64_t channels = c.in_channels;
  const int64_t left = -c.w.first, width = (c.w.out - 1) * c.w.stride + c.w.taps;
  const int64_t begin = std::max<int64_t>(0, c.w.first), end = std::min(c.w.in, width - left);
  const int64_t pixels = (row1 - row0) * c.w.out;
  strip.pointers.resize(size_t(pixels));
  strip.runs.clear();
  for (int64_t r = 0; r < c.h.taps; ++r)
    strip.runs.push_back({strip.pointers.data(), r * c.h.step * width * channels, 0, c.w.taps * channels});
  std::memset(copy, 0, size_t(lines * width * channels) * sizeof(T));
  const T** to = strip.pointers.data();
  for (int64_t row = row0, line = 0; row < row1;) {
    const int64_t n = row / c.h.out, p0 = row % c.h.out, p1 = std::min(c.h.out, p0 + row1 - row);
    const int64_t top = p0 * c.h.stride + c.h.first;
    const int64_t bottom = (p1 - 1) * c.h.stride + c.h.first + (c.h.taps - 1) * c.h.step + 1;
    for (int64_t y = std::max<int64_t>(0, top); y < std::min(c.h.in, bottom) && begin < end; ++y) {
      T* dst = copy + ((line + y - top) * width + begin + left) * channels;
      if (data.in_format == MemoryFormat::channels_last)
        std::memcpy(dst, data.in + ((n * c.h.in + y) * c.w.in + begin) * channels,
                    size_t((end - begin) * channels) * sizeof(T));
      else
        kernels<T>().pack.transpose(data.in + (n * channels * c.h.in + y) * c.w.in + begin, c.h.in * c.w.in,
                                    dst, channels, channels, end - begin);
    }
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t q = 0; q < c.w.out; ++q)
        *to++ = copy + ((line + (p - p0) * c.h.stride) * width + q * c.w.stride) * channels;
    line += bottom - top;
    row += p1 - p0;
  }
}

// Lines of input that output rows [row0, row1) need, padding included.
int64_t copied_lines(const Correlation& c, int64_t row0, int64_t row1) {
  int64_t lines = 0;
  for (int64_t row = row0; row < row1;) {
    const int64_t rows = std::min(c.h.out - row % c.h.out, row1 - row);
    lines += (rows - 1) * c.h.stride + (c.h.taps - 1) * c.h.step + 1;
    row += rows;
  }
  return lines;
}

template <class T>
void multiply(const Correlation& c, const CorrelationData<T>& data, const Partition& part,
              const Strip<T>& strip, const T* packed, int64_t g, int64_t first, int64_t last) {
  const auto& gemm = kernels<T>().gemm;
  const int64_t depth = c.depth(), blocks = depth_blocks(depth);
  const int64_t channel = g * c.out_channels;
  std::vector<Run<T>> runs;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t k0 = part_begin(depth, blocks, b), k1 = part_begin(depth, blocks, b + 1);
    strip.cut(k0, k1, runs);
    for (Run<T>& run : runs) run.offset += c.groups > 1 ? g * c.in_channels : 0;
    for (int64_t j = first; j < last; ++j) {
      const int64_t width = std::min(part.panel, c.out_channels - j * part.panel);
      const T* panel = packed + (g * part.panels + j) * depth * part.panel + k0 * round_up(width, gemm.lanes);
      gemm.panel({int64_t(strip.out.size()), width, runs.data(), int64_t(runs.size()), 1, panel,
                  data.out + channel + j * part.panel, strip.out.data(), b > 0,
                  data.bias ? data.bias + channel + j * part.panel : nullptr, nullptr,
                  data.activation == Activation::relu && b == blocks - 1});
    }
  }
  if (data.activation == Activation::none || data.activation == Activation::relu) return;
  const ActivationKernel<T> finish = activation_kernel<T>(data.activation);
  const int64_t begin = first * part.panel, end = std::min(c.out_channels, last * part.panel);
  for (const ptrdiff_t at : strip.out) {
    T* to = data.out + at + channel + begin;
    finish(to, to, end - begin);
  }
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const auto& gemm = kernels<T>().gemm;
  const Partition part = partition(c, gemm.lanes * gemm.vectors);
  const memory::Buffer packed(size_t(c.groups * part.panels * part.panel * c.depth()) * sizeof(T));
  pack_weight(c, data.weight, part.panel, gemm.lanes, packed.as<T>());
  const bool merge = mergeable(c);
  const std::vector<T> zeros(merge ? 0 : size_t(c.in_channels * c.groups));
  const int64_t line = ((c.w.out - 1) * c.w.stride + c.w.taps) * c.in_channels;

  const double flops = c.flops_per_pixel() * double(part.rows * c.w.out) / double(part.strips * part.bundles);
  parallel_items(part.strips * part.bundles, flops, [&](int64_t task) {
    const int64_t i = task / part.bundles, bundle = task % part.bundles;
    const int64_t row0 = part_begin(part.rows, part.strips, i),
                  row1 = part_begin(part.rows, part.strips, i + 1);
    const int64_t lines = merge ? copied_lines(c, row0, row1) : 0;
    const memory::Buffer copy(size_t(lines * line) * sizeof(T));
    Strip<T> strip;
    locate_outputs(c, row0, row1, c.out_channels * c.groups, strip);
    if (merge)
      copy_lines(c, data, row0, row1, lines, copy.as<T>(), strip);
    else
      point_at_taps(c, data.in, zeros.data(), row0, row1, strip);
    for (int64_t g = 0; g < c.groups; ++g)
      multiply(c, data, part, strip, packed.as<T>(), g, part_begin(part.panels, part.bundles, bundle),
               part_begin(part.panels, part.bundles, bundle + 1));
  });
}

bool accepts_few(const Correlation& c, MemoryFormat, MemoryFormat out) {
  return out == MemoryFormat::channels_last && mergeable(c);
}
bool accepts(const Correlation&, MemoryFormat in, MemoryFormat out) {
  return in == MemoryFormat::channels_last && out == MemoryFormat::channels_last;
}

}   // namespace

const CorrelationAlgorithm channels_last_few = {"channels-last-few", accepts_few, run<float>, run<double>};
const CorrelationAlgorithm channels_last = {"channels-last", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
