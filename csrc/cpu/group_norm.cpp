#include "group_norm.hpp"

#include "../core/memory.hpp"
#include "own_statistics.hpp"

namespace fastconv::cpu {
namespace {

template <class T>
class GroupNorm {
 public:
  GroupNorm(const GroupNormProblem& p, const GroupNormArrays<T>& arrays, int inputs)
      : p_(p), a_(arrays), members_(p.channels / p.groups), bytes_(inputs * int64_t(sizeof(T))) {}

  // NCHW: neighbouring planes of a group are a unit.
  void planes(double eps) const {
    const Items items = plane_items();
    const memory::Buffer sums(size_t(items.count * items.units * 2) * sizeof(double));
    std::fill_n(a_.mean, items.count, T(0));
    items.drive(
        kMomentPasses<T>, true,
        [&](int, int64_t item, int64_t unit) {
          double* sum = sums.as<double>() + (item * items.units + unit) * 2;
          const Range r = members(items, unit);
          const int64_t n = r.count * p_.plane;
          sum[0] = sum[1] = 0;
          kernel_.sums.moments(a_.x + plane_at(item, r.begin), 1, n, n, a_.mean + item, sum, sum + 1);
        },
        [&](int pass, int64_t item) {
          double sum = 0, square = 0;
          for (int64_t unit = 0; unit < items.units; ++unit) {
            sum += sums.as<double>()[(item * items.units + unit) * 2];
            square += sums.as<double>()[(item * items.units + unit) * 2 + 1];
          }
          finish_moments(pass, double(p_.elements_of_group()), sum, square, eps, a_.mean + item,
                         a_.invstd + item);
        },
        [&](int64_t item, int64_t unit) {
          each_member(items, item, unit, [&](int64_t at, int64_t channel) {
            const T scale = weight(channel) * a_.invstd[item], bias = a_.bias ? a_.bias[channel] : T(0);
            const NormTerms<T> terms = {a_.mean + item, &scale, &bias, nullptr, nullptr, false};
            kernel_.normalize(a_.x + at, a_.result + at, 1, p_.plane, p_.plane, terms, a_.stream);
          });
        });
  }

  void planes_backward() const {
    const Items items = plane_items();
    const memory::Buffer totals(size_t(p_.batch * p_.channels * 2) * sizeof(double));
    const memory::Buffer slopes(size_t(items.count * 2) * sizeof(T));
    const T zero = 0;
    const auto total = [&](int64_t item, int64_t member) {
      return totals.as<double>() + (item * members_ + member) * 2;
    };
    items.drive(
        1, a_.result != nullptr,
        [&](int, int64_t item, int64_t unit) {
          each_member(items, item, unit, [&](int64_t at, int64_t channel) {
            double* sum = total(item, channel % members_);
            const NormTerms<T> terms = {a_.mean + item, &zero, &zero, nullptr, nullptr, false};
            sum[0] = sum[1] = 0;
            kernel_.sums.grad_moments(a_.grad + at, a_.x + at, 1, p_.plane, p_.plane, terms, sum, sum + 1);
          });
        },
        [&](int, int64_t item) {
          set_slopes(item, total(item, 0), slopes.as<T>() + 2 * item, slopes.as<T>() + 2 * item + 1);
        },
        [&](int64_t item, int64_t unit) {
          each_member(items, item, unit, [&](int64_t at, int64_t channel) {
            const T scale = weight(channel) * a_.invstd[item], *slope = slopes.as<T>() + 2 * item;
            const NormTerms<T> terms = {a_.mean + item, &scale, &zero, slope, slope + 1, false};
            kernel_.backward(a_.grad + at, a_.x + at, a_.result + at, 1, p_.plane, p_.plane, terms, a_.stream);
          });
        });
    finish_weights(totals.as<double>());
  }

  // Channels-last: pixels of an image are a unit, for all of its groups.
  void pixels(double eps) const {
    const Items items = pixel_items();
    const memory::Buffer sums(size_t(items.count * items.units * 2 * p_.channels) * sizeof(double));
    const ImageTerms terms(*this);
    std::fill_n(a_.mean, p_.batch * p_.groups, T(0));
    for (int64_t image = 0; image < p_.batch; ++image) terms.set(image, false);
    items.drive(
        kMomentPasses<T>, true,
        [&](int, int64_t image, int64_t unit) {
          const Range r = pixels_of(items, unit);
          double* sum = clear(sums.as<double>(), image * items.units + unit);
          kernel_.sums.moments_rows(a_.x + pixel_at(image, r.begin), r.count, p_.channels, terms.of(image).mean,
                                    sum, sum + p_.channels);
        },
        [&](int pass, int64_t image) {
          const double* sum = sums.as<double>() + image * items.units * 2 * p_.channels;
          for (int64_t g = 0; g < p_.groups; ++g) {
            double moments[2] = {};
            for (int64_t row = 0; row < 2 * items.units; ++row)
              for (int64_t c = 0; c < members_; ++c)
                moments[row % 2] += sum[row * p_.channels + g * members_ + c];
            finish_moments(pass, double(p_.elements_of_group()), moments[0], moments[1], eps,
                           a_.mean + image * p_.groups + g, a_.invstd + image * p_.groups + g);
          }
          terms.set(image, pass + 1 == kMomentPasses<T>);
        },
        [&](int64_t image, int64_t unit) {
          const Range r = pixels_of(items, unit);
          const int64_t at = pixel_at(image, r.begin);
          kernel_.normalize_rows(a_.x + at, a_.result + at, r.count, p_.channels, terms.of(image), a_.stream);
        });
  }

  void pixels_backward() const {
    const Items items = pixel_items();
    const memory::Buffer sums(size_t(items.count * items.units * 2 * p_.channels) * sizeof(double));
    const memory::Buffer totals(size_t(p_.batch * p_.channels * 2) * sizeof(double));
    const ImageTerms terms(*this);
    for (int64_t image = 0; image < p_.batch; ++image) terms.set(image, true);
    items.drive(
        1, a_.result != nullptr,
        [&](int, int64_t image, int64_t unit) {
          const Range r = pixels_of(items, unit);
          const int64_t at = pixel_at(image, r.begin);
          double* sum = clear(sums.as<double>(), image * items.units + unit);
          kernel_.sums.grad_moments_rows(a_.grad + at, a_.x + at, r.count, p_.channels, terms.of(image), sum,
                                         sum + p_.channels);
        },
        [&](int, int64_t image) {
          const double* sum = sums.as<double>() + image * items.units * 2 * p_.channels;
          double* total = totals.as<double>() + image * p_.channels * 2;
          for (int64_t c = 0; c < p_.channels; ++c) {
            total[2 * c] = total[2 * c + 1] = 0;
            for (int64_t row = 0; row < 2 * items.units; ++row)
              total[2 * c + row % 2] += sum[row * p_.channels + c];
          }
          for (int64_t g = 0; g < p_.groups; ++g) {
            T slope, shift;
            set_slopes(image * p_.groups + g, total + 2 * g * members_, &slope, &shift);
            terms.set_slopes(image, g, slope, shift);
          }
        },
        [&](int64_t image, int64_t unit) {
          const Range r = pixels_of(items, unit);
          const int64_t at = pixel_at(image, r.begin);
          kernel_.backward_rows(a_.grad + at, a_.x + at, a_.result + at, r.count, p_.channels, terms.of(image),
                                a_.stream);
        });
    finish_weights(totals.as<double>());
  }

 private:
  static constexpr int64_t kUnit = 8192;   // elements, at least, that are summed together
  struct Range {
    int64_t begin, count;
  };

  // ---- Planes ----

  Items plane_items() const {
    const int64_t together = std::clamp<int64_t>(kUnit / std::max<int64_t>(1, p_.plane), 1, members_);
    return {p_.batch * p_.groups, p_.elements_of_group(), div_up(members_, together), bytes_};
  }
  Range members(const Items& items, int64_t unit) const {
    const int64_t begin = part_begin(members_, items.units, unit);
    return {begin, part_begin(members_, items.units, unit + 1) - begin};
  }
  int64_t plane_at(int64_t item, int64_t member) const { return (item * members_ + member) * p_.plane; }
  template <class Body>
  void each_member(const Items& items, int64_t item, int64_t unit, Body&& body) const {
    const Range r = members(items, unit);
    for (int64_t m = r.begin; m < r.begin + r.count; ++m)
      body(plane_at(item, m), item % p_.groups * members_ + m);
  }

  // ---- Pixels ----

  Items pixel_items() const {
    const int64_t elements = p_.channels * p_.plane;
    return {p_.batch, elements,
            std::clamp<int64_t>(elements / (2 * kNormGrain), 1, std::clamp<int64_t>(p_.plane, 1, 64)), bytes_};
  }
  Range pixels_of(const Items& items, int64_t unit) const {
    const int64_t begin = part_begin(p_.plane, items.units, unit);
    return {begin, part_begin(p_.plane, items.units, unit + 1) - begin};
  }
  int64_t pixel_at(int64_t image, int64_t pixel) const { return (image * p_.plane + pixel) * p_.channels; }
  double* clear(double* sums, int64_t unit) const {
    double* sum = sums + unit * 2 * p_.channels;
    std::fill_n(sum, 2 * p_.channels, 0.0);
    return sum;
  }

  // What the pixels of each image are computed with, one number a channel.
  class ImageTerms {
   public:
    explicit ImageTerms(const GroupNorm& norm)
        : norm_(norm), buffer_(size_t(norm.p_.batch * 5 * norm.p_.channels) * sizeof(T)) {}

    void set(int64_t image, bool scaled) const {
      const GroupNormProblem& p = norm_.p_;
      for (int64_t c = 0; c < p.channels; ++c) {
        const int64_t i = image * p.groups + c / norm_.members_;
        at(image, 0)[c] = norm_.a_.mean[i];
        at(image, 1)[c] = scaled ? norm_.weight(c) * norm_.a_.invstd[i] : T(0);
        at(image, 2)[c] = norm_.a_.bias ? norm_.a_.bias[c] : T(0);
      }
    }
    void set_slopes(int64_t image, int64_t group, T slope, T shift) const {
      std::fill_n(at(image, 3) + group * norm_.members_, norm_.members_, slope);
      std::fill_n(at(image, 4) + group * norm_.members_, norm_.members_, shift);
    }
    NormTerms<T> of(int64_t image) const {
      return {at(image, 0), at(image, 1), at(image, 2), at(image, 3), at(image, 4), false};
    }

   private:
    T* at(int64_t image, int64_t term) const {
      return buffer_.as<T>() + (image * 5 + term) * norm_.p_.channels;
    }

    const GroupNorm& norm_;
    memory::Buffer buffer_;
  };

  T weight(int64_t channel) const { return a_.weight ? a_.weight[channel] : T(1); }

  // totals: the sums of grad and of grad * (x - mean) of each channel of the group.
  void set_slopes(int64_t item, const double* totals, T* slope, T* shift) const {
    double sum = 0, product = 0;
    for (int64_t m = 0; m < members_; ++m) {
      const double w = double(weight(item % p_.groups * members_ + m));
      sum += w * totals[2 * m];
      product += w * totals[2 * m + 1];
    }
    finish_slopes(double(p_.elements_of_group()), sum, product, a_.invstd[item], slope, shift);
  }

  void finish_weights(const double* totals) const {
    for (int64_t c = 0; c < p_.channels; ++c) {
      double sum = 0, product = 0;
      for (int64_t n = 0; n < p_.batch; ++n) {
        const double* total = totals + (n * p_.channels + c) * 2;
        sum += total[0];
        product += total[1] * double(a_.invstd[n * p_.groups + c / members_]);
      }
      if (a_.db) a_.db[c] = T(sum);
      if (a_.dw) a_.dw[c] = T(product);
    }
  }

  const GroupNormProblem& p_;
  const GroupNormArrays<T>& a_;
  int64_t members_, bytes_;
  const NormKernels<T>& kernel_ = kernels<T>().norm;
};

template <class T>
T* data(const View* view) {
  return view ? view->as<T>() : nullptr;
}

bool past_caches(const GroupNormProblem& p, int arrays, int64_t itemsize) {
  return p.batch * p.channels * p.plane * arrays * itemsize > kCachedBytes;
}

template <class T>
void run(const GroupNormProblem& p, double eps, const View& x, const View* weight, const View* bias,
         const View& y, const View& mean, const View& invstd) {
  const GroupNormArrays<T> a = {
      x.as<const T>(), nullptr,   data<T>(weight), data<T>(bias), mean.as<T>(),
      invstd.as<T>(),  y.as<T>(), nullptr,         nullptr,       past_caches(p, 2, sizeof(T))};
  if (p.plane == 1) return normalize_rows(p, eps, a);
  const GroupNorm<T> norm(p, a, 1);
  x.format == MemoryFormat::channels_last ? norm.pixels(eps) : norm.planes(eps);
}

template <class T>
void run_backward(const GroupNormProblem& p, const View& grad, const View& x, const View* weight,
                  const View& mean, const View& invstd, const View* dx, const View* dw, const View* db) {
  const GroupNormArrays<T> a = {
      x.as<const T>(), grad.as<const T>(), data<T>(weight), nullptr,     mean.as<T>(),
      invstd.as<T>(),  data<T>(dx),        data<T>(dw),     data<T>(db), past_caches(p, 3, sizeof(T))};
  if (p.plane == 1) return normalize_rows_backward(p, a);
  const GroupNorm<T> norm(p, a, 2);
  x.format == MemoryFormat::channels_last ? norm.pixels_backward() : norm.planes_backward();
}

}   // namespace

void group_norm(const GroupNormProblem& p, double eps, const View& x, const View* weight, const View* bias,
                const View& y, const View& mean, const View& invstd) {
  (x.dtype == DType::float32 ? run<float> : run<double>)(p, eps, x, weight, bias, y, mean, invstd);
}

void group_norm_backward(const GroupNormProblem& p, const View& grad, const View& x, const View* weight,
                         const View& mean, const View& invstd, const View* dx, const View* dw, const View* db) {
  (x.dtype == DType::float32 ? run_backward<float> : run_backward<double>)(p, grad, x, weight, mean, invstd, dx,
                                                                           dw, db);
}

}   // namespace fastconv::cpu
