#include "dispatch.cuh"
#include "pool.hpp"
#include "windows.cuh"

namespace fastconv::cuda {

// Distances between neighbours in a map, in elements.
struct Steps {
  int64_t map, out_map;
  int cell;   // channels, or 1
};

template <class T, int N>
__global__ void __launch_bounds__(kPoolThreads, 4)
    max_pool_kernel(Windows w, Maps maps, Steps steps, const T* x, T* y, int64_t* indices) {
  using A = Accumulator<T>;
  for_cells(maps, [&](const Cell& cell) {
    const int top = int(cell.row) * w.stride[0] - w.padding[0];
    const int left = int(cell.column) * w.stride[1] - w.padding[1];
    const T* map = x + cell.map * steps.map + int(cell.vector) * N;
    Vector<T, N> best;
    int place[N];
#pragma unroll
    for (int k = 0; k < N; ++k) place[k] = -1;
    for (int r = 0, h = top; r < w.kernel[0]; ++r, h += w.dilation[0]) {
      if (h < 0 || h >= w.height) continue;
      for (int s = 0, column = left; s < w.kernel[1]; ++s, column += w.dilation[1]) {
        if (column < 0 || column >= w.width) continue;
        const int at = h * w.width + column;
        const Vector<T, N> here = load_vector<N>(map + int64_t(at) * steps.cell);
#pragma unroll
        for (int k = 0; k < N; ++k) {
          const A value = widen(here[k]);
          if (place[k] < 0 || value > widen(best[k]) || value != value) {
            best[k] = here[k];
            place[k] = at;
          }
        }
      }
    }
    const int64_t to = cell.map * steps.out_map + (int64_t(cell.row) * w.out_width + cell.column) * steps.cell +
                       int(cell.vector) * N;
    store_vector<N>(y + to, best);
    if (indices == nullptr) return;
#pragma unroll
    for (int k = 0; k < N; ++k) indices[to + k] = place[k];
  });
}

// The results whose window may hold position h of a dimension: [first, end).
__device__ __forceinline__ int first_window(const Windows& w, int i, int h) {
  const int reach = h + w.padding[i] - w.dilation[i] * (w.kernel[i] - 1);
  return reach <= 0 ? 0 : (reach + w.stride[i] - 1) / w.stride[i];
}
__device__ __forceinline__ int end_window(const Windows& w, int i, int h, int outputs) {
  return min((h + w.padding[i]) / w.stride[i] + 1, outputs);
}

template <class T, int N>
__global__ void __launch_bounds__(kPoolThreads, 4)
    max_pool_gather_kernel(Windows w, Maps maps, Steps steps, const T* grad, const int64_t* indices, T* dx) {
  for_cells(maps, [&](const Cell& cell) {
    const int row = int(cell.row), column = int(cell.column), place = row * w.width + column;
    const int64_t map = cell.map * steps.out_map + int(cell.vector) * N;
    Accumulator<T> sum[N];
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] = 0;
    const int last_p = end_window(w, 0, row, w.out_height), last_q = end_window(w, 1, column, w.out_width);
    for (int p = first_window(w, 0, row); p < last_p; ++p)
      for (int q = first_window(w, 1, column); q < last_q; ++q) {
        const int64_t at = map + (int64_t(p) * w.out_width + q) * steps.cell;
        const Vector<T, N> here = load_vector<N>(grad + at);
#pragma unroll
        for (int k = 0; k < N; ++k)
          if (indices[at + k] == place) sum[k] += widen(here[k]);
      }
    Vector<T, N> result;
#pragma unroll
    for (int k = 0; k < N; ++k) result[k] = narrow<T>(sum[k]);
    store_vector<N>(dx + cell.map * steps.map + int64_t(place) * steps.cell + int(cell.vector) * N, result);
  });
}

// Where the windows are not known: a thread for each plane adds up its results one after the other.
template <class T>
__global__ void __launch_bounds__(kPoolThreads, 4)
    max_pool_scatter_kernel(int64_t planes, int64_t channels, int64_t cells, int64_t results, bool last,
                            const T* grad, const int64_t* indices, T* dx) {
  const int64_t plane = int64_t(blockIdx.x) * kPoolThreads + threadIdx.x;
  if (plane >= planes) return;
  const int64_t image = plane / channels, channel = plane % channels, step = last ? channels : 1;
  const auto begin = [&](int64_t count) { return last ? image * count * channels + channel : plane * count; };
  T* to = dx + begin(cells);
  const int64_t from = begin(results);
  for (int64_t i = 0; i < cells; ++i) to[i * step] = narrow<T>(0);
  for (int64_t i = 0; i < results; ++i) {
    const int64_t place = indices[from + i * step];
    if (place < 0 || place >= cells) continue;
    T& cell = to[place * step];
    cell = narrow<T>(widen(cell) + widen(grad[from + i * step]));
  }
}

namespace {

// Calls run(T{}, vector length) with as many channels a cell as one access takes.
template <class Run>
void with_vectors(const View& like, int64_t channels, std::initializer_list<const View*> arrays,
                  const Run& run) {
  with_float_type(like.dtype, [&](auto zero) {
    using T = decltype(zero);
    bool vectors = like.format == MemoryFormat::channels_last && channels % kLanes16<T> == 0;
    for (const View* array : arrays) vectors = vectors && is_aligned(array->data, 16);
    vectors ? run(zero, std::integral_constant<int, kLanes16<T>>{})
            : run(zero, std::integral_constant<int, 1>{});
  });
}

constexpr const char *kForward[] = {"max_pool1d", "max_pool2d", "max_pool3d"},
                     *kBackward[] = {"max_pool1d_backward", "max_pool2d_backward", "max_pool3d_backward"};

// In two dimensions: a row is a plane of one row. Windows of three and adaptive ones have no kernel yet.
PoolProblem in_planes(const char* operation, PoolProblem p) {
  if (p.adaptive || p.spatial == 3)
    throw std::runtime_error(std::string(operation) + ": not implemented for CUDA arrays yet" +
                             (p.adaptive ? " (adaptive windows)" : ""));
  if (p.spatial == 2) return p;
  for (int64_t (*values)[kMaxSpatial] : {&p.input, &p.kernel, &p.output, &p.stride, &p.dilation, &p.padding})
    (*values)[1] = (*values)[0];
  p.input[0] = p.output[0] = p.stride[0] = p.dilation[0] = 1;
  p.kernel[0] = 1;
  p.padding[0] = 0;
  p.spatial = 2;
  return p;
}

// Of all spatial dimensions together.
int64_t cells_of(const int64_t (&extents)[kMaxSpatial], int spatial) {
  int64_t cells = 1;
  for (int i = 0; i < spatial; ++i) cells *= extents[i];
  return cells;
}

// What a map is: `height` x `width` cells each way.
struct Walk {
  Walk(const char* operation, const PoolProblem& p, const View& like, int vector, const int64_t* extents) {
    const bool last = like.format == MemoryFormat::channels_last;
    const int64_t maps = last ? p.batch : p.batch * p.channels, channels = last ? p.channels : 1;
    check_map(operation, p.input[0] * p.input[1]);
    cells = maps_of(operation, maps, extents[0], extents[1], channels / vector);
    steps = {p.input[0] * p.input[1] * channels, p.output[0] * p.output[1] * channels, int(channels)};
  }
  Maps cells;
  Steps steps;
};

void scatter(const PoolProblem& p, const View& grad, const View& indices, const View& dx) {
  const int64_t planes = p.batch * p.channels;
  with_float_type(grad.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(kBackward[p.spatial - 1], max_pool_scatter_kernel<T>, dim3(unsigned(ceil_div(planes, kPoolThreads))),
           kPoolThreads, 0, grad.device.stream, planes, p.channels, cells_of(p.input, p.spatial),
           cells_of(p.output, p.spatial), grad.format == MemoryFormat::channels_last, grad.as<const T>(),
           indices.as<const int64_t>(), dx.as<T>());
  });
}

}   // namespace

void max_pool(const PoolProblem& problem, const View& x, const View& y, const View* indices) {
  const char* operation = kForward[problem.spatial - 1];
  const PoolProblem p = in_planes(operation, problem);
  if (y.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  with_vectors(x, p.channels, {&x, &y}, [&](auto zero, auto length) {
    using T = decltype(zero);
    constexpr int N = decltype(length)::value;
    const Walk walk(operation, p, x, N, p.output);
    launch(operation, max_pool_kernel<T, N>, grid_of(walk.cells), kPoolThreads, 0, x.device.stream,
           windows_of(p), walk.cells, walk.steps, x.as<const T>(), y.as<T>(),
           indices ? indices->as<int64_t>() : nullptr);
  });
}

void max_pool_backward(const PoolProblem& problem, const View& grad, const View& indices, const View& dx) {
  const char* operation = kBackward[problem.spatial - 1];
  if (dx.elements() == 0) return;
  const DeviceGuard guard(grad.device, operation);
  if (problem.kernel[0] == 0 || problem.spatial == 3) return scatter(problem, grad, indices, dx);
  const PoolProblem p = in_planes(operation, problem);
  with_vectors(grad, p.channels, {&grad, &dx}, [&](auto zero, auto length) {
    using T = decltype(zero);
    constexpr int N = decltype(length)::value;
    const Walk walk(operation, p, grad, N, p.input);
    launch(operation, max_pool_gather_kernel<T, N>, grid_of(walk.cells), kPoolThreads, 0, grad.device.stream,
           windows_of(p), walk.cells, walk.steps, grad.as<const T>(), indices.as<const int64_t>(), dx.as<T>());
  });
}

}   // namespace fastconv::cuda
