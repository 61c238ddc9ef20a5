#include "dropout.hpp"

#include "../core/philox.hpp"
#include "isa.hpp"
#include "parallel.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kGrain = 64 * kPhiloxBlock;   // elements a chunk

template <class T>
void run(const DropoutParameters& p, const View& x, const View& y) {
  const auto kernel = kernels<T>().dropout.dropout;
  const uint32_t threshold = dropout_threshold(p.p);
  const T scale = T(1 / (1 - p.p));
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  parallel_ranges(x.elements(), kGrain, [&](int64_t begin, int64_t end) {
    kernel(from + begin, to + begin, end - begin, begin, p.key, threshold, scale);
  });
}

}   // namespace

void dropout(const DropoutParameters& p, const View& x, const View& y) {
  x.dtype == DType::float32 ? run<float>(p, x, y) : run<double>(p, x, y);
}

}   // namespace fastconv::cpu
