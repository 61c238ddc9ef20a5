// Direct convolution, channels last: pixels are broadcast, output channels lie along the vectors, and the
// weight is packed into panels [depth][64]. No image is ever unrolled: each tap gives the register tile one
// pointer a pixel, into the input or, where the tap hangs over the edge, at a row of zeros.
#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../memory_format.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"
#include "strip.hpp"

namespace fastconv::cpu {
namespace {

// The rows that `args` names, copied side by side: runs then begin at their place in the copy.
template <class T>
void copy_rows(std::vector<Run<T>>& runs, PanelArgs<T>& args, T* copy) {
  constexpr ptrdiff_t kOff = 16;   // a line: rows a power of two apart would share few sets of the cache
  ptrdiff_t length = 0;
  for (const Run<T>& run : runs) length += run.length;
  args.even = copy;
  args.a_stride = length + kOff;
  ptrdiff_t at = 0;
  for (Run<T>& run : runs) {
    kernels<T>().pack.copy_rows(run.rows, run.offset, copy + at, args.a_stride, args.rows, run.length);
    run.offset = at;
    at += run.length;
  }
}

// The same without a copy where there is one run, of whole pixels that follow each other.
template <class T>
bool rows_follow(const std::vector<Run<T>>& runs, PanelArgs<T>& args) {
  if (runs.size() != 1 || args.rows == 0) return false;
  const Run<T>& run = runs.front();
  for (int64_t m = 1; m < args.rows; ++m)
    if (run.rows[m] != run.rows[0] + m * run.length) return false;
  args.even = run.rows[0];
  args.a_stride = run.length;
  return true;
}

// Panels [first, last) of group g; `out` is where channel 0 of the group's first panel here goes.
template <class T>
void multiply(const Correlation& c, const CorrelationData<T>& data, const WeightPanels<T>& weight,
              const TapPointers<T>& strip, int64_t g, int64_t first, int64_t last, T* out) {
  const auto& gemm = kernels<T>().gemm;
  const int64_t depth = c.depth(), blocks = depth_blocks(depth, gemm.depth);
  const T* bias = data.bias ? data.bias + g * c.out_channels : nullptr;
  std::vector<std::vector<Run<T>>> runs(strip.classes.size());
  std::vector<PanelArgs<T>> panels(strip.classes.size());
  const bool narrow = gemm.bundle > 1, copies = narrow && last - first >= gemm.bundle;
  const bool stream = streams(c, data, blocks);
  const int64_t longest = div_up(depth, blocks) + 16;
  const memory::Buffer rows(copies ? size_t(strip.pixels() * longest) * sizeof(T) : 0);
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t k0 = part_begin(depth, blocks, b), k1 = part_begin(depth, blocks, b + 1);
    const bool relu = data.activation == Activation::relu && b == blocks - 1;
    T* copy = rows.as<T>();
    for (size_t i = 0; i < runs.size(); ++i) {
      const auto& pixels = strip.classes[i];
      strip.cut(pixels, k0, k1, g * c.in_channels, runs[i]);
      PanelArgs<T>& args = panels[i];
      args.even = nullptr;
      args.rows = pixels.end - pixels.begin;
      args.step = 1;
      const bool follow = narrow && blocks == 1 && rows_follow(runs[i], args);
      if (copies && !follow) {
        copy_rows(runs[i], args, copy);
        copy += args.rows * args.a_stride;
      }
      args.runs = runs[i].data();
      args.run_count = int64_t(runs[i].size());
      args.c_offsets = strip.out.data() + pixels.begin;
      args.accumulate = b > 0;
      args.relu = relu;
      args.stream = stream;
    }
    for (int64_t j = first; j < last; ++j)
      for (PanelArgs<T>& args : panels) {
        if (b > 0 && args.run_count == 0 && !relu) continue;
        args.columns = weight.channels(j);
        args.b = weight.at(g, j, k0);
        args.c = out + (j - first) * weight.width;
        args.column_bias = bias ? bias + j * weight.width : nullptr;
        gemm.panel(args);
      }
  }
  if (data.activation == Activation::none || data.activation == Activation::relu) return;
  const ActivationKernel<T> finish = activation_kernel<T>(data.activation);
  const int64_t channels = std::min(c.out_channels, last * weight.width) - first * weight.width;
  for (const ptrdiff_t at : strip.out) finish(out + at, out + at, channels);
}

template <class T>
void compute(const Correlation& c, const CorrelationData<T>& data, const WeightPanels<T>& weight,
             const std::vector<T>& zeros, const StripTask& task) {
  const bool turn = data.in_format == MemoryFormat::contiguous;
  const Columns read = columns_read(c.w);
  const int64_t line = turn ? (read.end - read.begin) * c.in_channels : 0;
  TapPointers<T> strip{};
  strip.row0 = task.row0;
  strip.row1 = task.row1;
  const memory::Buffer copy(size_t(line > 0 ? lines_of(c, task.row0, task.row1) * line : 0) * sizeof(T));
  classify(c, strip);
  point_at_taps(c,
                turn ? turned_lines(c, data.in, task.row0, task.row1, copy.as<T>())
                     : lines_in_place(c, data.in, task.row0, task.row1),
                zeros.data(), strip);
  const int64_t before = task.first * weight.width;
  if (data.out_format == MemoryFormat::contiguous) {   // groups == 1
    const int64_t channels = std::min(c.out_channels, task.last * weight.width) - before;
    const memory::Buffer computed(size_t(strip.pixels() * channels) * sizeof(T));
    locate_in_strip(c, channels, strip);
    multiply(c, data, weight, strip, 0, task.first, task.last, computed.as<T>());
    put_planes(c, computed.as<const T>(), before, channels, task.row0, task.row1, data.out);
  } else {
    locate_outputs(c, c.out_channels * c.groups, strip);
    for (int64_t g = 0; g < c.groups; ++g)
      multiply(c, data, weight, strip, g, task.first, task.last, data.out + g * c.out_channels + before);
  }
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& given) {
  const WeightPanels<T> weight(c, given.weight);
  const StripCut cut(c, weight.count);
  // Lines are turned where they are used, in the cache; where several bundles use them, once for all.
  const bool turn = given.in_format == MemoryFormat::contiguous && cut.bundles > 1;
  const int64_t plane = c.h.in * c.w.in;
  const memory::Buffer turned(turn ? size_t(c.batch * c.in_channels * plane) * sizeof(T) : 0);
  CorrelationData<T> data = given;
  if (turn) {
    copy_format(given.in, given.in_format, turned.as<T>(), c.batch, c.in_channels, plane);
    data.in = turned.as<const T>();
    data.in_format = MemoryFormat::channels_last;
  }
  const std::vector<T> zeros(size_t(c.in_channels * c.groups));
  parallel_items(cut.tasks(), cut.flops, [&](int64_t i) {
    const StripTask task = cut.task(i);
    compute(columns_of(c, task.column0, task.column1), data, weight, zeros, task);
  });
}

bool accepts(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  return in == MemoryFormat::channels_last && out == MemoryFormat::channels_last && !few_outputs(c);
}
// Planes, turned a strip at a time, where channels fill the vectors: cheaper than gathering every tap.
bool accepts_planes(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  constexpr int64_t kManyChannels = 48;
  return in == MemoryFormat::contiguous && out == MemoryFormat::contiguous && c.groups == 1 && c.taps() > 1 &&
         c.out_channels >= kManyChannels && c.in_channels >= kManyChannels;
}

}   // namespace

const CorrelationAlgorithm channels_last = {"channels-last", accepts, run<float>, run<double>};
const CorrelationAlgorithm turned_strips = {"turned-strips", accepts_planes, run<float>, run<double>};

}   // namespace fastconv::cpu
