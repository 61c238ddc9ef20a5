#include "dispatch.cuh"
#include "loss.hpp"
#include "math.cuh"
#include "rows.cuh"

namespace fastconv::cuda {

// log(sum(exp(x))) - x[target] of each row, from x - max(x).
template <class T, class Target, int L, class Result>
__global__ void __launch_bounds__(kRowThreads, 2)
    cross_entropy_rows_kernel(const T* x, const Target* target, Result* losses, int64_t rows, int64_t classes) {
  using A = Accumulator<T>;
  for_rows<A, L>(rows, [&](int64_t row, int lane, Group<A, L>& group) {
    const T* from = x + row * classes;
    A maximum = -A(INFINITY), sum = 0;
    for (int64_t c = lane; c < classes; c += L) maximum = max(maximum, widen(from[c]));
    maximum = group.maximum(maximum);
    for (int64_t c = lane; c < classes; c += L) sum += exponential(widen(from[c]) - maximum);
    sum = group.sum(sum);
    if (lane != 0) return;
    const int64_t named = target[row];
    const bool good = named >= 0 && named < classes;
    losses[row] = narrow<Result>(good ? logarithm(sum) - (widen(from[named]) - maximum) : A(NAN));
  });
}

// One block adds up in a fixed order.
template <class T>
__global__ void __launch_bounds__(kRowThreads, 2)
    loss_sum_kernel(const Accumulator<T>* losses, int64_t rows, bool mean, T* loss) {
  double sum = 0;
  for (int64_t row = threadIdx.x; row < rows; row += kRowThreads) sum += double(losses[row]);
  sum = block_sum(static_shared<BlockSum<double, kRowThreads>>(), sum);
  if (threadIdx.x == 0) *loss = narrow<T>(Accumulator<T>(mean ? sum / double(rows) : sum));
}

// scale (softmax(x) - one at the target), scale from the gradient at the loss.
template <class T, class Target, int L>
__global__ void __launch_bounds__(kRowThreads, 2)
    cross_entropy_backward_kernel(const T* grad, bool each, Accumulator<T> divisor, const T* x,
                                  const Target* target, T* dx, int64_t rows, int64_t classes) {
  using A = Accumulator<T>;
  for_rows<A, L>(rows, [&](int64_t row, int lane, Group<A, L>& group) {
    const T* from = x + row * classes;
    T* to = dx + row * classes;
    A maximum = -A(INFINITY), sum = 0;
    for (int64_t c = lane; c < classes; c += L) maximum = max(maximum, widen(from[c]));
    maximum = group.maximum(maximum);
    for (int64_t c = lane; c < classes; c += L) sum += exponential(widen(from[c]) - maximum);
    sum = group.sum(sum);
    const int64_t named = target[row];
    const bool good = named >= 0 && named < classes;
    const A scale = good ? widen(grad[each ? row : 0]) / divisor : A(NAN);
    for (int64_t c = lane; c < classes; c += L)
      to[c] = narrow<T>(scale * (exponential(widen(from[c]) - maximum) / sum - (c == named ? A(1) : A(0))));
  });
}

namespace {

// Calls run(T{}, Target{}, threads a row).
template <class Run>
void with_types(const View& logits, const View& target, const Run& run) {
  with_float_type(logits.dtype, [&](auto zero) {
    with_row_threads(logits.shape[1], [&](auto threads) {
      target.dtype == DType::int64 ? run(zero, int64_t{}, threads) : run(zero, int32_t{}, threads);
    });
  });
}

}   // namespace

int64_t cross_entropy(Reduction reduction, const View& logits, const View& target, const View& loss) {
  const char* operation = "cross_entropy";
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const bool each = reduction == Reduction::none;
  if (each && rows == 0) return -1;
  const DeviceGuard guard(logits.device, operation);
  with_types(logits, target, [&](auto zero, auto index, auto threads) {
    using T = decltype(zero);
    using Target = decltype(index);
    using A = Accumulator<T>;
    constexpr int L = decltype(threads)::value;
    void* stream = logits.device.stream;
    const auto x = logits.as<const T>();
    const auto t = target.as<const Target>();
    const dim3 grid = row_grid(logits.device, rows, L);
    if (each)
      return launch(operation, cross_entropy_rows_kernel<T, Target, L, T>, grid, kRowThreads, 0, stream, x, t,
                    loss.as<T>(), rows, classes);
    const Workspace losses(logits.device, rows * int64_t(sizeof(A)), operation);
    if (rows > 0)
      launch(operation, cross_entropy_rows_kernel<T, Target, L, A>, grid, kRowThreads, 0, stream, x, t,
             losses.as<A>(), rows, classes);
    launch(operation, loss_sum_kernel<T>, dim3(1), kRowThreads, 0, stream, losses.as<const A>(), rows,
           reduction == Reduction::mean, loss.as<T>());
  });
  return -1;
}

void cross_entropy_backward(Reduction reduction, const View& grad, const View& logits, const View& target,
                            const View& dlogits) {
  const char* operation = "cross_entropy_backward";
  if (dlogits.elements() == 0) return;
  const DeviceGuard guard(logits.device, operation);
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  with_types(logits, target, [&](auto zero, auto index, auto threads) {
    using T = decltype(zero);
    using Target = decltype(index);
    using A = Accumulator<T>;
    constexpr int L = decltype(threads)::value;
    launch(operation, cross_entropy_backward_kernel<T, Target, L>, row_grid(logits.device, rows, L),
           kRowThreads, 0, logits.device.stream, grad.as<const T>(), reduction == Reduction::none,
           A(reduction == Reduction::mean ? rows : 1), logits.as<const T>(), target.as<const Target>(),
           dlogits.as<T>(), rows, classes);
  });
}

}   // namespace fastconv::cuda
