#include "dispatch.cuh"
#include "pool.hpp"
#include "windows.cuh"

namespace fastconv::cuda {

// Distances between neighbours in a map, in elements.
struct Steps {
  int64_t map, out_map;
  int cell;   // channels, or 1
};

template <class T, int N, bool kAny>
__global__ void __launch_bounds__(kPoolThreads, 4)
    max_pool_kernel(const __grid_constant__ Windows<kAny> w, Maps maps, Steps steps, const T* x, T* y,
                    int64_t* indices) {
  using A = Accumulator<T>;
  for_cells<kAny>(maps, [&](const Cell& cell) {
    const Span d = kAny ? cells_of(w, 0, cell.slice) : Span{0, 1};
    const Span h = cells_of(w, 1, cell.row), v = cells_of(w, 2, cell.column);
    const int height = int(w.axis[1].input), width = int(w.axis[2].input);
    const T* map = x + cell.map * steps.map + int(cell.vector) * N;
    Vector<T, N> best;
    int place[N];
#pragma unroll
    for (int k = 0; k < N; ++k) place[k] = -1;
    for (int a = 0; a < d.count; ++a)
      for (int b = 0; b < h.count; ++b) {
        const int slice = kAny ? (d.begin + a * w.axis[0].step) * height : 0;
        int at = (slice + h.begin + b * w.axis[1].step) * width + v.begin;
        for (int c = 0; c < v.count; ++c, at += w.axis[2].step) {
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
    const int64_t to = cell.map * steps.out_map + int64_t(cell.place) * steps.cell + int(cell.vector) * N;
    store_vector<N>(y + to, best);
    if (indices == nullptr) return;
#pragma unroll
    for (int k = 0; k < N; ++k) indices[to + k] = place[k];
  });
}

template <class T, int N, bool kAny>
__global__ void __launch_bounds__(kPoolThreads, 4)
    max_pool_gather_kernel(const __grid_constant__ Windows<kAny> w, Maps maps, Steps steps, const T* grad,
                           const int64_t* indices, T* dx) {
  for_cells<kAny>(maps, [&](const Cell& cell) {
    const int place = cell.place;
    const Span d = kAny ? windows_at(w, 0, cell.slice) : Span{0, 1};
    const Span h = windows_at(w, 1, cell.row), v = windows_at(w, 2, cell.column);
    const int height = int(w.axis[1].output), width = int(w.axis[2].output);
    const int64_t map = cell.map * steps.out_map + int(cell.vector) * N;
    Accumulator<T> sum[N];
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] = 0;
    for (int a = 0; a < d.count; ++a)
      for (int b = 0; b < h.count; ++b) {
        const int slice = kAny ? (d.begin + a) * height : 0;
        int64_t at = map + int64_t((slice + h.begin + b) * width + v.begin) * steps.cell;
#pragma unroll(N == 1 ? 4 : 1)
        for (int c = 0; c < v.count; ++c, at += steps.cell) {
          const Vector<T, N> here = load_vector<N>(grad + at);
#pragma unroll
          for (int k = 0; k < N; ++k)
            if (indices[at + k] == place) sum[k] += widen(here[k]);
        }
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

// Calls run(T{}, vector length, whether the windows are of any kind) with as many channels a cell as one access
// takes.
template <class Run>
void with_vectors(const PoolProblem& p, const View& like, std::initializer_list<const View*> arrays,
                  const Run& run) {
  with_float_type(like.dtype, [&](auto zero) {
    using T = decltype(zero);
    bool vectors = like.format == MemoryFormat::channels_last && p.channels % kLanes16<T> == 0;
    for (const View* array : arrays) vectors = vectors && is_aligned(array->data, 16);
    const auto with_length = [&](auto length) {
      are_plain(p) ? run(zero, length, std::false_type{}) : run(zero, length, std::true_type{});
    };
    vectors ? with_length(std::integral_constant<int, kLanes16<T>>{})
            : with_length(std::integral_constant<int, 1>{});
  });
}

constexpr const char *kForward[] = {"max_pool1d", "max_pool2d", "max_pool3d"},
                     *kBackward[] = {"max_pool1d_backward", "max_pool2d_backward", "max_pool3d_backward"};

// Of all spatial dimensions together.
int64_t cells_of(const int64_t (&extents)[kMaxSpatial], int spatial) {
  int64_t cells = 1;
  for (int i = 0; i < spatial; ++i) cells *= extents[i];
  return cells;
}

// What a map is: cells of `extents`, those of the input or the output, each way.
struct Walk {
  Walk(const char* operation, const PoolProblem& p, const View& like, int vector,
       const int64_t (&extents)[kMaxSpatial]) {
    const bool last = like.format == MemoryFormat::channels_last;
    const int64_t maps = last ? p.batch : p.batch * p.channels, channels = last ? p.channels : 1;
    const int64_t inputs = cells_of(p.input, p.spatial), outputs = cells_of(p.output, p.spatial);
    check_map(operation, inputs);
    check_map(operation, outputs);
    cells = maps_of(operation, maps, extents, p.spatial, channels / vector);
    steps = {inputs * channels, outputs * channels, int(channels)};
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

void max_pool(const PoolProblem& p, const View& x, const View& y, const View* indices) {
  const char* operation = kForward[p.spatial - 1];
  if (y.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  with_vectors(p, x, {&x, &y}, [&](auto zero, auto length, auto any) {
    using T = decltype(zero);
    constexpr int N = decltype(length)::value;
    constexpr bool kAny = decltype(any)::value;
    const Walk walk(operation, p, x, N, p.output);
    launch(operation, max_pool_kernel<T, N, kAny>, grid_of(x.device, walk.cells), kPoolThreads, 0,
           x.device.stream, windows_of<kAny>(p), walk.cells, walk.steps, x.as<const T>(), y.as<T>(),
           indices ? indices->as<int64_t>() : nullptr);
  });
}

void max_pool_backward(const PoolProblem& p, const View& grad, const View& indices, const View& dx) {
  const char* operation = kBackward[p.spatial - 1];
  if (dx.elements() == 0) return;
  const DeviceGuard guard(grad.device, operation);
  if (p.kernel[0] == 0) return scatter(p, grad, indices, dx);
  with_vectors(p, grad, {&grad, &dx}, [&](auto zero, auto length, auto any) {
    using T = decltype(zero);
    constexpr int N = decltype(length)::value;
    constexpr bool kAny = decltype(any)::value;
    const Walk walk(operation, p, grad, N, p.input);
    launch(operation, max_pool_gather_kernel<T, N, kAny>, grid_of(grad.device, walk.cells), kPoolThreads, 0,
           grad.device.stream, windows_of<kAny>(p), walk.cells, walk.steps, grad.as<const T>(),
           indices.as<const int64_t>(), dx.as<T>());
  });
}

}   // namespace fastconv::cuda
