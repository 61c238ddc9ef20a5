// Depthwise convolution and other groups of few channels, in planes: rows are read in place, columns along the
// vectors. The residues of a backward pass of stride 2 are computed together, so that rows are written whole.
#include <cstring>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kRows = 8;   // of a tile

// Calls body(vector element, weight element) for output channel k of [k][input][w tap][h tap].
template <class Body>
void for_weights(const Correlation& c, int64_t k, Body body) {
  const ptrdiff_t channel =
      c.weight_base + k / c.out_channels * c.weight_group + k % c.out_channels * c.weight_out;
  int64_t to = k * c.depth();
  for (int64_t j = 0; j < c.in_channels; ++j)
    for (int64_t s = 0; s < c.w.taps; ++s)
      for (int64_t r = 0; r < c.h.taps; ++r)
        body(to++, channel + j * c.weight_in + r * c.weight_h + s * c.weight_w);
}

// Whether b has the odd columns of the rows of a.
bool interleave(const Correlation& a, const Correlation& b) {
  return a.w.out_step == 2 && a.w.out_first == 0 && b.w.out_first == 1 && a.h.out_first == b.h.out_first;
}

// One for each correlation, or for two whose columns interleave; their weights are packed at `to`.
template <class T>
std::vector<PlaneForward<T>> passes_of(const std::vector<Correlation>& parts, const CorrelationData<T>& data,
                                       T* to) {
  std::vector<PlaneForward<T>> passes;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Correlation& c = parts[i];
    const bool second = i > 0 && interleave(parts[i - 1], c);
    if (!second) passes.push_back({});
    PlaneForward<T>& args = passes.back();
    args.h = tap_axis(c.h);
    args.w[second] = tap_axis(c.w);
    args.residues = second ? 2 : 1;
    args.groups = c.groups;
    args.inputs = c.in_channels;
    args.outputs = c.out_channels;
    args.in = data.in;
    args.weights[second] = to;
    args.bias = data.bias;
    args.relu = data.activation == Activation::relu;
    args.out = data.out;
    const int64_t channels = c.groups * c.out_channels;
    for (int64_t k = 0; k < channels; ++k)
      for_weights(c, k, [&](int64_t at, ptrdiff_t w) { to[at] = data.weight[w]; });
    to += channels * c.depth();
  }
  return passes;
}

// Whether the passes are the two residues of the rows.
template <class T>
bool is_pair(const std::vector<PlaneForward<T>>& passes) {
  return passes.size() == 2 && passes[0].h.out_step == 2 && passes[0].h.out_first == 0;
}

template <class T>
void run_parts(const std::vector<Correlation>& parts, const CorrelationData<T>& data) {
  const Correlation& c = parts.front();
  const int64_t channels = c.groups * c.out_channels, planes = c.batch * channels;
  int64_t depth = 0, rows = 0;
  double flops = 0;
  for (const Correlation& part : parts) {
    depth += part.depth();
    rows = std::max(rows, part.h.out);
    flops += 2 * double(part.depth() * part.pixels());
  }
  const memory::Buffer packed(size_t(channels * depth) * sizeof(T));
  const std::vector<PlaneForward<T>> passes = passes_of(parts, data, packed.as<T>());
  const int64_t out_plane = c.h.extent * c.w.extent;
  const ActivationKernel<T> finish =
      data.activation == Activation::relu ? nullptr : activation_kernel<T>(data.activation);
  // Few planes are cut into bands of rows.
  const double cost = flops + kMoveFlops * double(c.in_channels * c.h.in * c.w.in + out_plane);
  const int64_t wanted = std::clamp<int64_t>(div_up(kChunks, planes), 1, int64_t(cost / kChunkFlops) + 1);
  const int64_t band = round_up(div_up(rows, wanted), kRows), bands = div_up(rows, band);
  const auto compute = [&](int64_t first, int64_t last, int64_t begin, int64_t end) {
    std::vector<PlaneForward<T>> own = passes;
    for (PlaneForward<T>& args : own)
      args.out_end = data.out + (last - 1) * out_plane + std::min(c.h.extent, end * c.h.out_step) * c.w.extent;
    if (is_pair(own))
      kernels<T>().depthwise.plane_pair(own[0], own[1], first, last, begin, end);
    else
      for (const PlaneForward<T>& args : own)
        kernels<T>().depthwise.plane_forward(args, first, last, begin, std::min(end, args.h.out));
    for (int64_t plane = first; plane < last && finish; ++plane) {
      T* out = data.out + plane * out_plane + begin * c.w.extent;
      finish(out, out, (end - begin) * c.w.extent);
    }
  };
  parallel_bundles(planes * bands, cost / double(bands), [&](int64_t first, int64_t last) {
    if (bands == 1) return compute(first, last, 0, rows);
    for (int64_t i = first; i < last; ++i)
      compute(i / bands, i / bands + 1, i % bands * band, std::min(rows, (i % bands + 1) * band));
  });
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  run_parts<T>({c}, data);
}

// The rows of all images in slices, whose sums are added in order: enough of them to keep threads busy, and
// none so long that rounding errors grow.
int64_t slices_of(const Correlation& c, double cost) {
  constexpr int64_t kLongest = 16384;   // rows of a vector
  const int64_t rows = c.batch * c.h.out, channels = c.groups * c.out_channels;
  const int64_t wanted = std::clamp<int64_t>(int64_t(cost / kChunkFlops), 1, kChunks);
  return std::min(rows, std::max(wanted / channels, div_up(rows * div_up(c.w.out, 16), kLongest)) + 1);
}

template <class T>
void run_gradient(const Correlation& c, const WeightGradientData<T>& data) {
  const int64_t channels = c.groups * c.out_channels, in_plane = c.h.in * c.w.in, out_plane = c.pixels();
  const int64_t depth = c.depth(), size = depth + 1, lanes = kernels<T>().depthwise.lanes;
  const double cost = double(c.batch) * (2 * double(depth * out_plane) +
                                         kMoveFlops * double(c.in_channels * in_plane + out_plane));
  const int64_t rows = c.batch * c.h.out, slices = slices_of(c, cost * double(channels));
  const memory::Buffer copies(size_t(slices * channels * size) * sizeof(T));
  parallel_bundles(channels * slices, cost / double(slices), [&](int64_t first, int64_t last) {
    const memory::Buffer sums(size_t(size * lanes) * sizeof(T));
    for (int64_t item = first; item < last; ++item) {
      const int64_t slice = item / channels, k = item % channels;
      std::memset(sums.as<T>(), 0, size_t(size * lanes) * sizeof(T));
      const PlaneGradient<T> args = {tap_axis(c.h),
                                     tap_axis(c.w),
                                     c.in_channels,
                                     data.x + k / c.out_channels * c.in_channels * in_plane,
                                     data.grad + k * out_plane,
                                     c.groups * c.in_channels * in_plane,
                                     channels * out_plane,
                                     sums.as<T>(),
                                     data.db ? sums.as<T>() + depth * lanes : nullptr};
      kernels<T>().depthwise.plane_gradient(args, part_begin(rows, slices, slice),
                                            part_begin(rows, slices, slice + 1));
      kernels<T>().depthwise.fold(sums.as<T>(), size, copies.as<T>() + item * size);
    }
  });
  T* sums = copies.as<T>();
  kernels<T>().pack.add_rows(sums + channels * size, channels * size, slices - 1, channels * size, sums);
  for (int64_t k = 0; k < channels; ++k) {
    const T* from = sums + k;   // for_weights counts without the biases
    for_weights(c, k, [&](int64_t at, ptrdiff_t w) { data.dw[w] = from[at]; });
    if (data.db) data.db[k] = sums[k * size + depth];
  }
}

bool accepts(const Correlation& c, MemoryFormat a, MemoryFormat b) {
  return a == MemoryFormat::contiguous && b == MemoryFormat::contiguous && few_channels_a_group(c);
}

}   // namespace

const CorrelationAlgorithm planar_depthwise = {"planar-depthwise", accepts,          run<float>,
                                               run<double>,        run_parts<float>, run_parts<double>};
const WeightGradientAlgorithm planar_depthwise_gradient = {"planar-depthwise", accepts, run_gradient<float>,
                                                           run_gradient<double>};

}   // namespace fastconv::cpu
