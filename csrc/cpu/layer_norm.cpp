// Rows that are normalised each by itself: layer normalisation, and groups of (N, C). A row is read from memory
// once: its sums and its elements follow each other.
#include <vector>

#include "../core/memory.hpp"
#include "own_statistics.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kTile = 16;         // examples whose columns are added up while they are in the caches
constexpr int64_t kMostChunks = 64;   // of partial sums of the columns

// The weights, or as many times the number that stands for them.
template <class T>
class Filled {
 public:
  Filled(const T* given, int64_t count, T value)
      : filled_(given ? 0 : size_t(count), value), data_(given ? given : filled_.data()) {}
  const T* at(int64_t i) const { return data_ + i; }

 private:
  std::vector<T> filled_;
  const T* data_;
};

}   // namespace

template <class T>
void normalize_rows(const GroupNormProblem& p, double eps, const GroupNormArrays<T>& a) {
  const NormKernels<T>& kernel = kernels<T>().norm;
  const int64_t length = p.channels / p.groups;
  const Filled<T> weight(a.weight, p.channels, T(1)), bias(a.bias, p.channels, T(0));
  const auto row = [&](int64_t i) {
    const T* x = a.x + i * length;
    T *mean = a.mean + i, *invstd = a.invstd + i;
    *mean = 0;
    for (int pass = 0; pass < kMomentPasses<T>; ++pass) {
      double sum = 0, square = 0;
      kernel.sums.moments(x, 1, length, length, mean, &sum, &square);
      finish_moments(pass, double(length), sum, square, eps, mean, invstd);
    }
    const int64_t first = i % p.groups * length;
    const NormTerms<T> terms = {mean, weight.at(first), bias.at(first), nullptr, nullptr, false, invstd};
    kernel.normalize_own(x, a.result + i * length, 1, length, length, terms, a.stream);
  };
  parallel_ranges(p.batch * p.groups, std::max<int64_t>(1, kNormGrain / std::max<int64_t>(1, length)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) row(i);
                  });
}

template <class T>
void normalize_rows_backward(const GroupNormProblem& p, const GroupNormArrays<T>& a) {
  const NormKernels<T>& kernel = kernels<T>().norm;
  const int64_t length = p.channels / p.groups, groups = p.groups, channels = p.channels;
  const Filled<T> weight(a.weight, channels, T(1));
  const auto row = [&](int64_t i) {
    const int64_t at = i * length, first = i % groups * length;
    double sum = 0, product = 0;
    kernel.sums.weighted_moments(a.grad + at, a.x + at, length, weight.at(first), a.mean[i], &sum, &product);
    T slope, shift;
    finish_slopes(double(length), sum, product, a.invstd[i], &slope, &shift);
    const NormTerms<T> terms = {a.mean + i, weight.at(first), nullptr, &slope, &shift, false, a.invstd + i};
    kernel.backward_own(a.grad + at, a.x + at, a.result + at, 1, length, length, terms, a.stream);
  };

  const bool columns = a.dw || a.db;
  const int64_t least = std::max<int64_t>(1, kNormGrain / std::max<int64_t>(1, channels));
  const int64_t together = std::max(least, div_up(p.batch, kMostChunks)), parts = div_up(p.batch, together);
  const size_t held = columns ? size_t(2 * parts * channels) : 0;
  const memory::Buffer partial(held * sizeof(double));
  std::fill_n(partial.as<double>(), held, 0.0);
  parallel_for(parts, [&](int64_t part) {
    const int64_t end = std::min(p.batch, (part + 1) * together);
    for (int64_t n = part * together; n < end; n += kTile) {
      const int64_t count = std::min(kTile, end - n);
      if (a.result)
        for (int64_t i = n * groups; i < (n + count) * groups; ++i) row(i);
      for (int64_t g = 0; columns && g < groups; ++g) {
        const int64_t at = n * channels + g * length, i = n * groups + g;
        double* sums = partial.as<double>() + 2 * part * channels + g * length;
        kernel.sums.column_moments(a.grad + at, a.x + at, count, channels, length, a.mean + i, a.invstd + i,
                                   groups, sums, sums + channels);
      }
    }
  });
  if (!columns) return;
  parallel_ranges(channels, kNormGrain / std::max<int64_t>(1, parts), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      double sum = 0, product = 0;
      for (int64_t part = 0; part < parts; ++part) {
        sum += partial.as<double>()[2 * part * channels + c];
        product += partial.as<double>()[(2 * part + 1) * channels + c];
      }
      if (a.db) a.db[c] = T(sum);
      if (a.dw) a.dw[c] = T(product);
    }
  });
}

template void normalize_rows(const GroupNormProblem&, double, const GroupNormArrays<float>&);
template void normalize_rows(const GroupNormProblem&, double, const GroupNormArrays<double>&);
template void normalize_rows_backward(const GroupNormProblem&, const GroupNormArrays<float>&);
template void normalize_rows_backward(const GroupNormProblem&, const GroupNormArrays<double>&);

}   // namespace fastconv::cpu
