#include "average_pool.hpp"

#include <algorithm>
#include <vector>

#include "../core/memory.hpp"
#include "isa.hpp"
#include "kernels/average_pool.hpp"
#include "narrow_rows.hpp"
#include "parallel.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kGrain = 65536;       // cells a chunk
constexpr size_t kMostLanes = 16;       // of a vector
constexpr int64_t kChannelBlock = 64;   // of a channels-last image where rows are few: whole cache lines

// The windows along one dimension.
struct Dimension {
  bool adaptive;
  int64_t input, output, kernel, stride, padding;

  int64_t begin(int64_t o) const { return adaptive ? o * input / output : o * stride - padding; }
  int64_t end(int64_t o) const {
    return adaptive ? div_up((o + 1) * input, output) : std::min(begin(o) + kernel, input + padding);
  }
  Span cells(int64_t o) const { return {std::max<int64_t>(begin(o), 0), std::min(end(o), input)}; }
  // Those that hold cell i.
  Span windows(int64_t i) const {
    if (adaptive) return {i * output / input, div_up((i + 1) * output, input)};
    const int64_t reach = i + padding - kernel + 1;
    const int64_t first = std::min(output, reach > 0 ? div_up(reach, stride) : 0);
    return {first, std::max(first, std::min((i + padding) / stride + 1, output))};
  }
  int64_t count(int64_t o, bool include_pad) const {
    const Span inside = cells(o);
    return include_pad ? end(o) - begin(o) : inside.end - inside.begin;
  }
  bool even() const { return !adaptive && stride <= 2 && kernel <= kEvenKernel; }
  bool narrow_pairs() const {
    return !adaptive && kernel == 2 && stride == 2 && padding == 0 && 2 * output <= input &&
           input <= 2 * kNarrow;
  }
  bool one_window() const { return output == 1 && cells(0).begin == 0 && cells(0).end == input; }
};

struct Dimensions {
  explicit Dimensions(const PoolProblem& p) {
    for (int i = 0; i < 3; ++i) {
      const int from = i - (kMaxSpatial - p.spatial);
      if (from < 0)
        each[i] = {true, 1, 1, 1, 1, 0};
      else
        each[i] = {p.adaptive, p.input[from], p.output[from], p.kernel[from], p.stride[from], p.padding[from]};
    }
  }
  template <class T>
  bool narrow(int64_t planes) const {
    const int64_t a = each[2].input, b = each[2].output;
    return std::min(a, b) < kNarrow && std::max(a, b) <= 2 * kNarrow && planes >= kTogether &&
           (inputs() + outputs()) * kTogether * int64_t(sizeof(T)) <= kTurnedBytes;
  }
  bool global() const { return each[0].one_window() && each[1].one_window() && each[2].one_window(); }
  // Planes whose windows along a row are alike, and overlap in rows: others' gradients repeat whole rows.
  bool alike() const {
    const Dimension& high = each[1];
    return each[0].adaptive && each[0].input * each[0].output == 1 && each[2].even() &&
           each[2].input <= kAlikeWidth && !high.adaptive && high.kernel > high.stride &&
           high.kernel <= kAlikeRows * high.stride;
  }
  int64_t inputs() const { return each[0].input * each[1].input * each[2].input; }
  int64_t outputs() const { return each[0].output * each[1].output * each[2].output; }

  Dimension each[3];
};

// The divisor of all windows; 0 where they differ.
template <class T>
T common_divisor(const Dimensions& d, const AverageParameters& parameters) {
  if (parameters.divisor) return T(parameters.divisor);
  T all = 1;
  for (const Dimension& along : d.each) {
    const int64_t count = along.count(0, parameters.count_include_pad);
    for (int64_t o = 1; o < along.output; ++o)
      if (along.count(o, parameters.count_include_pad) != count) return 0;
    all *= T(count);
  }
  return all;
}

// How a pass is computed.
enum class Way : uint8_t { planes, pairs, turned, alike, rows, channels_last };
constexpr const char* kWays[] = {"planes", "pairs", "turned", "alike", "rows", "channels_last"};

template <class T>
Way way_of(const PoolProblem& p, const Dimensions& d, T divisor, MemoryFormat format, bool backward) {
  if (format == MemoryFormat::channels_last) return Way::channels_last;
  if (d.global()) return Way::planes;
  if (d.each[2].narrow_pairs()) return Way::pairs;
  if (d.narrow<T>(p.batch * p.channels)) return Way::turned;
  return backward && divisor != 0 && d.alike() ? Way::alike : Way::rows;
}

template <class T>
const char* name_of_way(const PoolProblem& p, const AverageParameters& parameters, MemoryFormat format,
                        bool backward) {
  const Dimensions d(p);
  return kWays[int(way_of(p, d, common_divisor<T>(d, parameters), format, backward))];
}

// MeanWindows and what it points to.
template <class T>
struct Tables {
  Tables(const Dimensions& d, const AverageParameters& parameters, T divisor, Way way, bool backward) {
    const bool planes = way != Way::turned && way != Way::channels_last;
    windows.divisor = divisor;
    for (int i = 0; i < 3; ++i) {
      const Dimension& along = d.each[i];
      windows.input[i] = along.input;
      windows.output[i] = along.output;
      const bool even = planes && i == 2 && along.even();
      if (i == 2) {
        windows.kernel = even ? along.kernel : 0;
        windows.stride = along.stride;
        windows.padding = along.padding;
      }
      const bool unneeded = even || (planes && d.global());
      const int64_t extent = unneeded ? 0 : backward ? along.input : along.output;
      spans_[i].reserve(size_t(extent));
      for (int64_t k = 0; k < extent; ++k) spans_[i].push_back(backward ? along.windows(k) : along.cells(k));
      windows.cells[i] = windows.windows[i] = spans_[i].data();
      counts_[i].reserve(size_t(along.output) + kMostLanes);
      const T fixed = i == 2 ? T(parameters.divisor) : T(1);
      for (int64_t o = 0; o < along.output; ++o)
        counts_[i].push_back(parameters.divisor ? fixed : T(along.count(o, parameters.count_include_pad)));
      counts_[i].resize(counts_[i].size() + kMostLanes, T(1));
      windows.counts[i] = counts_[i].data();
    }
  }

  MeanWindows<T> windows;

 private:
  std::vector<Span> spans_[3];
  std::vector<T> counts_[3];
};

// Blocks of planes of `from` cells turned, pooled channels last by run(turned, channels, result), and turned
// back.
template <class T, class Run>
void pool_turned(int64_t planes, const T* x, int64_t from, T* y, int64_t to, const Run& run) {
  const auto transpose = kernels<T>().pack.transpose;
  parallel_ranges(planes, kTogether, [&](int64_t begin, int64_t end) {
    const int64_t channels = end - begin;
    const memory::Buffer turned(size_t(channels * from) * sizeof(T)), values(size_t(channels * to) * sizeof(T));
    transpose(x + begin * from, from, turned.as<T>(), channels, channels, from);
    run(turned.as<const T>(), channels, values.as<T>());
    transpose(values.as<const T>(), channels, y + begin * to, to, to, channels);
  });
}

// Whether a result goes past the caches: it and the input exceed them.
template <class T>
bool streams(const PoolProblem& p) {
  return p.bytes(int64_t(sizeof(T))) > kCachedBytes;
}

// At least `least` of the `rows`, and so many more that those which two chunks read are few, where chunks are
// many.
int64_t rows_of_chunk(const Dimension& along, int64_t rows, int64_t least) {
  if (along.adaptive || along.kernel <= along.stride) return least;
  return std::max(least, std::min(rows / (2 * kFineChunks), 16 * along.kernel));
}

template <class T>
void run(const PoolProblem& p, const AverageParameters& parameters, const View& x, const View& y) {
  if (y.elements() == 0) return;
  const AveragePoolKernels<T>& table = kernels<T>().average_pool;
  const Dimensions d(p);
  const int64_t planes = p.batch * p.channels;
  const T divisor = common_divisor<T>(d, parameters);
  const Way way = way_of(p, d, divisor, x.format, false);
  const Tables<T> tables(d, parameters, divisor, way, false);
  const MeanWindows<T>& w = tables.windows;
  const int64_t lines = w.output[0] * w.output[1], row = w.output[2];
  const bool stream = streams<T>(p);
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  if (way == Way::planes)
    return parallel_ranges(planes, round_up(div_up(kGrain, d.inputs()), 16), [&](int64_t begin, int64_t end) {
      table.planes(from + begin * d.inputs(), d.inputs(), divisor, to + begin, end - begin);
    });
  if (way == Way::turned)
    return pool_turned(planes, from, d.inputs(), to, d.outputs(), [&](const T* x, int64_t channels, T* y) {
      table.rows_channels_last(w, channels, channels, x, y, 0, lines, false);
    });
  const int64_t work = div_up(d.inputs(), lines) + row;   // of a row of one channel
  const auto rows = way == Way::pairs ? table.pairs : table.rows;
  if (way != Way::channels_last)
    return parallel_ranges(
        planes * lines, std::max<int64_t>(1, kGrain / work),
        [&](int64_t begin, int64_t end) { rows(w, from, to + begin * row, begin, end, stream); });
  const int64_t all = p.batch * lines;
  const int64_t block =
      all >= kChunks ? p.channels
                     : std::min(p.channels, round_up(div_up(all * p.channels, kChunks) + 1, kChannelBlock));
  const int64_t blocks = div_up(p.channels, block);
  const int64_t grain = rows_of_chunk(d.each[1], all, std::max<int64_t>(1, kGrain / work / block));
  parallel_for(div_up(all, grain) * blocks, [&](int64_t i) {
    const int64_t begin = i / blocks * grain, end = std::min(begin + grain, all), c = i % blocks * block;
    table.rows_channels_last(w, p.channels, std::min(block, p.channels - c), from + c,
                             to + begin * row * p.channels + c, begin, end, stream && blocks == 1);
  });
}

template <class T>
void run_backward(const PoolProblem& p, const AverageParameters& parameters, const View& grad, const View& dx) {
  if (dx.elements() == 0) return;
  const AveragePoolKernels<T>& table = kernels<T>().average_pool;
  const Dimensions d(p);
  const int64_t planes = p.batch * p.channels;
  const T divisor = common_divisor<T>(d, parameters);
  const Way way = way_of(p, d, divisor, grad.format, true);
  const Tables<T> tables(d, parameters, divisor, way, true);
  const MeanWindows<T>& w = tables.windows;
  const int64_t lines = w.input[0] * w.input[1], row = w.input[2];
  const bool stream = streams<T>(p);
  const T* from = grad.as<const T>();
  T* to = dx.as<T>();
  if (way == Way::planes)
    return parallel_ranges(planes, round_up(div_up(kGrain, d.inputs()), 16), [&](int64_t begin, int64_t end) {
      table.planes_backward(from + begin, d.inputs(), divisor, to + begin * d.inputs(), end - begin, stream);
    });
  if (way == Way::turned)
    return pool_turned(planes, from, d.outputs(), to, d.inputs(), [&](const T* grad, int64_t channels, T* dx) {
      table.rows_channels_last_backward(w, channels, grad, dx, 0, lines, false);
    });
  const auto rows = way == Way::pairs   ? table.pairs_backward
                    : way == Way::alike ? table.alike_backward
                                        : table.rows_backward;
  if (way != Way::channels_last)
    return parallel_ranges(planes * lines, std::max<int64_t>(1, kGrain / row), [&](int64_t begin, int64_t end) {
      rows(w, from, to + begin * row, begin, end, stream);
    });
  const int64_t wide = row * p.channels;
  const int64_t all = p.batch * lines;
  const int64_t grain = rows_of_chunk(d.each[1], all, std::max<int64_t>(1, kGrain / wide));
  parallel_ranges(all, grain, [&](int64_t begin, int64_t end) {
    table.rows_channels_last_backward(w, p.channels, from, to + begin * wide, begin, end, stream);
  });
}

}   // namespace

const char* average_pool_implementation(const PoolProblem& p, const AverageParameters& parameters, Pass pass,
                                        DType dtype, MemoryFormat format) {
  const auto name = dtype == DType::float32 ? name_of_way<float> : name_of_way<double>;
  return name(p, parameters, format, pass != Pass::forward);
}

void average_pool(const PoolProblem& p, const AverageParameters& parameters, const View& x, const View& y) {
  x.dtype == DType::float32 ? run<float>(p, parameters, x, y) : run<double>(p, parameters, x, y);
}

void average_pool_backward(const PoolProblem& p, const AverageParameters& parameters, const View& grad,
                           const View& dx) {
  grad.dtype == DType::float32 ? run_backward<float>(p, parameters, grad, dx)
                               : run_backward<double>(p, parameters, grad, dx);
}

}   // namespace fastconv::cpu
