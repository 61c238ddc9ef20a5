#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <stdexcept>

#include "../core/memory.hpp"
#include "isa.hpp"
#include "narrow_rows.hpp"
#include "parallel.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kGrain = 65536;               // window elements a chunk: about 10 us
constexpr int64_t kFewLanes = 4;                // outputs of a row: fewer are worth turning planes of up to
constexpr int64_t kMostTurnedBytes = 4 << 20;   // so much together
constexpr int64_t kChannelBlock = 64;   // of a channels-last image where images are few: whole cache lines

int64_t product(const int64_t (&extents)[kMaxSpatial], int spatial) {
  int64_t result = 1;
  for (int i = 0; i < spatial; ++i) result *= extents[i];
  return result;
}

bool channels_last(const View& view) { return view.format == MemoryFormat::channels_last; }

// Moves one image between the layouts: to channels-last where `last`, else from it.
template <class T>
void convert(bool last, int64_t channels, int64_t plane, const T* from, T* to) {
  const auto transpose = kernels<T>().pack.transpose;
  last ? transpose(from, plane, to, channels, channels, plane)
       : transpose(from, channels, to, plane, plane, channels);
}
// Indices are as wide as doubles, and moved as such.
void convert(bool last, int64_t channels, int64_t plane, const int64_t* from, int64_t* to) {
  convert(last, channels, plane, reinterpret_cast<const double*>(from), reinterpret_cast<double*>(to));
}

// Rows [begin, end), counted through all planes or images.
template <class T>
void pool_plain(const PoolRows<T>& rows, int64_t begin, int64_t end) {
  const PoolKernels<T>& table = kernels<T>().pool;
  const PoolWindows& w = rows.windows;
  const int64_t each = w.output[0] * w.output[1], wide = w.output[2] * (rows.last ? rows.channels : 1);
  const int64_t pitch = rows.pitch * (rows.last ? rows.channels : 1);
  const bool dense = pitch == each * wide;
  for (int64_t row = begin; row < end;) {
    const int64_t until = dense ? end : std::min(end, (row / each + 1) * each);
    const int64_t at = row / each * pitch + row % each * wide;
    int64_t* to = rows.indices ? rows.indices + at : nullptr;
    rows.last ? table.max_rows_channels_last(w, rows.channels, rows.x, rows.y + at, to, row, until, rows.stream)
              : table.max_rows(w, rows.x, rows.y + at, to, row, until);
    row = until;
  }
}

// Whether planes are pooled in blocks that pool_turned turns. Adaptive windows have no vectors along a row.
template <class T>
bool turns(const PoolWindows& w, int64_t planes) {
  if (w.output[2] >= kNarrow || planes < kTogether) return false;
  const int64_t cells = w.input[0] * w.input[1] * w.input[2] + w.output[0] * w.output[1] * w.output[2];
  const bool scalar = w.output[2] < kFewLanes || w.stride[2] == 0;
  return cells * kTogether * int64_t(sizeof(T)) <= (scalar ? kMostTurnedBytes : kTurnedBytes);
}

// Planes [begin, end), turned so that planes lie along the vectors.
template <class T>
void pool_turned(const PoolRows<T>& rows, int64_t begin, int64_t end) {
  const auto transpose = kernels<T>().pack.transpose;
  const PoolWindows& w = rows.windows;
  const int64_t planes = end - begin, inputs = w.input[0] * w.input[1] * w.input[2];
  const int64_t lines = w.output[0] * w.output[1], outputs = lines * w.output[2];
  const memory::Buffer turned(size_t(planes * inputs) * sizeof(T)),
      values(size_t(planes * outputs) * sizeof(T)),
      positions(size_t(rows.indices ? planes * outputs : 0) * sizeof(int64_t));
  transpose(rows.x + begin * inputs, inputs, turned.as<T>(), planes, planes, inputs);
  kernels<T>().pool.max_rows_channels_last(w, planes, turned.as<const T>(), values.as<T>(),
                                           rows.indices ? positions.as<int64_t>() : nullptr, 0, lines, false);
  transpose(values.as<const T>(), planes, rows.y + begin * rows.pitch, rows.pitch, outputs, planes);
  if (rows.indices)   // as wide as doubles, and moved as such
    kernels<double>().pack.transpose(positions.as<const double>(), planes,
                                     reinterpret_cast<double*>(rows.indices) + begin * rows.pitch, rows.pitch,
                                     outputs, planes);
}

template <class T>
void run(const PoolProblem& p, const View& x, const View& y, const View* indices) {
  const PoolWindows w = windows_of(p);
  const int64_t outputs = product(p.output, p.spatial), inputs = product(p.input, p.spatial);
  const bool last = channels_last(x);
  const T* from = x.as<const T>();
  int64_t* arg = indices ? indices->as<int64_t>() : nullptr;
  if (last == channels_last(y)) {
    const int64_t bytes = y.elements() * int64_t(sizeof(T) + (indices ? sizeof(int64_t) : 0));
    return max_pool_rows<T>(
        {w, last, p.batch, p.channels, outputs, bytes > kCachedBytes, from, y.as<T>(), arg});
  }

  // An image at a time in x's layout, then turned into y's.
  const PoolKernels<T>& table = kernels<T>().pool;
  const int64_t image = p.channels * outputs;
  parallel_for(p.batch, [&](int64_t n) {
    const memory::Buffer values(size_t(image) * sizeof(T)),
        positions(size_t(arg ? image : 0) * sizeof(int64_t));
    const T* own = from + n * p.channels * inputs;
    int64_t* kept = arg ? positions.as<int64_t>() : nullptr;
    last ? table.max_rows_channels_last(w, p.channels, own, values.as<T>(), kept, 0, w.output[0] * w.output[1],
                                        false)
         : table.max_rows(w, own, values.as<T>(), kept, 0, p.channels * w.output[0] * w.output[1]);
    convert(!last, p.channels, outputs, values.as<const T>(), y.as<T>() + n * image);
    if (arg) convert(!last, p.channels, outputs, positions.as<const int64_t>(), arg + n * image);
  });
}

// The least flat position (in the indices' memory order) that was out of range, or -1.
class FirstBad {
 public:
  void note(int64_t position) {
    int64_t seen = position_.load();
    while ((seen < 0 || position < seen) && !position_.compare_exchange_weak(seen, position)) {
    }
  }
  int64_t position() const { return position_.load(); }

 private:
  std::atomic<int64_t> position_{-1};
};

// grad and indices lie as dx does. Chunks are planes, or blocks of channels of an image: each owns its part of
// dx.
template <class T>
void scatter(const PoolProblem& p, bool last, const T* grad, const int64_t* indices, T* dx, FirstBad& bad) {
  const PoolKernels<T>& table = kernels<T>().pool;
  const int64_t outputs = product(p.output, p.spatial), inputs = product(p.input, p.spatial);
  const int64_t work = std::max<int64_t>(1, outputs + inputs / 8);   // of one channel
  if (!last)
    return parallel_ranges(
        p.batch * p.channels, std::max<int64_t>(1, kGrain / 4 / work), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t at =
                table.scatter(grad + i * outputs, indices + i * outputs, outputs, dx + i * inputs, inputs);
            if (at >= 0) bad.note(i * outputs + at);
          }
        });

  const int64_t block = p.batch >= kChunks ? p.channels : std::min(p.channels, kChannelBlock);
  const int64_t blocks = block ? (p.channels + block - 1) / block : 0;
  parallel_ranges(p.batch * blocks, std::max<int64_t>(1, kGrain / 4 / work / std::max<int64_t>(1, block)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) {
                      const int64_t n = i / blocks, c = i % blocks * block;
                      const int64_t offset = n * outputs * p.channels + c;
                      const int64_t at = table.scatter_channels_last(
                          grad + offset, indices + offset, outputs, p.channels, std::min(block, p.channels - c),
                          dx + n * inputs * p.channels + c, inputs);
                      if (at >= 0) bad.note(offset + at);
                    }
                  });
}

// `from` in the layout of dx: itself, or turned into `buffer`.
template <class E>
const E* lay_as(const View& dx, const View& from, int64_t batch, int64_t channels, int64_t plane,
                std::optional<memory::Buffer>& buffer) {
  if (from.format == dx.format) return from.as<const E>();
  const int64_t image = channels * plane;
  E* to = buffer.emplace(size_t(batch * image) * sizeof(E)).template as<E>();
  parallel_for(batch, [&](int64_t n) {
    convert(channels_last(dx), channels, plane, from.as<const E>() + n * image, to + n * image);
  });
  return to;
}

template <class T>
void run_backward(const PoolProblem& p, const View& grad, const View& indices, const View& dx) {
  const int64_t outputs = product(p.output, p.spatial);
  std::optional<memory::Buffer> grad_buffer, indices_buffer;
  const T* g = lay_as<T>(dx, grad, p.batch, p.channels, outputs, grad_buffer);
  const int64_t* arg = lay_as<int64_t>(dx, indices, p.batch, p.channels, outputs, indices_buffer);
  FirstBad bad;
  scatter(p, channels_last(dx), g, arg, dx.as<T>(), bad);
  const int64_t at = bad.position();
  if (at < 0) return;

  // Memory order to (n, c, *spatial).
  const bool last = channels_last(dx);
  const int64_t image = at / (p.channels * outputs), rest = at % (p.channels * outputs);
  const int64_t channel = last ? rest % p.channels : rest / outputs;
  int64_t pixel = last ? rest / p.channels : rest % outputs;
  Shape where(size_t(2 + p.spatial), 0);
  where[0] = image;
  where[1] = channel;
  for (int i = p.spatial; i-- > 0; pixel /= p.output[i]) where[size_t(2 + i)] = pixel % p.output[i];
  throw std::invalid_argument("index " + std::to_string(arg[at]) + " at " + to_string(where) +
                              " is outside the input plane " + to_string(Shape(p.input, p.input + p.spatial)));
}

}   // namespace

PoolWindows windows_of(const PoolProblem& p) {
  PoolWindows w;
  for (int i = 0; i < 3; ++i) {
    const int from = i - (3 - p.spatial);
    w.input[i] = from < 0 ? 1 : p.input[from];
    w.kernel[i] = from < 0 ? 1 : p.kernel[from];
    w.output[i] = from < 0 ? 1 : p.output[from];
    w.stride[i] = from < 0 ? 1 : p.adaptive ? 0 : p.stride[from];
    w.dilation[i] = from < 0 ? 1 : p.dilation[from];
    w.padding[i] = from < 0 ? 0 : p.padding[from];
  }
  return w;
}

template <class T>
void max_pool_rows(const PoolRows<T>& rows) {
  const PoolWindows& w = rows.windows;
  const int64_t planes = rows.images * rows.channels;
  if (!rows.last && turns<T>(w, planes))
    return parallel_ranges(planes, kTogether,
                           [&](int64_t begin, int64_t end) { pool_turned(rows, begin, end); });
  const int64_t pixels = w.output[2] * (rows.last ? rows.channels : 1);
  const int64_t each = w.output[0] * w.output[1];
  int64_t taps = 1;   // that a window may have inside the input
  for (int i = 0; i < 3; ++i) taps *= std::min(w.kernel[i], w.input[i]);
  parallel_ranges((rows.last ? rows.images : planes) * each,
                  std::max<int64_t>(1, kGrain / taps / std::max<int64_t>(1, pixels)),
                  [&](int64_t begin, int64_t end) { pool_plain(rows, begin, end); });
}
template void max_pool_rows(const PoolRows<float>&);
template void max_pool_rows(const PoolRows<double>&);

void max_pool(const PoolProblem& problem, const View& x, const View& y, const View* indices) {
  x.dtype == DType::float32 ? run<float>(problem, x, y, indices) : run<double>(problem, x, y, indices);
}

void max_pool_backward(const PoolProblem& problem, const View& grad, const View& indices, const View& dx) {
  grad.dtype == DType::float32 ? run_backward<float>(problem, grad, indices, dx)
                               : run_backward<double>(problem, grad, indices, dx);
}

}   // namespace fastconv::cpu
