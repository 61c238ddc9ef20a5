#include "batch_norm.hpp"

#include <cmath>
#include <type_traits>

#include "../core/memory.hpp"
#include "isa.hpp"
#include "norm_walk.hpp"

namespace fastconv::cpu {
namespace {

// (C,) numbers that an element is computed with, repeated over the width of a row.
template <class T>
class Terms {
 public:
  Terms(const NormWalk& walk, Activation activation, const View* weight, const View* bias)
      : walk_(walk),
        weight_(weight ? weight->as<const T>() : nullptr),
        buffer_(size_t(5 * walk.width()) * sizeof(T)) {
    T* b = at(2);
    for (int64_t c = 0; c < walk.channels(); ++c) b[c] = bias ? bias->as<const T>()[c] : T(0);
    walk.repeat(b);
    terms_ = {at(0), at(1), b, nullptr, nullptr, activation == Activation::relu};
  }

  void set(int64_t c, T mean, T invstd) {
    at(0)[c] = mean;
    at(1)[c] = weight_ ? weight_[c] * invstd : invstd;
  }
  void set_all(const T* mean, const T* invstd) {
    for (int64_t c = 0; c < walk_.channels(); ++c) set(c, mean[c], invstd[c]);
    repeat();
  }

  // dx depends on every gradient of the channel through mean and variance (Ioffe, Szegedy, 2015, section 3):
  //   dx = scale * (g - sum(g) / M - (x - mean) * invstd^2 * sum(g * (x - mean)) / M)
  void use_slopes() {
    terms_.slope = at(3);
    terms_.shift = at(4);
  }
  void set_slope(int64_t c, double invstd, double sum, double product) {
    const double each = -double(terms_.scale[c]) / double(walk_.values_of_channel());
    at(3)[c] = T(each * invstd * invstd * product);
    at(4)[c] = T(each * sum);
  }
  void repeat() {
    for (int i : {0, 1, 3, 4}) walk_.repeat(at(i));
  }

  NormTerms<T> of(int64_t channel) const {
    NormTerms<T> t = terms_;
    for (const T** p : {&t.mean, &t.scale, &t.bias, &t.slope, &t.shift})
      if (*p) *p += channel;
    return t;
  }
  const NormTerms<T>& all() const { return terms_; }

 private:
  T* at(int i) const { return buffer_.as<T>() + i * walk_.width(); }

  const NormWalk& walk_;
  const T* weight_;
  memory::Buffer buffer_;
  NormTerms<T> terms_{};
};

template <class T>
struct Forward {
  // Squares of floats are exact in double; those of doubles are not, and want the mean taken off first.
  static constexpr int kSums = std::is_same_v<T, double> ? 2 : 1;

  Forward(const NormWalk& walk, const BatchNormParameters& p, const T* x, T* y, T* mean, T* invstd,
          Terms<T>& terms)
      : walk_(walk), p_(p), x_(x), y_(y), mean_(mean), invstd_(invstd), terms_(terms) {}

  // Where the new statistics go; null where nobody keeps them.
  void keep(const View* running_mean, const View* running_var) {
    running_mean_ = running_mean ? running_mean->as<T>() : nullptr;
    running_var_ = running_var ? running_var->as<T>() : nullptr;
  }
  // The pivot of the first pass, repeated over a row: 0.
  void clear_pivot() { std::fill_n(pivot(), walk_.width(), T(0)); }

  void sum_runs(int, int64_t at, int64_t runs, int64_t stride, int64_t n, int64_t c, double* sum,
                double* square) const {
    kernels_.sums.moments(x_ + at, runs, stride, n, pivot() + c, sum, square);
  }
  void sum_rows(int, int64_t at, int64_t rows, int64_t width, double* sum, double* square) const {
    kernels_.sums.moments_rows(x_ + at, rows, width, pivot(), sum, square);
  }
  void finish(int pass, int64_t c, double sum, double square) const {
    const double count = double(walk_.values_of_channel());
    const double shift = sum / count, mean = double(pivot()[c]) + shift;
    if (pass + 1 < kSums) return void(pivot()[c] = T(mean));
    double variance = square / count - shift * shift;
    if (variance < 0) variance = 0;   // rounding alone can do that; NaN stays
    move(running_mean_, c, mean);
    move(running_var_, c, variance * (count / (count - 1)));
    mean_[c] = T(mean);
    invstd_[c] = T(1 / std::sqrt(variance + p_.eps));
    terms_.set(c, mean_[c], invstd_[c]);
  }
  void finish_rows(int pass) const { pass + 1 < kSums ? walk_.repeat(pivot()) : terms_.repeat(); }

  void runs(int64_t at, int64_t runs, int64_t stride, int64_t n, int64_t c, bool stream) const {
    kernels_.normalize(x_ + at, y_ + at, runs, stride, n, terms_.of(c), stream);
  }
  void rows(int64_t at, int64_t rows, int64_t width, bool stream) const {
    kernels_.normalize_rows(x_ + at, y_ + at, rows, width, terms_.all(), stream);
  }

 private:
  T* pivot() const { return pivot_buffer_.as<T>(); }
  void move(T* running, int64_t c, double now) const {
    if (running) running[c] = T((1 - p_.momentum) * double(running[c]) + p_.momentum * now);
  }

  const NormWalk& walk_;
  const BatchNormParameters& p_;
  const T* x_;
  T *y_, *mean_, *invstd_;
  T *running_mean_ = nullptr, *running_var_ = nullptr;
  Terms<T>& terms_;
  const memory::Buffer pivot_buffer_{size_t(walk_.width()) * sizeof(T)};
  const NormKernels<T>& kernels_ = kernels<T>().norm;
};

template <class T>
struct Backward {
  void sum_runs(int, int64_t at, int64_t runs, int64_t stride, int64_t n, int64_t c, double* sum,
                double* product) const {
    kernels_.sums.grad_moments(grad + at, x + at, runs, stride, n, terms.of(c), sum, product);
  }
  void sum_rows(int, int64_t at, int64_t rows, int64_t width, double* sum, double* product) const {
    kernels_.sums.grad_moments_rows(grad + at, x + at, rows, width, terms.all(), sum, product);
  }
  void finish(int, int64_t c, double sum, double product) const {
    if (db) db[c] = T(sum);
    if (dw) dw[c] = T(product * double(invstd[c]));
    if (training) terms.set_slope(c, double(invstd[c]), sum, product);
  }
  void finish_rows(int) const { terms.repeat(); }

  void runs(int64_t at, int64_t runs, int64_t stride, int64_t n, int64_t c, bool stream) const {
    kernels_.backward(grad + at, x + at, dx + at, runs, stride, n, terms.of(c), stream);
  }
  void rows(int64_t at, int64_t rows, int64_t width, bool stream) const {
    kernels_.backward_rows(grad + at, x + at, dx + at, rows, width, terms.all(), stream);
  }

  bool training;
  const T *grad, *x, *invstd;
  T *dx, *dw, *db;
  Terms<T>& terms;
  const NormKernels<T>& kernels_ = kernels<T>().norm;
};

template <class T>
void run(const NormProblem& problem, const BatchNormParameters& p, const View& x, const View* running_mean,
         const View* running_var, const View* weight, const View* bias, const View& y, const View& mean_view,
         const View& invstd_view) {
  const NormWalk walk(problem, x.format, sizeof(T), sizeof(T));
  T *mean = mean_view.as<T>(), *invstd = invstd_view.as<T>();
  Terms<T> terms(walk, p.activation, weight, bias);
  Forward<T> task(walk, p, x.as<const T>(), y.as<T>(), mean, invstd, terms);
  if (p.training && walk.values_of_channel() > 0) {
    task.keep(running_mean, running_var);
    task.clear_pivot();
    return walk.drive(task, Forward<T>::kSums, true);
  }
  for (int64_t c = 0; c < problem.channels; ++c) {
    mean[c] = running_mean ? running_mean->as<const T>()[c] : T(0);
    invstd[c] = running_var ? T(1 / std::sqrt(double(running_var->as<const T>()[c]) + p.eps)) : T(1);
  }
  terms.set_all(mean, invstd);
  walk.drive(task, 0, true);
}

template <class T>
void run_backward(const NormProblem& problem, bool training, Activation activation, const View& grad,
                  const View& x, const View* weight, const View* bias, const View& mean_view,
                  const View& invstd_view, const View* dx, const View* dw, const View* db) {
  const auto pointer = [](const View* view) { return view ? view->as<T>() : nullptr; };
  const NormWalk walk(problem, x.format, sizeof(T), 2 * sizeof(T));
  const T* invstd = invstd_view.as<const T>();
  Terms<T> terms(walk, activation, weight, bias);
  terms.set_all(mean_view.as<const T>(), invstd);
  if (training) terms.use_slopes();
  Backward<T> task{training,    grad.as<const T>(), x.as<const T>(), invstd,
                   pointer(dx), pointer(dw),        pointer(db),     terms};
  walk.drive(task, training || dw || db ? 1 : 0, dx != nullptr);
}

}   // namespace

void batch_norm(const NormProblem& problem, const BatchNormParameters& parameters, const View& x,
                const View* running_mean, const View* running_var, const View* weight, const View* bias,
                const View& y, const View& mean, const View& invstd) {
  (x.dtype == DType::float32 ? run<float> : run<double>)(problem, parameters, x, running_mean, running_var,
                                                         weight, bias, y, mean, invstd);
}

void batch_norm_backward(const NormProblem& problem, bool training, Activation activation, const View& grad,
                         const View& x, const View* weight, const View* bias, const View& mean,
                         const View& invstd, const View* dx, const View* dw, const View* db) {
  (x.dtype == DType::float32 ? run_backward<float> : run_backward<double>)(problem, training, activation, grad,
                                                                           x, weight, bias, mean, invstd, dx,
                                                                           dw, db);
}

}   // namespace fastconv::cpu
