// Direct convolution of few output channels, channels last: they would leave vectors empty, so that input
// channels lie along them, and each result is a dot product over its taps. What a first layer gives back to its
// images is one.
#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"
#include "strip.hpp"

namespace fastconv::cpu {
namespace {

// Neighbouring outputs of a row that reach the same taps.
struct Stretch {
  int64_t begin, end;
  Reach taps;
};

std::vector<Stretch> stretches_of(const Axis& w) {
  std::vector<Stretch> stretches;
  for (int64_t q = 0; q < w.out; ++q) {
    const Reach its = reach(w, q);
    if (stretches.empty() || !(stretches.back().taps == its)) stretches.push_back({q, q, its});
    ++stretches.back().end;
  }
  return stretches;
}

// The steps of outputs that reach taps h of the column and w of the row, from the first of these pixels on.
std::vector<DotRun> runs_of(const Correlation& c, Reach h, Reach w) {
  std::vector<DotRun> runs;
  const int64_t row = c.h.step * c.w.in * c.in_channels, tap = c.w.step * c.in_channels;
  for (int64_t r = h.first; r < h.last; ++r)
    for (int64_t s = w.first; s < w.last; ++s) {
      const ptrdiff_t at = (r - h.first) * row + (s - w.first) * tap, from = (r * c.w.taps + s) * c.in_channels;
      if (c.w.step == 1 && s > w.first)
        runs.back().length += c.in_channels;
      else
        runs.push_back({at, from, c.in_channels});
    }
  return runs;
}

template <class T>
void compute_row(const Correlation& c, const CorrelationData<T>& data, const std::vector<Stretch>& stretches,
                 const std::vector<const T*>& weights, int64_t row) {
  const int64_t n = row / c.h.out, p = row % c.h.out, pixel = c.w.out_step * c.out_channels;
  const Reach h = reach(c.h, p);
  const T* image = data.in + n * c.h.in * c.w.in * c.in_channels;
  T* out = data.out +
           ((n * c.h.extent + c.h.out_first + p * c.h.out_step) * c.w.extent + c.w.out_first) * c.out_channels;
  for (int64_t q = 0; q < c.w.out && data.bias; ++q) std::copy_n(data.bias, c.out_channels, out + q * pixel);
  std::vector<const T*> pixels;
  for (const Stretch& part : stretches) {
    const std::vector<DotRun> runs = runs_of(c, h, part.taps);
    const int64_t y = p * c.h.stride + c.h.first + h.first * c.h.step;
    const int64_t x = part.begin * c.w.stride + c.w.first + part.taps.first * c.w.step;
    pixels.clear();
    for (int64_t q = part.begin; q < part.end; ++q)
      pixels.push_back(runs.empty() ? image
                                    : image + (y * c.w.in + x + (q - part.begin) * c.w.stride) * c.in_channels);
    kernels<T>().gemm.dot({part.end - part.begin, c.out_channels, pixels.data(), weights.data(), runs.data(),
                           int64_t(runs.size()), out + part.begin * pixel, pixel, data.bias != nullptr});
  }
  if (data.activation == Activation::none) return;
  const ActivationKernel<T> finish = activation_kernel<T>(data.activation);
  for (int64_t q = 0; q < c.w.out; ++q) finish(out + q * pixel, out + q * pixel, c.out_channels);
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const memory::Buffer rows(size_t(c.out_channels * c.depth()) * sizeof(T));
  weight_rows_of(c, data.weight, rows.as<T>());
  const std::vector<const T*> weights = row_pointers<T>(rows.as<const T>(), c.out_channels, c.depth());
  // Parts of rows where these are few, as in one dimension.
  constexpr int64_t kFewestColumns = 256;
  const int64_t rows_out = c.batch * c.h.out, most = std::max<int64_t>(1, c.w.out / kFewestColumns);
  const int64_t parts = std::clamp<int64_t>(div_up(kChunks, rows_out), 1, most);
  std::vector<Correlation> columns;
  std::vector<std::vector<Stretch>> stretches;
  for (int64_t i = 0; i < parts; ++i) {
    columns.push_back(columns_of(c, part_begin(c.w.out, parts, i), part_begin(c.w.out, parts, i + 1)));
    stretches.push_back(stretches_of(columns.back().w));
  }
  parallel_items(rows_out * parts, c.flops_per_pixel() * double(c.w.out / parts), [&](int64_t item) {
    const size_t part = size_t(item % parts);
    compute_row(columns[part], data, stretches[part], weights, item / parts);
  });
}

bool accepts(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  constexpr int64_t kFewestChannels = 16;
  return in == MemoryFormat::channels_last && out == MemoryFormat::channels_last && c.groups == 1 &&
         few_outputs(c) && c.in_channels >= kFewestChannels;
}

}   // namespace

const CorrelationAlgorithm channels_last_dot = {"channels-last-dot", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
