// What the normalisations of groups of one example share.
#pragma once

#include <cmath>
#include <type_traits>

#include "../core/norm_problem.hpp"
#include "../core/view.hpp"
#include "isa.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {

// Squares of floats are exact in double; those of doubles are not, and want the mean taken off first.
template <class T>
constexpr int kMomentPasses = std::is_same_v<T, double> ? 2 : 1;

constexpr int64_t kNormGrain = 32768;   // elements a chunk: 128 KB, 5 to 10 us

// Arrays of one call, (batch, groups) statistics among them; weight, bias and results nobody wants are null.
template <class T>
struct GroupNormArrays {
  const T *x, *grad, *weight, *bias;
  T *mean, *invstd;
  T *result, *dw, *db;   // result: y or dx
  bool stream;           // the result goes past the caches
};

// From the sums of x - mean and of its square, where `mean` was given or is that of the pass before.
template <class T>
void finish_moments(int pass, double count, double sum, double square, double eps, T* mean, T* invstd) {
  const double shift = count > 0 ? sum / count : 0;
  *mean = T(double(*mean) + shift);
  if (pass + 1 < kMomentPasses<T>) return;
  double variance = count > 0 ? square / count - shift * shift : 0;
  if (variance < 0) variance = 0;   // rounding alone can do that; NaN stays
  *invstd = T(1 / std::sqrt(variance + eps));
}

// dx = grad * scale + (x - mean) * slope + shift, from the sums of grad * weight and grad * weight * (x - mean)
// over the elements of a group (Ioffe, Szegedy, 2015, section 3).
template <class T>
void finish_slopes(double count, double sum, double product, T invstd, T* slope, T* shift) {
  const double each = -double(invstd) / count;
  *slope = T(each * double(invstd) * double(invstd) * product);
  *shift = T(each * sum);
}

constexpr int64_t kPrivateBytes = 512 << 10;   // of a core's own cache

// Items with statistics of their own (groups; whole images where channels lie last), each in units that can be
// summed and written apart. fused: an item's passes follow each other in one thread.
struct Items {
  int64_t count, units, unit_elements;
  bool fused;

  Items(int64_t items, int64_t elements, int64_t unit_count, int64_t bytes)
      : count(items),
        units(unit_count),
        unit_elements(std::max<int64_t>(1, elements / unit_count)),
        fused(items >= kChunks || elements * bytes <= kPrivateBytes) {}

  // sum(pass, item, unit); finish(pass, item) behind each pass; write(item, unit).
  template <class Sum, class Finish, class Write>
  void drive(int passes, bool written, Sum&& sum, Finish&& finish, Write&& write) const {
    if (fused) {
      const int64_t together = std::max<int64_t>(1, kNormGrain / (units * unit_elements));
      return parallel_ranges(count, together, [&](int64_t begin, int64_t end) {
        for (int64_t item = begin; item < end; ++item) {
          for (int pass = 0; pass < passes; ++pass) {
            for (int64_t unit = 0; unit < units; ++unit) sum(pass, item, unit);
            finish(pass, item);
          }
          for (int64_t unit = 0; written && unit < units; ++unit) write(item, unit);
        }
      });
    }
    const auto all_units = [&](auto&& body) {
      parallel_ranges(count * units, std::max<int64_t>(1, kNormGrain / unit_elements),
                      [&](int64_t begin, int64_t end) {
                        for (int64_t i = begin; i < end; ++i) body(i / units, i % units);
                      });
    };
    for (int pass = 0; pass < passes; ++pass) {
      all_units([&](int64_t item, int64_t unit) { sum(pass, item, unit); });
      for (int64_t item = 0; item < count; ++item) finish(pass, item);
    }
    if (written) all_units(write);
  }
};

// Planes of one element: every group is a row, each of whose elements has a weight of its own.
template <class T>
void normalize_rows(const GroupNormProblem&, double eps, const GroupNormArrays<T>&);
template <class T>
void normalize_rows_backward(const GroupNormProblem&, const GroupNormArrays<T>&);

}   // namespace fastconv::cpu
