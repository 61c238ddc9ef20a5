// Gradient of the weight as matrix products over pixels: input channels are broadcast, output channels lie
// along the vectors. The gradient is packed into panels of four vectors a pixel (copied from channels last,
// transposed from planes); the input is read in place, tap by tap, wherever it lies.
//
// With few input channels a tap has too few rows for a register tile. There the lines of the input are copied
// with their padding (line_copy.hpp) and all taps of all channels make one set of rows.
#include <cstring>

#include "../../core/memory.hpp"
#include "../isa.hpp"
#include "../memory_format.hpp"
#include "../parallel.hpp"
#include "correlation.hpp"
#include "line_copy.hpp"
#include "weight_partition.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kFewInputs = 8;
// Of the depth, for narrow panels: what is copied at a time, six lines of a pixel, and what the panels of a
// task pass over in turn while it is in L1.
constexpr int64_t kCopiedRows = 96, kTileRows = 24;
// Narrow panels of a task: of the gradient in a quarter of L2, of dw in half.
constexpr int64_t kMostPanels = 8, kOwnBytes = 256 << 10;
// Pixels: of a panel of the gradient, which just fits L1, by itself or beside copied rows; packed at a time.
constexpr int64_t kPixels = 160, kCopiedPixels = 112, kPackedTogether = 16;

bool copies_lines(const Correlation& c) { return c.in_channels <= kFewInputs && LineCopy::fits(c); }

struct Strides {
  ptrdiff_t channel, row, column;
};

// Pixels [begin, begin + count) of all images, channels [k, k + width): packed with `padded` between pixels.
template <class T>
void pack_gradient(const Correlation& c, const WeightGradientData<T>& data, int64_t begin, int64_t count,
                   int64_t k, int64_t width, int64_t padded, T* to) {
  const auto& pack = kernels<T>().pack;
  const int64_t channels = c.out_channels * c.groups, plane = c.pixels();
  if (data.grad_format == MemoryFormat::channels_last)
    return pack.copy(data.grad + begin * channels + k, channels, to, padded, count, width, padded);
  if (padded > width) std::memset(to, 0, size_t(count * padded) * sizeof(T));
  for (int64_t at = begin; at < begin + count;) {
    const int64_t n = at / plane, pixels = std::min(plane - at % plane, begin + count - at);
    pack.transpose(data.grad + (n * channels + k) * plane + at % plane, plane, to + (at - begin) * padded,
                   padded, width, pixels);
    at += pixels;
  }
}

// The stretches of columns [q0, q1) of output rows [row0, row1) where tap (r, s) reads inside the input.
template <class T>
void clip(const Correlation& c, const Strides& x, int64_t row0, int64_t row1, int64_t q0, int64_t q1, int64_t r,
          int64_t s, std::vector<Run<T>>& runs) {
  runs.clear();
  const int64_t x0 = c.w.first + s * c.w.step, channels = c.in_channels * c.groups;
  const int64_t left = std::max(q0, x0 < 0 ? div_up(-x0, c.w.stride) : 0);
  const int64_t right = std::min(q1, c.w.in > x0 ? (c.w.in - x0 - 1) / c.w.stride + 1 : 0);
  if (left >= right) return;
  for (int64_t row = row0; row < row1; ++row) {
    const int64_t y = row % c.h.out * c.h.stride + c.h.first + r * c.h.step;
    if (y < 0 || y >= c.h.in) continue;
    runs.push_back(
        {nullptr, row / c.h.out * channels * c.h.in * c.w.in + y * x.row + (x0 + left * c.w.stride) * x.column,
         (row - row0) * (q1 - q0) + left - q0, right - left});
  }
}

template <class T>
struct Job {
  int64_t g, first, last, split;   // group, panels, part of the depth
  int64_t begin, end;              // rows, or parts of wide ones
  T* dw;                           // of each panel [depth][panel], then its bias's gradient; `size` apart
  int64_t size;
  bool bias;
};

// The adjacent channels of the pixels under `runs`, copied side by side; `args` and the runs then name the
// copy.
template <class T>
void copy_pixels(std::vector<Run<T>>& runs, PanelArgs<T>& args, T* copy) {
  ptrdiff_t at = 0;
  for (Run<T>& run : runs) {
    kernels<T>().pack.copy(args.even + run.offset, args.step, copy + at, kCopiedRows, run.length, args.rows,
                           args.rows);
    run.offset = at;
    at += run.length * kCopiedRows;
  }
  args.even = copy;
  args.step = kCopiedRows;
}

// pack_gradient of the panels of a job, `block` apart. Channels last, a few pixels of all panels at a
// time, and the next ones fetched ahead.
template <class T>
void pack_panels(const Correlation& c, const WeightGradientData<T>& data, const WeightPartition& part,
                 const Job<T>& job, int64_t begin, int64_t count, T* to, int64_t block) {
  const bool last = data.grad_format == MemoryFormat::channels_last;
  const int64_t lanes = kernels<T>().gemm.lanes, channels = c.out_channels * c.groups, line = 64 / sizeof(T);
  const int64_t together = last ? kPackedTogether : count,
                first = job.g * c.out_channels + job.first * part.panel;
  const int64_t width = std::min(c.out_channels, job.last * part.panel) - job.first * part.panel;
  for (int64_t p = 0; p < count; p += together) {
    for (int64_t q = p + together; last && q < p + 2 * together; ++q)
      for (int64_t k = 0; k < width; k += line)
        __builtin_prefetch(data.grad + (begin + q) * channels + first + k);
    for (int64_t k = 0; k < width; k += part.panel) {
      const int64_t own = std::min(part.panel, width - k), padded = round_up(own, lanes);
      pack_gradient(c, data, begin + p, std::min(together, count - p), first + k, own, padded,
                    to + k / part.panel * block + p * padded);
    }
  }
}

template <class T>
void by_taps(const Correlation& c, const WeightGradientData<T>& data, const WeightPartition& part,
             const Job<T>& job) {
  const auto& gemm = kernels<T>().gemm;
  const int64_t channels = c.in_channels * c.groups, block = part.strip * part.columns * part.panel;
  const auto width = [&](int64_t j) { return std::min(part.panel, c.out_channels - j * part.panel); };
  const bool last = data.x_format == MemoryFormat::channels_last, narrow = gemm.bundle > 1;
  const Strides x = last ? Strides{1, c.w.in * channels, channels} : Strides{c.h.in * c.w.in, c.w.in, 1};
  const T* from = data.x + job.g * c.in_channels * x.channel;
  const memory::Buffer packed(size_t((job.last - job.first) * block) * sizeof(T));
  const memory::Buffer copy(narrow && last ? size_t(kCopiedRows * part.strip * part.columns) * sizeof(T) : 0);
  std::vector<Run<T>> runs;
  const int64_t d0 = part_begin(c.depth(), part.splits, job.split);
  const int64_t d1 = part_begin(c.depth(), part.splits, job.split + 1);
  for (int64_t at = job.begin; at < job.end;) {
    const int64_t row = at / part.across, q0 = at % part.across * part.columns;
    const int64_t end = part.across > 1 ? row + 1 : std::min(job.end, row + part.strip);
    const int64_t q1 = std::min(c.w.out, q0 + part.columns), pixels = (end - row) * (q1 - q0);
    pack_panels(c, data, part, job, row * c.w.out + q0, pixels, packed.as<T>(), block);
    for (int64_t j = job.first; j < job.last && job.bias; ++j)
      kernels<T>().pack.add_rows(packed.as<T>() + (j - job.first) * block, round_up(width(j), gemm.lanes),
                                 pixels, width(j),
                                 job.dw + (j - job.first) * job.size + c.depth() * part.panel);
    for (int64_t d = d0; d < d1;) {
      const int64_t t = d / c.in_channels, i = d % c.in_channels;
      const int64_t count = std::min({c.in_channels - i, d1 - d, narrow ? kCopiedRows : d1});
      const int64_t tile = narrow ? kTileRows : count;
      clip<T>(c, x, row, end, q0, q1, t / c.w.taps, t % c.w.taps, runs);
      PanelArgs<T> args{};
      args.even = from + i * x.channel;
      args.a_stride = x.channel;
      args.rows = count;
      args.step = c.w.stride * x.column;
      args.accumulate = at > job.begin;
      args.c_stride = c.taps() * part.panel;
      if (narrow && last) copy_pixels(runs, args, copy.as<T>());
      args.runs = runs.data();
      args.run_count = int64_t(runs.size());
      const T* rows = args.even;
      for (int64_t m = 0; m < count; m += tile)
        for (int64_t j = job.first; j < job.last; ++j) {
          args.rows = std::min(tile, count - m);
          args.even = rows + m * args.a_stride;
          args.columns = width(j);
          args.b = packed.as<T>() + (j - job.first) * block;
          args.c = job.dw + (j - job.first) * job.size + t * part.panel + (i + m) * args.c_stride;
          gemm.panel(args);
        }
      d += count;
    }
    at += end - row;
  }
}

// x is planes here.
template <class T>
void by_lines(const Correlation& c, const WeightGradientData<T>& data, const WeightPartition& part,
              const Job<T>& job, int64_t j) {
  const auto& gemm = kernels<T>().gemm;
  const auto& pack = kernels<T>().pack;
  const LineCopy lines(c, gemm.lanes);
  const int64_t width = std::min(part.panel, c.out_channels - j * part.panel);
  const int64_t padded = round_up(width, gemm.lanes), in_plane = c.h.in * c.w.in;
  const int64_t channel = lines.channel(c, part.strip);
  const memory::Buffer copy(size_t(c.in_channels * channel) * sizeof(T));
  const memory::Buffer packed(size_t(part.strip * part.columns * padded) * sizeof(T));
  T* dw = job.dw + (j - job.first) * job.size;
  std::vector<const T*> rows;
  for (const int32_t offset : lines.offsets(c, part.strip)) rows.push_back(copy.as<T>() + offset);
  std::vector<Run<T>> runs;
  PanelArgs<T> args{};
  args.rows = c.depth();
  args.columns = width;
  args.step = 1;
  args.b = packed.as<T>();
  args.c = dw;
  args.c_stride = part.panel;
  for (int64_t at = job.begin; at < job.end;) {
    const int64_t row = at / part.across, n = row / c.h.out, begin = row % c.h.out;
    const int64_t end =
        part.across > 1 ? begin + 1 : std::min({c.h.out, begin + part.strip, begin + job.end - row});
    const LineCopy::Pieces pieces = lines.pieces(c, begin, end);
    for (const std::vector<Segment>& segments : {pieces.zeros, pieces.data})
      pack.gather(data.x + (n * c.groups + job.g) * c.in_channels * in_plane, in_plane, copy.as<T>(), channel,
                  c.in_channels, segments.data(), int64_t(segments.size()), c.w.stride);
    const int64_t last = std::min((row + end - begin) * part.across, job.end);
    for (; at < last; at += end - begin) {
      const int64_t q0 = at % part.across * part.columns, q1 = std::min(c.w.out, q0 + part.columns);
      const int64_t pixels = (end - begin) * (q1 - q0);
      pack_gradient(c, data, row * c.w.out + q0, pixels, job.g * c.out_channels + j * part.panel, width, padded,
                    packed.as<T>());
      if (job.bias) pack.add_rows(packed.as<T>(), padded, pixels, width, dw + c.depth() * part.panel);
      runs.clear();
      for (int64_t p = 0; p < end - begin; ++p)
        runs.push_back({rows.data(), p * c.h.stride * lines.pitch + q0, p * (q1 - q0), q1 - q0});
      args.runs = runs.data();
      args.run_count = int64_t(runs.size());
      args.accumulate = at > job.begin;
      gemm.panel(args);
    }
  }
}

template <class T>
void run(const Correlation& c, const WeightGradientData<T>& given) {
  if (given.x_format == MemoryFormat::contiguous && skips_pixels(c)) {
    const memory::Buffer pixels(size_t(c.batch * c.groups * c.in_channels * c.pixels()) * sizeof(T));
    WeightGradientData<T> data = given;
    data.x = pixels.as<T>();
    return run(without_skips(c, given.x, pixels.as<T>()), data);
  }
  const auto& gemm = kernels<T>().gemm;
  const bool lines = copies_lines(c);
  const int64_t panel = gemm.lanes * gemm.vectors, own = kOwnBytes / (c.depth() * panel * int64_t(sizeof(T)));
  const int64_t bundle = gemm.bundle > 1 ? std::clamp<int64_t>(own, gemm.bundle, kMostPanels) : 1;
  const bool copied = !lines && gemm.bundle > 1 && given.x_format == MemoryFormat::channels_last;
  const WeightPartition part = partition(c, panel, bundle, copied ? kCopiedPixels : kPixels, lines);
  const bool convert = lines && given.x_format == MemoryFormat::channels_last;
  const int64_t channels = c.in_channels * c.groups, in_plane = c.h.in * c.w.in;
  const memory::Buffer planes(convert ? size_t(c.batch * channels * in_plane) * sizeof(T) : 0);
  WeightGradientData<T> data = given;
  if (convert) {
    copy_format(given.x, given.x_format, planes.as<T>(), c.batch, channels, in_plane);
    data.x = planes.as<T>();
    data.x_format = MemoryFormat::contiguous;
  }

  const int64_t depth = c.depth(), size = (depth + 1) * part.panel;   // dw of a panel, then db
  const int64_t blocks = c.groups * part.panels;
  const memory::Buffer copies(size_t(part.chunks * blocks * size) * sizeof(T));
  const int64_t tasks = part.chunks * c.groups * part.bundles * part.splits;
  const double flops = c.flops_per_pixel() * double(part.rows * c.w.out) / double(tasks);
  parallel_items(tasks, flops, [&](int64_t task) {
    const int64_t split = task % part.splits, i = task / part.splits, bundle = i % part.bundles;
    const int64_t g = i / part.bundles % c.groups, chunk = i / part.bundles / c.groups;
    const int64_t first = part_begin(part.panels, part.bundles, bundle);
    const Job<T> job = {g,
                        first,
                        part_begin(part.panels, part.bundles, bundle + 1),
                        split,
                        part_begin(part.rows * part.across, part.chunks, chunk),
                        part_begin(part.rows * part.across, part.chunks, chunk + 1),
                        copies.as<T>() + (chunk * blocks + g * part.panels + first) * size,
                        size,
                        data.db && split == 0};
    for (int64_t j = job.first; j < job.last && job.bias; ++j)
      std::memset(job.dw + (j - job.first) * size + depth * part.panel, 0, size_t(part.panel) * sizeof(T));
    if (!lines) return by_taps<T>(c, data, part, job);
    for (int64_t j = job.first; j < job.last; ++j) by_lines<T>(c, data, part, job, j);
  });

  const int64_t slices = std::clamp<int64_t>(depth * part.panel / 65536, 1, kChunks);
  parallel_items(blocks * slices, kMoveFlops * double(depth * part.panel / slices), [&](int64_t task) {
    const int64_t block = task / slices,
                  k = block / part.panels * c.out_channels + block % part.panels * part.panel;
    const int64_t width = std::min(part.panel, c.out_channels - block % part.panels * part.panel);
    const int64_t l0 = part_begin(depth, slices, task % slices),
                  l1 = part_begin(depth, slices, task % slices + 1);
    T* sum = copies.as<T>() + block * size;
    if (part.chunks > 1)
      kernels<T>().pack.add_rows(sum + blocks * size + l0 * part.panel, blocks * size, part.chunks - 1,
                                 (l1 - l0) * part.panel, sum + l0 * part.panel);
    kernels<T>().pack.transpose(sum + l0 * part.panel, part.panel, data.dw + k * depth + l0, depth, l1 - l0,
                                width);
    if (!data.db || task % slices != 0) return;
    T* db = sum + depth * part.panel;
    kernels<T>().pack.add_rows(db + blocks * size, blocks * size, part.chunks - 1, width, db);
    std::memcpy(data.db + k, db, size_t(width) * sizeof(T));
  });
}

bool accepts(const Correlation&, MemoryFormat, MemoryFormat) { return true; }

}   // namespace

const WeightGradientAlgorithm weight_gemm = {"gemm", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
