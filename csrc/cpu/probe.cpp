#include "probe.hpp"

#include <atomic>

#include "isa.hpp"
#include "parallel.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kGrain = 1 << 18;   // elements a chunk: 1 or 2 MB

std::atomic<double> sink;   // a result that nobody looks at would not be computed

template <class T>
int64_t run_fma(int64_t steps) {
  const ProbeKernels<T>& probe = kernels<T>().probe;
  const int64_t chunks = 16 * num_threads();
  const T x[2] = {T(0.5), T(1)};
  parallel_for(chunks, [&](int64_t) { sink = double(probe.fma(x, steps)); });
  return chunks * steps * probe.fma_flops;
}

template <class T>
void run_read(const View& x) {
  const T* from = x.as<const T>();
  parallel_ranges(x.elements(), kGrain, [&](int64_t begin, int64_t end) {
    sink = double(kernels<T>().probe.read(from + begin, end - begin));
  });
}

template <class T>
void run_copy(const View& x, const View& y) {
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  parallel_ranges(x.elements(), kGrain, [&](int64_t begin, int64_t end) {
    kernels<T>().probe.copy(from + begin, to + begin, end - begin);
  });
}

}   // namespace

int64_t probe_fma(DType dtype, int64_t steps) {
  return dtype == DType::float32 ? run_fma<float>(steps) : run_fma<double>(steps);
}

void probe_read(const View& x) { x.dtype == DType::float32 ? run_read<float>(x) : run_read<double>(x); }

void probe_copy(const View& x, const View& y) {
  x.dtype == DType::float32 ? run_copy<float>(x, y) : run_copy<double>(x, y);
}

}   // namespace fastconv::cpu
