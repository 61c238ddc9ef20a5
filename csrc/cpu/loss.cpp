#include "loss.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "../core/memory.hpp"
#include "isa.hpp"
#include "parallel.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kGrain = 16384;   // elements a chunk: about 10 us of exp

int64_t row_grain(int64_t classes) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, classes)); }

// Hands out rows where inner is 1, else blocks of columns: rows(offset, count), columns(offset, count).
template <class Rows, class Columns>
void partition(int64_t outer, int64_t classes, int64_t inner, Rows&& rows, Columns&& columns) {
  if (outer <= 0 || classes <= 0 || inner <= 0) return;
  if (inner == 1)
    return parallel_ranges(outer, row_grain(classes),
                           [&](int64_t begin, int64_t end) { rows(begin * classes, end - begin); });
  // Whole matrices a chunk where they are small, else column blocks of at least a cache line.
  const int64_t block = std::min(inner, std::max<int64_t>(64, kGrain / classes / 64 * 64));
  const int64_t blocks = (inner + block - 1) / block;
  parallel_ranges(outer * blocks, std::max<int64_t>(1, kGrain / (classes * block)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) {
                      const int64_t column = i % blocks * block;
                      columns(i / blocks * classes * inner + column, std::min(block, inner - column));
                    }
                  });
}

template <class T>
void run_softmax(bool log, int64_t outer, int64_t classes, int64_t inner, const View& x, const View& y) {
  const LossKernels<T>& table = kernels<T>().loss;
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  const auto rows = log ? table.log_softmax : table.softmax;
  const auto columns = log ? table.log_softmax_columns : table.softmax_columns;
  partition(
      outer, classes, inner, [&](int64_t at, int64_t count) { rows(from + at, to + at, count, classes); },
      [&](int64_t at, int64_t count) { columns(from + at, to + at, classes, inner, count); });
}

template <class T>
void run_softmax_backward(bool log, int64_t outer, int64_t classes, int64_t inner, const View& grad,
                          const View& y, const View& dx) {
  const LossKernels<T>& table = kernels<T>().loss;
  const T *g = grad.as<const T>(), *kept = y.as<const T>();
  T* to = dx.as<T>();
  const auto rows = log ? table.log_softmax_backward : table.softmax_backward;
  const auto columns = log ? table.log_softmax_backward_columns : table.softmax_backward_columns;
  partition(
      outer, classes, inner,
      [&](int64_t at, int64_t count) { rows(g + at, kept + at, to + at, count, classes); },
      [&](int64_t at, int64_t count) { columns(g + at, kept + at, to + at, classes, inner, count); });
}

// Class of a row; the target array may be int32 or int64.
int64_t class_of(const View& target, int64_t row) {
  return target.dtype == DType::int64 ? target.as<const int64_t>()[row] : target.as<const int32_t>()[row];
}

int64_t first_bad_row(const View& target, int64_t rows, int64_t classes) {
  for (int64_t row = 0; row < rows; ++row)
    if (uint64_t(class_of(target, row)) >= uint64_t(classes)) return row;
  return -1;
}

template <class T>
void run_cross_entropy(Reduction reduction, const View& logits, const View& target, const View& loss) {
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const T* x = logits.as<const T>();
  T* result = loss.as<T>();
  const memory::Buffer workspace(size_t(3 * rows) * sizeof(T));
  T *maximum = workspace.as<T>(), *log_sum = maximum + rows;
  T* each = reduction == Reduction::none ? result : log_sum + rows;
  const auto kernel = kernels<T>().loss.log_sum_exp;
  parallel_ranges(rows, row_grain(classes), [&](int64_t begin, int64_t end) {
    kernel(x + begin * classes, maximum + begin, log_sum + begin, end - begin, classes);
    for (int64_t row = begin; row < end; ++row)
      each[row] = log_sum[row] - (x[row * classes + class_of(target, row)] - maximum[row]);
  });
  if (reduction == Reduction::none) return;
  double sum = 0;
  for (int64_t row = 0; row < rows; ++row) sum += double(each[row]);
  // The mean of nothing is NaN, as PyTorch's.
  if (reduction == Reduction::mean) sum = rows ? sum / double(rows) : std::numeric_limits<double>::quiet_NaN();
  result[0] = T(sum);
}

template <class T>
void run_cross_entropy_backward(Reduction reduction, const View& grad, const View& logits, const View& target,
                                const View& dlogits) {
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const T* x = logits.as<const T>();
  T* dx = dlogits.as<T>();
  const bool each = reduction == Reduction::none;
  const T mean = reduction == Reduction::mean ? grad.as<const T>()[0] / T(rows) : grad.as<const T>()[0];
  const T* scale = each ? grad.as<const T>() : &mean;
  const auto kernel = kernels<T>().loss.scaled_softmax;
  parallel_ranges(rows, row_grain(classes), [&](int64_t begin, int64_t end) {
    kernel(x + begin * classes, scale + (each ? begin : 0), each, dx + begin * classes, end - begin, classes);
    for (int64_t row = begin; row < end; ++row)
      dx[row * classes + class_of(target, row)] -= scale[each ? row : 0];
  });
}

}   // namespace

void softmax(bool log, int64_t outer, int64_t classes, int64_t inner, const View& x, const View& y) {
  x.dtype == DType::float32 ? run_softmax<float>(log, outer, classes, inner, x, y)
                            : run_softmax<double>(log, outer, classes, inner, x, y);
}

void softmax_backward(bool log, int64_t outer, int64_t classes, int64_t inner, const View& grad, const View& y,
                      const View& dx) {
  grad.dtype == DType::float32 ? run_softmax_backward<float>(log, outer, classes, inner, grad, y, dx)
                               : run_softmax_backward<double>(log, outer, classes, inner, grad, y, dx);
}

int64_t cross_entropy(Reduction reduction, const View& logits, const View& target, const View& loss) {
  const int64_t bad = first_bad_row(target, logits.shape[0], logits.shape[1]);
  if (bad >= 0) return bad;
  logits.dtype == DType::float32 ? run_cross_entropy<float>(reduction, logits, target, loss)
                                 : run_cross_entropy<double>(reduction, logits, target, loss);
  return -1;
}

void cross_entropy_backward(Reduction reduction, const View& grad, const View& logits, const View& target,
                            const View& dlogits) {
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  if (rows == 0) return;
  const int64_t bad = first_bad_row(target, rows, classes);
  if (bad >= 0)
    throw std::invalid_argument("cross_entropy_backward: target[" + std::to_string(bad) + "] is " +
                                std::to_string(class_of(target, bad)) + ", outside [0, " +
                                std::to_string(classes) + ")");
  logits.dtype == DType::float32 ? run_cross_entropy_backward<float>(reduction, grad, logits, target, dlogits)
                                 : run_cross_entropy_backward<double>(reduction, grad, logits, target, dlogits);
}

}   // namespace fastconv::cpu
