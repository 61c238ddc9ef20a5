// Depthwise convolution and other groups of few channels, channels last: neighbouring output channels fill a
// vector whatever their groups, and the input channels that they read are permuted into place. Nothing is
// copied; the taps of pixels at the edge are left out.
#include <cstring>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"

namespace fastconv::cpu {
namespace {

// Bytes of a pixel's channels that pass over a row together: pieces of fewer lines come slowly from memory, of
// more a few rows no longer stay in L1.
constexpr int64_t kBundleBytes = 512;
// More than this is not in the caches when it is read: lines are fetched ahead.
constexpr int64_t kNearBytes = 8 << 20;

// The output channels as vectors, and where each finds its inputs.
template <class T>
struct Lanes {
  std::vector<LaneBlock> blocks;
  std::vector<LaneSource<T>> sources;
  std::vector<typename LaneIndexOf<T>::type> index;
  int64_t unit = 1;   // blocks of a group where one is not enough
  const int64_t lanes = kernels<T>().depthwise.lanes;

  explicit Lanes(const Correlation& c) {
    const int64_t widest = std::max(c.in_channels, c.out_channels);
    if (widest <= lanes) {   // whole groups
      const int64_t together = std::min(c.groups, lanes / widest);
      for (int64_t g = 0; g < c.groups; g += together)
        add(c, std::min(g, c.groups - together) * c.out_channels, together * c.out_channels);
    } else {   // parts of one group
      const int64_t width = std::min(lanes, c.out_channels);
      unit = div_up(c.out_channels, width);
      for (int64_t g = 0; g < c.groups; ++g)
        for (int64_t k = 0; k < c.out_channels; k += width)
          add(c, g * c.out_channels + std::min(k, c.out_channels - width), width);
    }
    for (size_t i = 0; i < sources.size(); ++i) sources[i].index = index.data() + int64_t(i) * lanes;
  }

  // The last block, of a group where one is not enough, may overlap the one before: from which lane on its
  // channels are its own.
  int64_t own(size_t block) const {
    return block == 0 ? 0 : blocks[block - 1].at + blocks[block - 1].count - blocks[block].at;
  }

  // `touched`: elements that all chunks read and write.
  void fill(const Correlation& c, int64_t touched, LaneArgs<T>& args) const {
    args.sources = sources.data();
    args.blocks = blocks.data();
    args.h = tap_axis(c.h);
    args.w = tap_axis(c.w);
    args.in_channels = c.in_channels * c.groups;
    args.out_channels = c.out_channels * c.groups;
    args.inputs = c.in_channels;
    args.permute = c.in_channels > 1 || c.out_channels > 1 || args.in_channels < lanes;
    args.far = !args.permute && touched * int64_t(sizeof(T)) > kNearBytes;
  }

 private:
  void add(const Correlation& c, int64_t at, int64_t count) {
    blocks.push_back({at, count});
    const int64_t all = c.in_channels * c.groups, first = at / c.out_channels * c.in_channels;
    const int64_t end = ((at + count - 1) / c.out_channels + 1) * c.in_channels;
    for (int64_t j = 0; j < c.in_channels; ++j) {
      const int64_t from =
          std::min(end - first <= lanes ? first : first + j, std::max<int64_t>(0, all - lanes));
      sources.push_back({from, std::min(lanes, all - from), nullptr});
      for (int64_t l = 0; l < lanes; ++l) {
        const int64_t k = std::min(at + l, at + count - 1);
        index.push_back(typename LaneIndexOf<T>::type(k / c.out_channels * c.in_channels + j - from));
      }
    }
  }
};

// Elements of a vector's weight.
template <class T>
int64_t weight_size(const Correlation& c) {
  return c.depth() * kernels<T>().depthwise.lanes;
}

// Calls body(vector element, weight element) for block b of [block][h tap][input][w tap][lane].
template <class T, class Body>
void for_weights(const Correlation& c, const Lanes<T>& plan, size_t b, int64_t first, Body body) {
  const LaneBlock block = plan.blocks[b];
  std::vector<ptrdiff_t> channel;
  for (int64_t k = block.at; k < block.at + block.count; ++k)
    channel.push_back(c.weight_base + k / c.out_channels * c.weight_group + k % c.out_channels * c.weight_out);
  int64_t to = int64_t(b) * weight_size<T>(c);
  for (int64_t r = 0; r < c.h.taps; ++r)
    for (int64_t j = 0; j < c.in_channels; ++j)
      for (int64_t s = 0; s < c.w.taps; ++s, to += plan.lanes) {
        const ptrdiff_t tap = r * c.weight_h + j * c.weight_in + s * c.weight_w;
        for (int64_t l = first; l < block.count; ++l) body(to + l, channel[size_t(l)] + tap);
      }
}

// Bytes count here more than flops.
double cost(double flops, double elements) { return flops + kMoveFlops * elements; }

// How the work of a result is cut: bundles of vectors, which share no input, and then bands of rows, whose
// lines overlap.
struct Cut {
  int64_t blocks, unit, bundles, bands;

  // many: blocks of a bundle, where they need not be `together`.
  Cut(int64_t batch, int64_t rows, int64_t all, int64_t together, int64_t many, double total)
      : blocks(all), unit(together), bundles(std::max<int64_t>(1, std::min(all / many, all / together))) {
    constexpr int64_t kLeast = 6;   // rows of a band
    const int64_t wanted = std::clamp<int64_t>(int64_t(total / kChunkFlops), 1, 4 * kChunks);
    bands = std::clamp<int64_t>(div_up(wanted, batch * bundles), 1, div_up(rows, kLeast));
  }
  // A block that may overlap the one before stays beside it: the last of a group, or of all.
  int64_t first_block(int64_t bundle) const {
    if (unit > 1) return part_begin(blocks / unit, bundles, bundle) * unit;
    return bundle == bundles ? blocks : part_begin(std::max<int64_t>(1, blocks - 1), bundles, bundle);
  }
};

template <class T>
void pack_bias(const Lanes<T>& plan, const T* bias, T* to) {
  std::memset(to, 0, plan.blocks.size() * size_t(plan.lanes) * sizeof(T));
  if (!bias) return;
  for (const LaneBlock& block : plan.blocks) {
    std::memcpy(to, bias + block.at, size_t(block.count) * sizeof(T));
    to += plan.lanes;
  }
}

// One for each correlation; their weights are packed at `to`.
template <class T>
std::vector<LaneForward<T>> passes_of(const std::vector<Correlation>& parts, const CorrelationData<T>& data,
                                      const Lanes<T>& plan, T* to) {
  std::vector<LaneForward<T>> passes;
  const Correlation& c = parts.front();
  const int64_t touched =
      c.batch * c.groups * (c.h.in * c.w.in * c.in_channels + c.h.extent * c.w.extent * c.out_channels);
  for (const Correlation& part : parts) {
    LaneForward<T> args{};
    plan.fill(part, touched, args);
    args.relu = data.activation == Activation::relu;
    args.weights = to;
    const int64_t size = int64_t(plan.blocks.size()) * weight_size<T>(part);
    std::memset(to, 0, size_t(size) * sizeof(T));
    for (size_t b = 0; b < plan.blocks.size(); ++b)
      for_weights<T>(part, plan, b, 0, [&](int64_t i, ptrdiff_t w) { to[i] = data.weight[w]; });
    to += size;
    passes.push_back(args);
  }
  return passes;
}

// Rows of a strided result that its residues write in turn: the lines between theirs, which the hardware
// fetches along, are still in L2 when the other residues come.
template <class T>
int64_t rows_in_turn(const std::vector<Correlation>& parts, int64_t row_elements) {
  constexpr int64_t kWritten = 64 << 10;
  const int64_t bytes = parts.front().h.out_step * row_elements * int64_t(sizeof(T));
  return parts.size() == 1 ? parts.front().h.out : std::max<int64_t>(1, kWritten / bytes);
}

template <class T>
void run_parts(const std::vector<Correlation>& parts, const CorrelationData<T>& data) {
  const Correlation& c = parts.front();
  const Lanes<T> plan(c);
  const int64_t blocks = int64_t(plan.blocks.size());
  int64_t depth = 0, rows = 0;
  double flops = 0;
  for (const Correlation& part : parts) {
    depth += part.depth();
    rows = std::max(rows, part.h.out);
    flops += part.flops_per_pixel() * double(part.pixels());
  }
  const memory::Buffer bias(size_t(blocks * plan.lanes) * sizeof(T));
  pack_bias(plan, data.bias, bias.as<T>());
  const memory::Buffer packed(size_t(blocks * plan.lanes * depth) * sizeof(T));
  const std::vector<LaneForward<T>> passes = passes_of(parts, data, plan, packed.as<T>());
  const int64_t in_image = c.h.in * c.w.in * c.in_channels * c.groups;
  const int64_t out_row = c.w.extent * c.out_channels * c.groups;
  const double total = double(c.batch) * cost(flops, double(in_image + c.h.extent * out_row));
  const int64_t many = kBundleBytes / (plan.lanes * int64_t(sizeof(T)));
  const Cut cut(c.batch, rows, blocks, plan.unit, many, total);
  const int64_t tasks = c.batch * cut.bands * cut.bundles;
  const int64_t step = rows_in_turn<T>(parts, out_row / cut.bundles);
  parallel_items(tasks, total / double(tasks), [&](int64_t task) {
    // Bundles innermost: a thread begins in a range of tasks of its own, and so writes whole images. Two
    // threads in one image would fetch each other's lines ahead.
    const int64_t n = task / cut.bundles / cut.bands, band = task / cut.bundles % cut.bands;
    const int64_t begin = part_begin(rows, cut.bands, band), end = part_begin(rows, cut.bands, band + 1);
    const int64_t first = cut.first_block(task % cut.bundles);
    std::vector<LaneForward<T>> own = passes;
    for (LaneForward<T>& args : own) {
      args.sources += first * c.in_channels;
      args.blocks += first;
      args.block_count = cut.first_block(task % cut.bundles + 1) - first;
      args.weights += first * plan.lanes * args.h.taps * args.w.taps * c.in_channels;
      args.bias = bias.as<T>() + first * plan.lanes;
      args.in = data.in + n * in_image;
      args.out = data.out + n * c.h.extent * out_row;
    }
    if (own.size() == 4 && kernels<T>().depthwise.lane_quad(own.data(), begin, end)) return;
    for (int64_t p = begin; p < end; p += step)
      for (const LaneForward<T>& args : own)
        kernels<T>().depthwise.lane_forward(args, p, std::min({end, args.h.out, p + step}));
  });
  if (data.activation == Activation::none || data.activation == Activation::relu) return;
  const ActivationKernel<T> finish = activation_kernel<T>(data.activation);
  parallel_items(c.batch * c.h.extent, kMoveFlops * double(out_row),
                 [&](int64_t row) { finish(data.out + row * out_row, data.out + row * out_row, out_row); });
}

template <class T>
void run(const Correlation& c, const CorrelationData<T>& data) {
  run_parts<T>({c}, data);
}

// Chunks: parts of the channels times parts of the rows. The latter have copies of the result, added in order.
template <class T>
void run_gradient(const Correlation& c, const WeightGradientData<T>& data) {
  const Lanes<T> plan(c);
  const int64_t blocks = int64_t(plan.blocks.size()), lanes = plan.lanes, rows = c.batch * c.h.out;
  const int64_t size = weight_size<T>(c) + lanes;   // of a vector: its weight, then its bias
  const int64_t in_image = c.h.in * c.w.in * c.in_channels * c.groups;
  const int64_t out_image = c.pixels() * c.out_channels * c.groups;
  const double total =
      double(c.batch) * cost(c.flops_per_pixel() * double(c.pixels()), double(in_image + out_image));
  const int64_t wanted = std::clamp<int64_t>(int64_t(total / kChunkFlops), 1, kChunks);
  const int64_t bundles = std::clamp<int64_t>(blocks * lanes * int64_t(sizeof(T)) / kBundleBytes, 1, wanted);
  const int64_t slices = std::clamp<int64_t>(wanted / bundles, 1, rows);
  const memory::Buffer copies(size_t(slices * blocks * size) * sizeof(T));
  parallel_items(bundles * slices, total / double(bundles * slices), [&](int64_t task) {
    const int64_t b0 = part_begin(blocks, bundles, task % bundles), slice = task / bundles;
    const int64_t b1 = part_begin(blocks, bundles, task % bundles + 1);
    T* sums = copies.as<T>() + slice * blocks * size + b0 * size;
    std::memset(sums, 0, size_t((b1 - b0) * size) * sizeof(T));
    LaneGradient<T> args{};
    plan.fill(c, c.batch * (in_image + out_image), args);
    args.sources += b0 * c.in_channels;
    args.blocks += b0;
    args.block_count = b1 - b0;
    args.sums = sums;
    args.bias = data.db ? sums + (b1 - b0) * weight_size<T>(c) : nullptr;
    for (int64_t row = part_begin(rows, slices, slice), last = part_begin(rows, slices, slice + 1);
         row < last;) {
      const int64_t n = row / c.h.out, begin = row % c.h.out, end = std::min(c.h.out, begin + last - row);
      args.in = data.x + n * in_image;
      args.grad = data.grad + n * out_image;
      kernels<T>().depthwise.lane_gradient(args, begin, end);
      row += end - begin;
    }
  });
  T* sums = copies.as<T>();
  kernels<T>().pack.add_rows(sums + blocks * size, blocks * size, slices - 1, blocks * size, sums);
  for (int64_t i = 0; i < bundles; ++i) {
    const int64_t b0 = part_begin(blocks, bundles, i), b1 = part_begin(blocks, bundles, i + 1);
    const T* weight = sums + b0 * lanes;   // for_weights counts from the first block, without biases
    for (int64_t b = b0; b < b1; ++b) {
      const int64_t own = plan.own(size_t(b));
      for_weights<T>(c, plan, size_t(b), own, [&](int64_t at, ptrdiff_t w) { data.dw[w] = weight[at]; });
      const T* bias = sums + b0 * size + (b1 - b0) * weight_size<T>(c) + (b - b0) * lanes;
      for (int64_t l = own; l < plan.blocks[size_t(b)].count && data.db; ++l)
        data.db[plan.blocks[size_t(b)].at + l] = bias[l];
    }
  }
}

bool accepts(const Correlation& c, MemoryFormat a, MemoryFormat b) {
  return a == MemoryFormat::channels_last && b == MemoryFormat::channels_last && few_channels_a_group(c);
}

}   // namespace

const CorrelationAlgorithm depthwise = {"depthwise", accepts,          run<float>,
                                        run<double>, run_parts<float>, run_parts<double>};
const WeightGradientAlgorithm depthwise_gradient = {"depthwise", accepts, run_gradient<float>,
                                                    run_gradient<double>};

}   // namespace fastconv::cpu
