#include <stdexcept>
#include <string>

#include "average_pool.cuh"
#include "average_pool.hpp"
#include "dispatch.cuh"

namespace fastconv::cuda {

template <class T>
__global__ void __launch_bounds__(kAverageThreads, 2)
    average_pool_kernel(MeanWindows w, MeanResults results, const T* x, T* y) {
  using A = Accumulator<T>;
  const int64_t i = int64_t(blockIdx.x) * kAverageThreads + threadIdx.x;
  if (i >= results.count) return;
  const MeanPlace place = place_of(results, i);
  const MeanBox box = box_of(w, place.at);
  A total = 0;
  for (int64_t a = box.d.begin; a < box.d.end; ++a)
    for (int64_t b = box.h.begin; b < box.h.end; ++b) {
      const int64_t row = ((place.map * w.input[0] + a) * w.input[1] + b) * w.input[2];
      A sum = 0;
      for (int64_t c = box.v.begin; c < box.v.end; ++c)
        sum += widen(x[(row + c) * int64_t(results.cell.value) + place.channel]);
      total += sum;
    }
  y[i] = narrow<T>(total / divisor_of<A>(w, box.counted));
}

template <class T>
__global__ void __launch_bounds__(kAverageThreads, 2)
    average_pool_backward_kernel(MeanWindows w, MeanResults results, const T* grad, T* dx) {
  using A = Accumulator<T>;
  const int64_t i = int64_t(blockIdx.x) * kAverageThreads + threadIdx.x;
  if (i >= results.count) return;
  const MeanPlace place = place_of(results, i);
  const MeanSpan d = windows_of(w, 0, place.at[0]), h = windows_of(w, 1, place.at[1]),
                 v = windows_of(w, 2, place.at[2]);
  A total = 0;
  for (int64_t a = d.begin; a < d.end; ++a)
    for (int64_t b = h.begin; b < h.end; ++b) {
      int64_t counted[3];
      cells_of(w, 0, a, counted[0]);
      cells_of(w, 1, b, counted[1]);
      const int64_t row = ((place.map * w.output[0] + a) * w.output[1] + b) * w.output[2];
      A sum = 0;
      for (int64_t c = v.begin; c < v.end; ++c) {
        cells_of(w, 2, c, counted[2]);
        sum += widen(grad[(row + c) * int64_t(results.cell.value) + place.channel]) / divisor_of<A>(w, counted);
      }
      total += sum;
    }
  dx[i] = narrow<T>(total);
}

namespace {

MeanWindows windows_of(const PoolProblem& p, const AverageParameters& parameters) {
  MeanWindows w{};
  w.adaptive = p.adaptive;
  w.count_include_pad = parameters.count_include_pad;
  w.divisor = double(parameters.divisor);
  for (int i = 0; i < 3; ++i) {
    const int from = i - (3 - p.spatial);
    w.input[i] = from < 0 ? 1 : p.input[from];
    w.output[i] = from < 0 ? 1 : p.output[from];
    w.kernel[i] = from < 0 ? 1 : p.kernel[from];
    w.stride[i] = from < 0 ? 1 : p.stride[from];
    w.padding[i] = from < 0 ? 0 : p.padding[from];
  }
  return w;
}

MeanResults results_of(const char* operation, const PoolProblem& p, const View& like,
                       const int64_t (&extents)[3]) {
  MeanResults results;
  results.count = like.elements();
  constexpr int kFewest = 8;   // results of a block
  if (ceil_div(results.count, kFewest) >= int64_t(1) << 31)
    throw std::runtime_error(std::string(operation) + ": a result of " + std::to_string(results.count) +
                             " elements is too large for CUDA arrays (2**34)");
  results.cell = Divisor64(like.format == MemoryFormat::channels_last ? p.channels : 1);
  results.width = Divisor64(extents[2]);
  results.height = Divisor64(extents[1]);
  results.depth = Divisor64(extents[0]);
  return results;
}

constexpr const char *kForward[] = {"avg_pool1d", "avg_pool2d", "avg_pool3d"},
                     *kBackward[] = {"avg_pool1d_backward", "avg_pool2d_backward", "avg_pool3d_backward"};

dim3 grid_of(const MeanResults& results, int each, int64_t chunks = 1) {
  return dim3(unsigned(ceil_div(results.count, each)), unsigned(chunks));
}

// How a window's cells are shared among threads; of the problem alone, for sums depend on it.
constexpr int64_t kSharedWindow = 512, kSharedPlane = 32;   // cells; kSharedPlane: of all cells of a plane
constexpr int64_t kWarpWindow = 256;                        // from here on a warp, else kFewLanes
constexpr int kFewLanes = 8;
constexpr int64_t kChunkCells = 4096, kMostChunks = 1024;   // of a window
constexpr int64_t kUnits = 8 * 1024;                        // warps that are work enough

bool is_shared(const MeanWindows& w, int64_t cells) {
  return cells >= kSharedWindow || (cells >= kSharedPlane && w.output[1] * w.output[2] == 1);
}

template <class T, int lanes, bool last>
void start_parts(const char* operation, const MeanWindows& w, const MeanResults& results, int64_t cells,
                 const View& x, const View& y) {
  constexpr int each = last ? lanes : kAverageThreads / lanes;
  const int64_t wanted = ceil_div(kUnits, ceil_div(results.count, each) * kMeanGroups);
  const int64_t chunks = std::min({ceil_div(cells, kChunkCells), wanted, kMostChunks});
  const int64_t kept = chunks > 1 ? chunks * results.count : 0;
  const Workspace partial(x.device, kept * int64_t(sizeof(Accumulator<T>)), operation);
  launch(operation, average_pool_parts_kernel<T, lanes, last>, grid_of(results, each, chunks), kAverageThreads,
         0, x.device.stream, w, results, x.as<const T>(), y.as<T>(), partial.as<Accumulator<T>>());
  if (chunks > 1)
    launch(operation, average_pool_finish_kernel<T>, grid_of(results, kMeanGroups), kAverageThreads, 0,
           x.device.stream, w, results, partial.as<const Accumulator<T>>(), int(chunks), y.as<T>());
}

}   // namespace

void average_pool(const PoolProblem& p, const AverageParameters& parameters, const View& x, const View& y) {
  const char* operation = kForward[p.spatial - 1];
  if (y.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  const MeanWindows w = windows_of(p, parameters);
  const MeanResults results = results_of(operation, p, y, w.output);
  int64_t cells = 1;
  for (int i = 0; i < 3; ++i) cells *= std::min(w.kernel[i], w.input[i]);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (!is_shared(w, cells))
      return launch(operation, average_pool_kernel<T>, grid_of(results, kAverageThreads), kAverageThreads, 0,
                    x.device.stream, w, results, x.as<const T>(), y.as<T>());
    const auto start = y.format == MemoryFormat::channels_last ? start_parts<T, kMeanLanes, true>
                       : cells < kWarpWindow                   ? start_parts<T, kFewLanes, false>
                                                               : start_parts<T, kMeanLanes, false>;
    start(operation, w, results, cells, x, y);
  });
}

void average_pool_backward(const PoolProblem& p, const AverageParameters& parameters, const View& grad,
                           const View& dx) {
  const char* operation = kBackward[p.spatial - 1];
  if (dx.elements() == 0) return;
  const DeviceGuard guard(grad.device, operation);
  const MeanWindows w = windows_of(p, parameters);
  const MeanResults results = results_of(operation, p, dx, w.input);
  with_float_type(grad.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(operation, average_pool_backward_kernel<T>, grid_of(results, kAverageThreads), kAverageThreads, 0,
           grad.device.stream, w, results, grad.as<const T>(), dx.as<T>());
  });
}

}   // namespace fastconv::cuda
