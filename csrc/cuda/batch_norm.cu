#include "batch_norm.cuh"
#include "batch_norm.hpp"
#include "dispatch.cuh"
#include "launch.cuh"

namespace fastconv::cuda {
namespace {

constexpr int64_t kElementsOfChunk = 16384, kMostChunks = 65535;   // the grid's second dimension

template <class T>
T* pointer(const View* view) {
  return view ? view->as<T>() : nullptr;
}

// One call: its arrays, and the terms in its workspace.
template <class T>
class Call {
 public:
  using A = Accumulator<T>;

  Call(const char* operation, const NormProblem& p, const View& x, const View* grad, bool relu)
      : operation_(operation),
        device_(x.device),
        last_(x.format == MemoryFormat::channels_last || p.plane() == 1),
        arrays_{x.as<const T>(), pointer<const T>(grad), p.batch, p.channels, p.plane()},
        length_(last_ ? p.batch * p.plane() : p.batch),
        // Of images or, channels last, of rows; as many chunks as a grid takes.
        chunk_(std::max({int64_t(1), kElementsOfChunk / (last_ ? 32 : std::max<int64_t>(1, p.plane())),
                         ceil_div(length_, kMostChunks)})),
        chunks_(ceil_div(length_, chunk_)),
        sums_(device_, chunks_ * p.channels * 2 * int64_t(sizeof(double)), operation),
        memory_(device_, 5 * p.channels * int64_t(sizeof(A)), operation) {
    A* at = memory_.template as<A>();
    for (A** term : {&terms_.mean, &terms_.scale, &terms_.bias, &terms_.slope, &terms_.shift}) {
      *term = at;
      at += p.channels;
    }
    terms_.relu = relu;
  }

  template <bool backward>
  void add_up() const {
    const int64_t blocks = last_ ? ceil_div(arrays_.channels, 32) : arrays_.channels;
    start(last_ ? norm_sums_rows_kernel<T, backward> : norm_sums_planes_kernel<T, backward>,
          dim3(unsigned(blocks), unsigned(chunks_)), arrays_, terms_, chunk_, sums());
  }
  void statistics(const NormStatistics<T>& s) const {
    start(norm_statistics_kernel<T>, warps(), arrays_, sums(), chunks_, s, terms_,
          last_ ? int64_t(1) : arrays_.plane);
  }
  void given(bool kept, const NormStatistics<T>& s) const {
    start(norm_terms_kernel<T>, dim3(unsigned(ceil_div(arrays_.channels, kNormThreads))), arrays_.channels,
          kept, s, terms_);
  }
  void slopes(bool training, const A* invstd, T* dw, T* db) const {
    start(norm_slopes_kernel<T>, warps(), arrays_, sums(), chunks_, training, invstd, terms_, dw, db);
  }
  template <bool backward>
  void apply(T* result) const {
    const int64_t run = last_ ? arrays_.channels : arrays_.plane;
    const bool aligned = is_aligned(arrays_.x, 16) && is_aligned(arrays_.grad, 16) && is_aligned(result, 16);
    if (aligned && run % kLanes16<T> == 0)
      last_ ? apply<backward, true, kLanes16<T>>(result) : apply<backward, false, kLanes16<T>>(result);
    else
      last_ ? apply<backward, true, 1>(result) : apply<backward, false, 1>(result);
  }

 private:
  template <bool backward, bool last, int N>
  void apply(T* result) const {
    const int64_t count = arrays_.batch * arrays_.channels * arrays_.plane;
    start(norm_apply_kernel<T, backward, last, N>, loop_grid(device_, count, kNormThreads * N), arrays_, terms_,
          Divisor64(arrays_.plane), Divisor64(arrays_.channels), count, result);
  }
  template <class... Parameters, class... Arguments>
  void start(void (*kernel)(Parameters...), dim3 grid, const Arguments&... arguments) const {
    launch(operation_, kernel, grid, kNormThreads, 0, device_.stream, arguments...);
  }
  dim3 warps() const { return dim3(unsigned(ceil_div(arrays_.channels, kNormThreads / 32))); }
  double* sums() const { return sums_.template as<double>(); }

  const char* operation_;
  Device device_;
  bool last_;
  NormArrays<T> arrays_;
  int64_t length_, chunk_, chunks_;
  Workspace sums_, memory_;
  NormTerms<A> terms_{};
};

}   // namespace

void batch_norm(const NormProblem& problem, const BatchNormParameters& p, const View& x,
                const View* running_mean, const View* running_var, const View* weight, const View* bias,
                const View& y, const View& mean, const View& invstd) {
  const char* operation = "batch_norm";
  const DeviceGuard guard(x.device, operation);
  const bool empty = x.elements() == 0;
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Call<T> call(operation, problem, x, nullptr, p.activation == Activation::relu);
    const NormStatistics<T> s{pointer<const T>(weight),
                              pointer<const T>(bias),
                              pointer<T>(running_mean),
                              pointer<T>(running_var),
                              mean.as<Accumulator<T>>(),
                              invstd.as<Accumulator<T>>(),
                              p.momentum,
                              p.eps};
    if (p.training && !empty) {
      call.template add_up<false>();
      call.statistics(s);
    } else {
      call.given(false, s);
    }
    if (!empty) call.template apply<false>(y.as<T>());
  });
}

void batch_norm_backward(const NormProblem& problem, bool training, Activation activation, const View& grad,
                         const View& x, const View* weight, const View* bias, const View& mean,
                         const View& invstd, const View* dx, const View* dw, const View* db) {
  const char* operation = "batch_norm_backward";
  const DeviceGuard guard(x.device, operation);
  const bool empty = x.elements() == 0;
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Call<T> call(operation, problem, x, &grad, activation == Activation::relu);
    call.given(true, {pointer<const T>(weight), pointer<const T>(bias), nullptr, nullptr,
                      mean.as<Accumulator<T>>(), invstd.as<Accumulator<T>>(), 0, 0});
    if (!empty) call.template add_up<true>();
    call.slopes(training && !empty, invstd.as<const Accumulator<T>>(), pointer<T>(dw), pointer<T>(db));
    if (dx && !empty) call.template apply<true>(dx->as<T>());
  });
}

}   // namespace fastconv::cuda
