// Direct convolution of few input channels, computed channels last. A tap is too short a run there: the lines
// that a strip reads are copied with their padding, which makes the taps of a kernel row one run, and lets the
// pixels of an output row lie evenly.
#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"
#include "padded_lines.hpp"
#include "strip.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kFewChannels = 8;   // below half a vector, the pointers of a tap cost more than its products

// An output row: its lines, and where its pixels' results begin.
template <class T>
struct Row {
  const T* lines;
  T* out;
};

// Copies the lines of a strip. Results go where they belong, or to [pixel][channel] at `computed`.
template <class T>
std::vector<Row<T>> rows_of(const Correlation& c, const CorrelationData<T>& data, int64_t row0, int64_t row1,
                            T* copy, T* computed, int64_t channels) {
  const int64_t line = padded_line(c);
  std::vector<Row<T>> rows;
  for_images(c, row0, row1, [&](int64_t n, int64_t p0, int64_t p1, int64_t y0, int64_t y1) {
    copy_padded_lines(c, data.in, data.in_format, n, y0, y1, copy);
    for (int64_t p = p0; p < p1; ++p) {
      const int64_t y = n * c.h.extent + c.h.out_first + p * c.h.out_step;
      rows.push_back({copy + (p - p0) * c.h.stride * line,
                      computed ? computed + int64_t(rows.size()) * c.w.out * channels
                               : data.out + (y * c.w.extent + c.w.out_first) * c.out_channels});
    }
    copy += (y1 - y0) * line;
  });
  return rows;
}

// Steps [k0, k1) of the depth, as runs within the taps of a kernel row.
template <class T>
std::vector<Run<T>> runs_of(const Correlation& c, int64_t k0, int64_t k1) {
  const int64_t length = c.w.taps * c.in_channels, pitch = c.h.step * padded_line(c);
  std::vector<Run<T>> runs;
  for (int64_t k = k0; k < k1;) {
    const int64_t r = k / length, end = std::min(k1, (r + 1) * length);
    runs.push_back({nullptr, r * pitch + k - r * length, k - k0, end - k});
    k = end;
  }
  return runs;
}

// Panels [first, last), the first of which begins at each row's `out`; pixels lie c_stride apart there.
template <class T>
void multiply(const Correlation& c, const CorrelationData<T>& data, const WeightPanels<T>& weight,
              const std::vector<Row<T>>& rows, int64_t first, int64_t last, int64_t c_stride) {
  const int64_t depth = c.depth(), blocks = depth_blocks(depth, kernels<T>().gemm.depth);
  PanelArgs<T> args{};
  args.rows = c.w.out;
  args.step = 1;
  args.a_stride = c.w.stride * c.in_channels;
  args.c_stride = c_stride;
  args.stream = streams(c, data, blocks);
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t k0 = part_begin(depth, blocks, b), k1 = part_begin(depth, blocks, b + 1);
    const std::vector<Run<T>> runs = runs_of<T>(c, k0, k1);
    args.runs = runs.data();
    args.run_count = int64_t(runs.size());
    args.accumulate = b > 0;
    args.relu = data.activation == Activation::relu && b == blocks - 1;
    for (int64_t j = first; j < last; ++j) {
      args.columns = weight.channels(j);
      args.b = weight.at(0, j, k0);
      args.column_bias = data.bias ? data.bias + j * weight.width : nullptr;
      for (const Row<T>& row : rows) {
        args.even = row.lines;
        args.c = row.out + (j - first) * weight.width;
        kernels<T>().gemm.panel(args);
      }
    }
  }
  if (data.activation == Activation::none || data.activation == Activation::relu) return;
  const ActivationKernel<T> finish = activation_kernel<T>(data.activation);
  const int64_t channels = std::min(c.out_channels, last * weight.width) - first * weight.width;
  for (const Row<T>& row : rows)
    for (int64_t q = 0; q < c.w.out; ++q) finish(row.out + q * c_stride, row.out + q * c_stride, channels);
}

template <class T>
void compute(const Correlation& c, const CorrelationData<T>& data, const WeightPanels<T>& weight,
             const StripTask& task) {
  const bool planes = data.out_format == MemoryFormat::contiguous;
  const int64_t before = task.first * weight.width;
  const int64_t channels = std::min(c.out_channels, task.last * weight.width) - before;
  const memory::Buffer copy(size_t(lines_of(c, task.row0, task.row1) * padded_line(c)) * sizeof(T));
  const memory::Buffer computed(planes ? size_t((task.row1 - task.row0) * c.w.out * channels) * sizeof(T) : 0);
  T* to = planes ? computed.as<T>() : nullptr;
  std::vector<Row<T>> rows = rows_of(c, data, task.row0, task.row1, copy.as<T>(), to, channels);
  if (!planes)
    for (Row<T>& row : rows) row.out += before;
  multiply(c, data, weight, rows, task.first, task.last, planes ? channels : c.w.out_step * c.out_channels);
  if (planes) put_planes<T>(c, to, before, channels, task.row0, task.row1, data.out);
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const WeightPanels<T> weight(c, data.weight);
  const StripCut cut(c, weight.count);
  parallel_items(cut.tasks(), cut.flops, [&](int64_t i) {
    const StripTask task = cut.task(i);
    compute(columns_of(c, task.column0, task.column1), data, weight, task);
  });
}

// Of planes: where their rows would leave vectors of columns empty and output channels fill them.
bool accepts(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  constexpr int64_t kManyChannels = 48, lanes = 16;
  const bool mergeable = c.groups == 1 && c.in_channels <= kFewChannels && (c.w.taps <= 1 || c.w.step == 1);
  if (out == MemoryFormat::channels_last) return mergeable && !few_outputs(c);
  return mergeable && in == MemoryFormat::contiguous && c.taps() > 1 && c.out_channels >= kManyChannels &&
         10 * c.w.out < 9 * round_up(c.w.out, lanes);
}

}   // namespace

const CorrelationAlgorithm channels_last_few = {"channels-last-few", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
