// You et al. (2020), algorithm 2.
#include "core/update_rules.hpp"
#include "dispatch.cuh"
#include "optimizer.hpp"
#include "reduce.cuh"
#include "update_table.cuh"

namespace fastconv::cuda {

// Three launches: the moments, with the squares of each chunk's weights and direction; each array's
// quotient of norms; the step, for which the direction is computed again rather than kept.
template <class A>
__device__ __forceinline__ A lamb_direction(const LambCoefficients<A>& c, A p, const A* s) {
  return decayed(c.weight_decay, p, s[0] / c.correction1 / (root(s[1]) / c.root_correction + c.eps));
}

template <class T>
__global__ void __launch_bounds__(kUpdateThreads)
    lamb_moments_kernel(const __grid_constant__ Table table, LambCoefficients<Accumulator<T>> c, double* sums) {
  using A = Accumulator<T>;
  const Slice at = slice_of(table, blockIdx.x);
  const Entry& entry = table.entries[at.array];
  T *mean = static_cast<T*>(entry.state[0]), *square = static_cast<T*>(entry.state[1]);
  double weights = 0, directions = 0;
  for (int64_t i = at.begin + threadIdx.x; i < at.end; i += kUpdateThreads) {
    const A p = widen(static_cast<const T*>(entry.parameter)[i]);
    A s[] = {widen(mean[i]), widen(square[i])};
    move_moments(c.gain1, c.beta2, c.gain2, widen(static_cast<const T*>(entry.grad)[i]), s);
    mean[i] = narrow<T>(s[0]);
    square[i] = narrow<T>(s[1]);
    const A kept[] = {widen(mean[i]), widen(square[i])}, d = lamb_direction(c, p, kept);
    weights += double(p) * double(p);
    directions += double(d) * double(d);
  }
  auto& shared = static_shared<BlockSum<double, kUpdateThreads>>();
  weights = block_sum(shared, weights);
  directions = block_sum(shared, directions);
  if (threadIdx.x == 0) {
    sums[2 * int64_t(blockIdx.x)] = weights;
    sums[2 * int64_t(blockIdx.x) + 1] = directions;
  }
}

__global__ void __launch_bounds__(kUpdateThreads)
    lamb_trust_kernel(const __grid_constant__ Table table, const double* sums, double* trust) {
  const Entry& entry = table.entries[blockIdx.x];
  const int64_t end = entry.first_chunk + (entry.count + kChunk - 1) / kChunk;
  double weights = 0, directions = 0;
  for (int64_t i = entry.first_chunk + threadIdx.x; i < end; i += kUpdateThreads) {
    weights += sums[2 * i];
    directions += sums[2 * i + 1];
  }
  auto& shared = static_shared<BlockSum<double, kUpdateThreads>>();
  weights = sqrt(block_sum(shared, weights));
  directions = sqrt(block_sum(shared, directions));
  if (threadIdx.x == 0) trust[blockIdx.x] = weights > 0 && directions > 0 ? weights / directions : 1;
}

template <class T>
__global__ void __launch_bounds__(kUpdateThreads)
    lamb_step_kernel(const __grid_constant__ Table table, LambCoefficients<Accumulator<T>> c, double lr,
                     const double* trust) {
  using A = Accumulator<T>;
  const Slice at = slice_of(table, blockIdx.x);
  const Entry& entry = table.entries[at.array];
  T* parameter = static_cast<T*>(entry.parameter);
  const A rate = A(lr * trust[at.array]);
  for (int64_t i = at.begin + threadIdx.x; i < at.end; i += kUpdateThreads) {
    const A s[] = {widen(static_cast<const T*>(entry.state[0])[i]),
                   widen(static_cast<const T*>(entry.state[1])[i])};
    const A p = widen(parameter[i]);
    parameter[i] = narrow<T>(p - lamb_direction(c, p, s) * rate);
  }
}

namespace {

template <class T>
void lamb(const LambParameters& p, const Updates& updates) {
  const char* operation = "lamb_update";
  const Device device = updates.front().parameter.device;
  const auto c = coefficients_of<Accumulator<T>>(p);
  with_tables(updates, entry_of, [&](const Table& table, int64_t chunks) {
    const Workspace memory(device, (2 * chunks + kMostArrays) * int64_t(sizeof(double)), operation);
    double *trust = memory.as<double>(), *sums = trust + kMostArrays;
    const dim3 grid{unsigned(chunks)};
    launch(operation, lamb_moments_kernel<T>, grid, kUpdateThreads, 0, device.stream, table, c, sums);
    launch(operation, lamb_trust_kernel, dim3(unsigned(table.arrays)), kUpdateThreads, 0, device.stream, table,
           sums, trust);
    launch(operation, lamb_step_kernel<T>, grid, kUpdateThreads, 0, device.stream, table, c, p.lr, trust);
  });
}

}   // namespace

void lamb_update(const LambParameters& p, const Updates& updates) {
  const DeviceGuard guard(updates.front().parameter.device, "lamb_update");
  with_float_type(updates.front().parameter.dtype, [&](auto zero) { lamb<decltype(zero)>(p, updates); });
}

}   // namespace fastconv::cuda
