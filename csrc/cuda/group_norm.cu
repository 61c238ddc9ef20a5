#include "aligned.cuh"
#include "dispatch.cuh"
#include "group_norm.cuh"
#include "group_norm.hpp"
#include "launch.cuh"

namespace fastconv::cuda {
namespace {

// Of a row, and of a channel's sums; a row has at most kMostChunks, for every block adds them up.
constexpr int64_t kElementsOfChunk = 16384, kMostChunks = 64,
                  kMostBlocks = 65535;   // the grid's second dimension

template <class T>
T* pointer(const View* view) {
  return view ? view->as<T>() : nullptr;
}

template <class T>
class Call {
 public:
  Call(const char* operation, const GroupNormProblem& p, const View& x, const View* grad, const View* weight,
       const View* bias, const View& mean, const View& invstd, const View* result)
      : operation_(operation),
        device_(x.device),
        last_(x.format == MemoryFormat::channels_last || p.plane == 1),
        images_(p.batch),
        x_(&x, operation),
        grad_(grad, operation),
        weight_(weight, operation),
        bias_(bias, operation) {
    GroupArrays<T>& a = arrays_;
    a.x = x_.template as<T>();
    a.grad = grad_.template as<T>();
    a.weight = weight_.template as<T>();
    a.bias = bias_.template as<T>();
    a.mean = mean.as<Accumulator<T>>();
    a.invstd = invstd.as<Accumulator<T>>();
    a.result = pointer<T>(result);
    a.rows = p.batch * p.groups;
    a.groups = p.groups;
    a.channels = p.channels;
    a.plane = p.plane;
    a.length = p.elements_of_group();
    a.members = Divisor64(std::max<int64_t>(1, p.channels / p.groups));
    a.positions = Divisor64(std::max<int64_t>(1, p.plane));
    a.chunk = std::max(kElementsOfChunk, ceil_div(ceil_div(a.length, kMostChunks), 16) * 16);
    a.chunks = std::max<int64_t>(1, ceil_div(a.length, a.chunk));
  }

  template <bool backward>
  void rows(double eps) {
    const GroupArrays<T>& a = arrays_;
    arrays_.eps = eps;
    if ((last_ ? int64_t(a.members.value) : a.plane) % kLanes16<T> == 0 && is_aligned(a.result, 16))
      last_ ? rows_of<backward, true, kLanes16<T>>() : rows_of<backward, false, kLanes16<T>>();
    else
      last_ ? rows_of<backward, true, 1>() : rows_of<backward, false, 1>();
  }

  void weights(T* dw, T* db) const {
    if (arrays_.channels == 0 || (dw == nullptr && db == nullptr)) return;
    const GroupArrays<T>& a = arrays_;
    const int64_t length = last_ ? images_ * a.plane : images_;
    const int64_t chunk = std::max({int64_t(1), kElementsOfChunk / (last_ ? 32 : std::max<int64_t>(1, a.plane)),
                                    ceil_div(length, kMostBlocks)});
    const int64_t chunks = ceil_div(length, chunk);
    const Workspace sums(device_, chunks * a.channels * 2 * int64_t(sizeof(double)), operation_);
    if (chunks > 0)
      start(last_ ? group_weights_rows_kernel<T> : group_weights_planes_kernel<T>,
            dim3(unsigned(last_ ? ceil_div(a.channels, 32) : a.channels), unsigned(chunks)), a, length, chunk,
            sums.as<double>());
    start(group_weights_kernel<T>, dim3(unsigned(ceil_div(a.channels, kRowThreads / 32))), sums.as<double>(),
          chunks, a.channels, dw, db);
  }

 private:
  template <bool backward, bool last, int N>
  void rows_of() const {
    const GroupArrays<T>& a = arrays_;
    const int64_t units = a.rows * a.chunks;
    if (a.chunks > 1) {
      const Workspace sums(device_, units * 2 * int64_t(sizeof(double)), operation_);
      const dim3 grid = row_grid(device_, units, kRowThreads);
      start(group_sums_kernel<T, backward, last, N>, grid, a, sums.as<double>());
      start(group_norm_kernel<T, backward, last, N, kRowThreads>, grid, a, sums.as<const double>());
    } else {
      with_row_threads(a.length, [&](auto threads) {
        constexpr int L = decltype(threads)::value;
        start(group_norm_kernel<T, backward, last, N, L>, row_grid(device_, units, L), a,
              static_cast<const double*>(nullptr));
      });
    }
  }
  template <class... Parameters, class... Arguments>
  void start(void (*kernel)(Parameters...), dim3 grid, const Arguments&... arguments) const {
    launch(operation_, kernel, grid, kRowThreads, 0, device_.stream, arguments...);
  }

  const char* operation_;
  Device device_;
  bool last_;
  int64_t images_;
  Aligned x_, grad_, weight_, bias_;
  GroupArrays<T> arrays_{};
};

}   // namespace

void group_norm(const GroupNormProblem& p, double eps, const View& x, const View* weight, const View* bias,
                const View& y, const View& mean, const View& invstd) {
  const char* operation = p.layer ? "layer_norm" : "group_norm";
  if (mean.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  with_float_type(x.dtype, [&](auto zero) {
    Call<decltype(zero)>(operation, p, x, nullptr, weight, bias, mean, invstd, &y).template rows<false>(eps);
  });
}

void group_norm_backward(const GroupNormProblem& p, const View& grad, const View& x, const View* weight,
                         const View& mean, const View& invstd, const View* dx, const View* dw, const View* db) {
  const char* operation = p.layer ? "layer_norm_backward" : "group_norm_backward";
  const DeviceGuard guard(x.device, operation);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    Call<T> call(operation, p, x, &grad, weight, nullptr, mean, invstd, dx);
    if (dx && x.elements() > 0) call.template rows<true>(0);
    call.weights(pointer<T>(dw), pointer<T>(db));
  });
}

}   // namespace fastconv::cuda
