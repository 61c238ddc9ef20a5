// A cell's gradient meets what the cell saw: in an image of pixels with their channels side by side, one
// stretch for each tap row. Images are copied so with their padding; the weight's gradient is gathered over
// their cells, the input's is scattered from them and copied back.
#include "sparse_gradients.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <type_traits>

#include "../../core/memory.hpp"
#include "../isa.hpp"
#include "../tiling.hpp"
#include "winograd_tiles.hpp"

namespace fastconv::cpu {
namespace {

// The padded copy of an image.
struct PaddedImage {
  int64_t channels, pitch;    // of a pixel: elements that count, all
  int64_t top, left;          // where the image begins
  int64_t height, width;      // of the part that is read, with its padding
  int64_t rows, columns;      // of the image that lie in it
  int64_t line;               // elements
  int64_t stretch, vectors;   // a tap row: elements that count, whole vectors

  PaddedImage(const Correlation& c, int64_t lanes)
      : channels(c.in_channels),
        pitch(pitch_of(c, lanes)),
        top(-c.h.first),
        left(-c.w.first),
        height((c.h.out - 1) * c.h.stride + (c.h.taps - 1) * c.h.step + 1),
        width((c.w.out - 1) * c.w.stride + c.w.taps),
        rows(std::clamp<int64_t>(height - top, 0, c.h.in)),
        columns(std::clamp<int64_t>(width - left, 0, c.w.in)),
        line(width * pitch),
        stretch((c.w.taps - 1) * pitch + c.in_channels),
        vectors(div_up(stretch, lanes)) {}

  // Whole vectors a pixel where that costs few of them: they then lie within lines of the cache.
  static int64_t pitch_of(const Correlation& c, int64_t lanes) {
    const int64_t whole = round_up(c.in_channels, lanes);
    return 10 * c.w.taps * whole <= 13 * round_up(c.w.taps * c.in_channels, lanes) ? whole : c.in_channels;
  }
  int64_t elements(int64_t lanes) const { return height * line + row_of_sums(lanes); }
  int64_t row_of_sums(int64_t lanes) const { return vectors * lanes; }

  bool planes(MemoryFormat format) const { return format == MemoryFormat::contiguous && channels > 1; }
  template <class T>
  void read(const Correlation& c, const Planes<const T>& x, int64_t n, T* to) const {
    const auto& pack = kernels<T>().pack;
    const int64_t plane = c.h.in * c.w.in;
    const T* image = x.data + n * channels * plane;
    for (int64_t y = 0; y < rows; ++y) {
      T* at = to + (y + top) * line + left * pitch;
      if (planes(x.format))
        pack.transpose(image + y * c.w.in, plane, at, pitch, channels, columns);
      else if (pitch == channels)
        std::memcpy(at, image + y * c.w.in * channels, size_t(columns * channels) * sizeof(T));
      else
        pack.copy(image + y * c.w.in * channels, channels, at, pitch, columns, channels, channels);
    }
  }
  template <class T>
  void write(const Correlation& c, const T* from, int64_t n, const Planes<T>& dx) const {
    const auto& pack = kernels<T>().pack;
    const int64_t plane = c.h.in * c.w.in;
    T* image = dx.data + n * channels * plane;
    if (rows < c.h.in || columns < c.w.in) std::memset(image, 0, size_t(channels * plane) * sizeof(T));
    for (int64_t y = 0; y < rows; ++y) {
      const T* at = from + (y + top) * line + left * pitch;
      if (planes(dx.format))
        pack.transpose(at, pitch, image + y * c.w.in, plane, columns, channels);
      else if (pitch == channels)
        std::memcpy(image + y * c.w.in * channels, at, size_t(columns * channels) * sizeof(T));
      else
        pack.copy(at, pitch, image + y * c.w.in * channels, channels, columns, channels, channels);
    }
  }
};

// Where the cells of a plane of the result begin in the padded image.
std::vector<int32_t> places_of(const Correlation& c, const PaddedImage& image) {
  std::vector<int32_t> places;
  places.reserve(size_t(c.pixels()));
  for (int64_t y = 0; y < c.h.out; ++y)
    for (int64_t x = 0; x < c.w.out; ++x)
      places.push_back(int32_t(y * c.h.stride * image.line + x * c.w.stride * image.pitch));
  return places;
}

// Calls with(number of a weight, its place in tap rows that lie as those of the image do).
template <class With>
void each_weight(const Correlation& c, const PaddedImage& image, int64_t row, With with) {
  int64_t number = 0;
  for (int64_t k = 0; k < c.out_channels; ++k)
    for (int64_t i = 0; i < c.in_channels; ++i)
      for (int64_t r = 0; r < c.h.taps; ++r)
        for (int64_t s = 0; s < c.w.taps; ++s) with(number++, (k * c.h.taps + r) * row + s * image.pitch + i);
}

// One call on its way; chunks of images sum up the weight's gradient on their own.
template <class T>
struct Job {
  const Correlation& c;
  const SparseGradientData<T>& data;
  const PaddedImage& image;
  const int32_t* places;
  const T* weight;           // in rows
  int64_t filter, partial;   // elements: of an output channel's sums; of a chunk's, with the bias's

  // Images [begin, end). False where an index is outside its plane.
  bool chunk(int64_t begin, int64_t end, T* sums) const {
    const int64_t lanes = kernels<T>().gemm.lanes, elements = image.elements(lanes);
    const memory::Buffer x(size_t(data.dw ? elements : 0) * sizeof(T));
    const memory::Buffer dx(size_t(data.dx.data ? 2 * elements : 0) * sizeof(T));
    if (data.dw) {
      std::memset(x.as<T>(), 0, size_t(elements) * sizeof(T));   // the padding stays so
      std::memset(sums, 0, size_t(partial) * sizeof(T));
    }
    bool inside = true;
    for (int64_t n = begin; n < end && inside; ++n) {
      if (data.dw) image.read(c, data.x, n, x.as<T>());
      if (data.dx.data) std::memset(dx.as<T>(), 0, size_t(elements) * sizeof(T));
      inside = pass(n, x.as<const T>(), sums, dx.as<T>(), dx.as<T>() + elements, elements);
      if (data.dx.data) image.write(c, dx.as<const T>(), n, data.dx);
      if (data.db) add_bias(n, sums + c.out_channels * filter);
    }
    return inside;
  }

 private:
  // The channels of image n. Those of dx are summed up some at a time, from zero in `some`.
  bool pass(int64_t n, const T* x, T* sums, T* dx, T* some, int64_t elements) const {
    const SparseKernels<T>& sparse = kernels<T>().sparse;
    const memory::Buffer offsets(size_t(data.cells) * sizeof(int32_t)), values(size_t(data.cells) * sizeof(T));
    std::optional<memory::Buffer> turned_grad, turned_indices;
    const T* grad = planes_of(data.grad, n, turned_grad);
    const int64_t* indices = planes_of(data.indices, n, turned_indices);
    SparseCells<T> cells = {offsets.as<const int32_t>(), values.as<const T>(), 0, c.h.taps, image.vectors,
                            c.h.step * image.line};
    const int64_t together = channels_together();
    for (int64_t k = 0; k < c.out_channels; ++k, grad += data.cells, indices += data.cells) {
      const bool begins = data.dx.data && k > 0 && k % together == 0;
      if (begins && k > together) kernels<T>().pack.add_rows(some, elements, 1, elements, dx);
      if (begins) std::memset(some, 0, size_t(elements) * sizeof(T));
      cells.count =
          sparse.find(grad, indices, data.cells, places, c.pixels(), offsets.as<int32_t>(), values.as<T>());
      if (cells.count < 0) return false;
      if (data.dw) sparse.gather(cells, x, sums + k * filter);
      if (data.dx.data) sparse.scatter(cells, weight + k * filter, image.stretch, k < together ? dx : some);
    }
    if (data.dx.data && c.out_channels > together) kernels<T>().pack.add_rows(some, elements, 1, elements, dx);
    return true;
  }

  // Output channels that about kSummed / 4 products of a cell of dx come from: rounding errors as PyTorch's.
  int64_t channels_together() const {
    const double products = double(c.taps() * data.cells) / double(c.h.in * c.w.in);
    return std::max<int64_t>(1, int64_t(double(kSummed / 4) / std::max(products, 0.5)));
  }

  // Image n as planes: in place, or turned into `buffer`. Indices are as wide as doubles, and moved as such.
  template <class E>
  const E* planes_of(const Planes<const E>& array, int64_t n, std::optional<memory::Buffer>& buffer) const {
    using Moved = std::conditional_t<std::is_same_v<E, int64_t>, double, E>;
    const E* own = array.data + n * c.out_channels * data.cells;
    if (array.format == MemoryFormat::contiguous) return own;
    buffer.emplace(size_t(c.out_channels * data.cells) * sizeof(E));
    kernels<Moved>().pack.transpose(reinterpret_cast<const Moved*>(own), c.out_channels, buffer->as<Moved>(),
                                    data.cells, data.cells, c.out_channels);
    return buffer->as<const E>();
  }

  void add_bias(int64_t n, T* sums) const {
    const auto& pack = kernels<T>().pack;
    const T* grad = data.grad.data + n * c.out_channels * data.cells;
    if (data.grad.format == MemoryFormat::channels_last)
      return pack.add_rows(grad, c.out_channels, data.cells, c.out_channels, sums);
    for (int64_t k = 0; k < c.out_channels; ++k) sums[k] += pack.sum(grad + k * data.cells, data.cells);
  }
};

}   // namespace

// In multiply-adds of the direct way; the factors are measured. A store for each product binds the input's
// gradient.
bool sparse_gradient_pays(const Correlation& c, int64_t cells, Pass pass, Algorithm algorithm) {
  constexpr int64_t kFewestImages = 8, kNarrow = 8;   // lanes, whatever the machine has
  constexpr int64_t kMostElements = 1 << 21, kMostSums = 1 << 15;
  constexpr double kNotZero = 0.75;   // of the cells: 0.35 to 0.55 in trained networks, up to 0.95 before
  constexpr double kGather = 1.5 * kNotZero, kScatter = 2.5 * kNotZero, kFind = 20, kRead = 12, kWrite = 16;
  const bool weight = pass == Pass::backward_weight;
  if (c.groups > 1 || c.w.step > 1 || c.batch < kFewestImages || algorithm == Algorithm::winograd) return false;
  if (c.h.stride > c.h.taps || c.w.stride > c.w.taps || (!weight && c.taps() == 1)) return false;
  const PaddedImage image(c, kNarrow);
  const int64_t elements = image.elements(kNarrow), filter = c.h.taps * image.row_of_sums(kNarrow);
  if (elements > kMostElements || (weight && c.out_channels * filter > kMostSums)) return false;
  double whole = double(c.batch * c.out_channels * c.pixels() * c.depth());
  if (algorithm == Algorithm::automatic) {
    if (weight && winograd_weight_pays(c)) whole = winograd_weight_cost(c);
    if (!weight && winograd_pays(c, MemoryFormat::contiguous)) whole = winograd_cost(c);
  }
  const double channel = double(cells) * (double(filter) * (weight ? kGather : kScatter) + kFind);
  const double image_cost = double(c.out_channels) * channel + double(elements) * (weight ? kRead : kWrite);
  return double(c.batch) * image_cost < whole;
}

template <class T>
bool sparse_gradients(const Correlation& c, const SparseGradientData<T>& data) {
  const int64_t lanes = kernels<T>().gemm.lanes;
  const PaddedImage image(c, lanes);
  const int64_t row = image.row_of_sums(lanes), filter = c.h.taps * row;
  const int64_t partial = data.dw ? c.out_channels * (filter + 1) : 0, chunks = std::min(kChunks, c.batch);
  const std::vector<int32_t> places = places_of(c, image);
  std::vector<T> weight(size_t(data.dx.data ? c.out_channels * filter : 0));
  if (data.dx.data)
    each_weight(c, image, row, [&](int64_t i, int64_t at) { weight[size_t(at)] = data.weight[i]; });
  const memory::Buffer partials(size_t(chunks * partial) * sizeof(T));
  const Job<T> job = {c, data, image, places.data(), weight.data(), filter, partial};
  std::atomic<bool> inside{true};
  parallel_for(chunks, [&](int64_t i) {
    if (!job.chunk(part_begin(c.batch, chunks, i), part_begin(c.batch, chunks, i + 1),
                   partials.as<T>() + i * partial))
      inside = false;
  });
  if (!inside) return false;
  if (!data.dw) return true;
  kernels<T>().pack.add_rows(partials.as<T>() + partial, partial, chunks - 1, partial, partials.as<T>());
  const T* sums = partials.as<const T>();
  each_weight(c, image, row, [&](int64_t i, int64_t at) { data.dw[i] = sums[at]; });
  if (data.db) std::copy_n(sums + c.out_channels * filter, c.out_channels, data.db);
  return true;
}
template bool sparse_gradients(const Correlation&, const SparseGradientData<float>&);
template bool sparse_gradients(const Correlation&, const SparseGradientData<double>&);

}   // namespace fastconv::cpu
