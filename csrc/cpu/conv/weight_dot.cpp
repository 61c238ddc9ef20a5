// Gradient of the weight for planes (NCHW) with few output channels: every entry is a dot product of a gradient
// plane with a shifted input plane, and the reduction over pixels runs along the vectors. Nothing is
// transposed.
#include <cstring>

#include "../../core/memory.hpp"
#include "../isa.hpp"
#include "../parallel.hpp"
#include "correlation.hpp"
#include "line_copy.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kCopyBytes = 128 << 10;   // of one pass: beside the gradient's planes in L2

// Chunks have copies of dw of their own, added up in order. A pass sums over several strips (rows of an image)
// before it folds its vectors, which costs as much as 16 or so products.
struct Partition {
  int64_t rows, strips, pass, chunks;
};

template <class T>
Partition partition(const Correlation& c, const LineCopy& lines) {
  Partition part{};
  const int64_t channel_line = lines.pitch * c.in_channels * int64_t(sizeof(T));
  part.rows = std::clamp<int64_t>(kCopyBytes / (channel_line * c.h.stride), 1, c.h.out);
  part.strips = div_up(c.h.out, part.rows);
  const int64_t strip_bytes = channel_line * LineCopy::lines(c, part.rows);
  part.pass = std::clamp<int64_t>(kCopyBytes / strip_bytes, 1, 16);
  const double flops = c.flops_per_pixel() * double(c.pixels() * c.batch);
  const int64_t planes = c.batch * c.groups * part.strips;
  part.chunks = std::clamp<int64_t>(int64_t(flops / kChunkFlops), 1, std::min(kChunks, planes / c.groups));
  return part;
}

template <class T>
struct Accumulator {
  T *dw, *db;
};

// Strips [first, last) of group g; strip i is rows of image i / strips.
template <class T>
void accumulate(const Correlation& c, const WeightGradientData<T>& data, const LineCopy& lines,
                const Partition& part, const std::vector<int32_t>& offsets, int64_t g, int64_t first,
                int64_t last, const Accumulator<T>& to) {
  const auto& pack = kernels<T>().pack;
  const int64_t plane = c.pixels(), in_plane = c.h.in * c.w.in, channel = lines.channel(c, part.rows);
  const int64_t strip_size = c.in_channels * channel;
  const memory::Buffer copy(size_t(part.pass * strip_size) * sizeof(T));
  const auto fill = [&](const T* x, T* to_copy, const std::vector<Segment>& segments) {
    pack.gather(x, in_plane, to_copy, channel, c.in_channels, segments.data(), int64_t(segments.size()),
                c.w.stride);
  };
  const LineCopy::Pieces whole = lines.pieces(c, 0, part.rows);
  for (int64_t k = 0; k < part.pass && part.strips == 1; ++k)
    fill(nullptr, copy.as<T>() + k * strip_size, whole.zeros);
  std::vector<DotRun> runs;
  const T* grad = data.grad + g * c.out_channels * plane;
  const std::vector<const T*> a = row_pointers(grad, c.out_channels, plane);
  std::vector<const T*> b;
  for (const int32_t offset : offsets) b.push_back(copy.as<T>() + offset);

  for (int64_t i = first; i < last; i += part.pass) {
    runs.clear();
    for (int64_t k = i; k < std::min(last, i + part.pass); ++k) {
      const int64_t n = k / part.strips, begin = k % part.strips * part.rows;
      const int64_t end = std::min(c.h.out, begin + part.rows);
      const T* x = data.x + (n * c.groups + g) * c.in_channels * in_plane;
      T* lines_of_strip = copy.as<T>() + (k - i) * strip_size;
      if (part.strips == 1) {
        fill(x, lines_of_strip, whole.data);
      } else {
        const LineCopy::Pieces own = lines.pieces(c, begin, end);
        fill(x, lines_of_strip, own.zeros);
        fill(x, lines_of_strip, own.data);
      }
      const ptrdiff_t image = n * c.groups * c.out_channels * plane;
      for (int64_t p = begin; p < end; ++p)
        runs.push_back(
            {image + p * c.w.out, (k - i) * strip_size + (p - begin) * c.h.stride * lines.pitch, c.w.out});
      if (to.db)
        for (int64_t o = 0; o < c.out_channels; ++o)
          to.db[o] += pack.sum(a[size_t(o)] + image + begin * c.w.out, (end - begin) * c.w.out);
    }
    kernels<T>().gemm.dot({c.out_channels, c.depth(), a.data(), b.data(), runs.data(), int64_t(runs.size()),
                           to.dw, c.depth(), true});
  }
}

template <class T>
void run(const Correlation& c, const WeightGradientData<T>& data) {
  const LineCopy lines(c, kernels<T>().gemm.lanes);
  const Partition part = partition<T>(c, lines);
  const std::vector<int32_t> offsets = lines.offsets(c, part.rows);
  const int64_t size = c.out_channels * c.depth(), strips = c.batch * part.strips;
  const int64_t stride = size + c.out_channels;   // of a chunk's copy: dw, then db
  const memory::Buffer copies(size_t(c.groups * part.chunks * stride) * sizeof(T));
  std::memset(copies.as<T>(), 0, size_t(c.groups * part.chunks * stride) * sizeof(T));
  const double flops = c.flops_per_pixel() * double(c.pixels() * c.batch) / double(c.groups * part.chunks);
  parallel_items(c.groups * part.chunks, flops, [&](int64_t task) {
    const int64_t g = task / part.chunks, i = task % part.chunks;
    T* copy = copies.as<T>() + task * stride;
    accumulate(c, data, lines, part, offsets, g, part_begin(strips, part.chunks, i),
               part_begin(strips, part.chunks, i + 1), Accumulator<T>{copy, data.db ? copy + size : nullptr});
  });
  for (int64_t g = 0; g < c.groups; ++g) {
    const T* copy = copies.as<T>() + g * part.chunks * stride;
    std::memset(data.dw + g * size, 0, size_t(size) * sizeof(T));
    kernels<T>().pack.add_rows(copy, stride, part.chunks, size, data.dw + g * size);
    if (!data.db) continue;
    std::memset(data.db + g * c.out_channels, 0, size_t(c.out_channels) * sizeof(T));
    kernels<T>().pack.add_rows(copy + size, stride, part.chunks, c.out_channels, data.db + g * c.out_channels);
  }
}

// Share of a vector's lanes that an extent fills.
double filled(int64_t extent) {
  constexpr int64_t lanes = 16;
  return double(extent) / double(round_up(extent, lanes));
}

bool accepts(const Correlation& c, MemoryFormat grad, MemoryFormat x) {
  return grad == MemoryFormat::contiguous && x == MemoryFormat::contiguous && LineCopy::fits(c) &&
         c.depth() <= 4096 && 0.8 * filled(c.w.out) > filled(c.out_channels);   // else the product wastes less
}

}   // namespace

const WeightGradientAlgorithm weight_dot = {"planar-dot", accepts, run<float>, run<double>};

}   // namespace fastconv::cpu
