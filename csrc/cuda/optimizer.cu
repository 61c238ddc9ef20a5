// The formulas stand in the order of the CPU's (csrc/cpu/kernels/optimizer.cpp).
#include "core/update_rules.hpp"
#include "dispatch.cuh"
#include "optimizer.hpp"
#include "update_table.cuh"

namespace fastconv::cuda {

// A rule changes p and its kStates states s by the gradient g.
template <class A, bool momentum>
struct SgdRule {
  static constexpr int kStates = momentum;
  SgdCoefficients<A> c;
  __device__ __forceinline__ void operator()(A& p, A g, A* s) const {
    g = decayed(c.weight_decay, p, g);
    if constexpr (momentum) {
      s[0] = c.first_step ? g : s[0] * c.momentum + g * c.gain;
      g = c.nesterov ? g + s[0] * c.momentum : s[0];
    }
    p -= g * c.lr;
  }
};

template <class A, bool amsgrad>
struct AdamRule {
  static constexpr int kStates = 2 + amsgrad;
  AdamCoefficients<A> c;
  __device__ __forceinline__ void operator()(A& p, A g, A* s) const {
    p *= c.keep;
    move_moments(c.gain1, c.beta2, c.gain2, decayed(c.weight_decay, p, g), s);
    A square = s[1];
    if constexpr (amsgrad) square = s[2] = s[2] > square || s[2] != s[2] ? s[2] : square;   // NaN wins
    p -= s[0] * c.step_size / (root(square) / c.root_correction + c.eps);
  }
};

template <class A>
struct AdagradRule {
  static constexpr int kStates = 1;
  AdagradCoefficients<A> c;
  __device__ __forceinline__ void operator()(A& p, A g, A* s) const {
    g = decayed(c.weight_decay, p, g);
    s[0] += g * g;
    p -= g * c.lr / (root(s[0]) + c.eps);
  }
};

template <class A>
struct AdadeltaRule {
  static constexpr int kStates = 2;
  AdadeltaCoefficients<A> c;
  __device__ __forceinline__ void operator()(A& p, A g, A* s) const {
    g = decayed(c.weight_decay, p, g);
    s[0] = s[0] * c.rho + g * g * c.gain;
    const A step = root(s[1] + c.eps) / root(s[0] + c.eps) * g;
    s[1] = s[1] * c.rho + step * step * c.gain;
    p -= step * c.lr;
  }
};

template <class A, bool centered, bool momentum>
struct RmspropRule {
  static constexpr int kStates = 1 + centered + momentum;
  RmspropCoefficients<A> c;
  __device__ __forceinline__ void operator()(A& p, A g, A* s) const {
    g = decayed(c.weight_decay, p, g);
    s[0] = s[0] * c.alpha + g * g * c.gain;
    A square = s[0];
    if constexpr (centered) {
      s[1] += (g - s[1]) * c.gain;
      square -= s[1] * s[1];
    }
    A step = g / (root(square) + c.eps);
    if constexpr (momentum) step = s[1 + centered] = s[1 + centered] * c.momentum + step;
    p -= step * c.lr;
  }
};

template <class T, class Rule>
__global__ void __launch_bounds__(kUpdateThreads)
    update_kernel(const __grid_constant__ Table table, Rule rule) {
  using A = Accumulator<T>;
  const Slice at = slice_of(table, blockIdx.x);
  const Entry& entry = table.entries[at.array];
  T* parameter = static_cast<T*>(entry.parameter);
  const T* grad = static_cast<const T*>(entry.grad);
  for (int64_t first = at.begin + threadIdx.x; first < at.end; first += kUnrolled * kUpdateThreads) {
    A p[kUnrolled], g[kUnrolled], s[kUnrolled][Rule::kStates + 1];
#pragma unroll
    for (int k = 0; k < kUnrolled; ++k) {
      const int64_t i = first + k * kUpdateThreads;
      if (i >= at.end) break;
      p[k] = widen(parameter[i]);
      g[k] = widen(grad[i]);
#pragma unroll
      for (int j = 0; j < Rule::kStates; ++j) s[k][j] = widen(static_cast<const T*>(entry.state[j])[i]);
    }
#pragma unroll
    for (int k = 0; k < kUnrolled; ++k) {
      const int64_t i = first + k * kUpdateThreads;
      if (i >= at.end) break;
      rule(p[k], g[k], s[k]);
      parameter[i] = narrow<T>(p[k]);
#pragma unroll
      for (int j = 0; j < Rule::kStates; ++j) static_cast<T*>(entry.state[j])[i] = narrow<T>(s[k][j]);
    }
  }
}

namespace {

template <class T, class Rule>
void run(const char* operation, const Updates& updates, const Rule& rule) {
  const Device device = updates.front().parameter.device;
  with_tables(updates, entry_of, [&](const Table& table, int64_t chunks) {
    launch(operation, update_kernel<T, Rule>, dim3(unsigned(chunks)), kUpdateThreads, 0, device.stream, table,
           rule);
  });
}

// Whether the rule runs with this state. An empty array has no address and no say.
bool has_state(const Updates& updates, int state) {
  for (const Update& update : updates)
    if (update.state[state].data != nullptr) return true;
  return false;
}

}   // namespace

void sgd_update(const SgdParameters& p, const Updates& updates) {
  const DeviceGuard guard(updates.front().parameter.device, "sgd_update");
  with_float_type(updates.front().parameter.dtype, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    const auto c = coefficients_of<A>(p);
    has_state(updates, 0) ? run<T>("sgd_update", updates, SgdRule<A, true>{c})
                          : run<T>("sgd_update", updates, SgdRule<A, false>{c});
  });
}

void adam_update(const AdamParameters& p, const Updates& updates) {
  const DeviceGuard guard(updates.front().parameter.device, "adam_update");
  with_float_type(updates.front().parameter.dtype, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    const auto c = coefficients_of<A>(p);
    has_state(updates, 2) ? run<T>("adam_update", updates, AdamRule<A, true>{c})
                          : run<T>("adam_update", updates, AdamRule<A, false>{c});
  });
}

void adagrad_update(const AdagradParameters& p, const Updates& updates) {
  const DeviceGuard guard(updates.front().parameter.device, "adagrad_update");
  with_float_type(updates.front().parameter.dtype, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    run<T>("adagrad_update", updates, AdagradRule<A>{coefficients_of<A>(p)});
  });
}

void adadelta_update(const AdadeltaParameters& p, const Updates& updates) {
  const DeviceGuard guard(updates.front().parameter.device, "adadelta_update");
  with_float_type(updates.front().parameter.dtype, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    run<T>("adadelta_update", updates, AdadeltaRule<A>{coefficients_of<A>(p)});
  });
}

void rmsprop_update(const RmspropParameters& p, const Updates& updates) {
  const char* operation = "rmsprop_update";
  const DeviceGuard guard(updates.front().parameter.device, operation);
  // Without the mean the momentum buffer is the second state.
  const bool centered = has_state(updates, 1), momentum = has_state(updates, 2);
  Updates packed = updates;
  if (!centered)
    for (Update& update : packed) update.state[1] = update.state[2];
  with_float_type(updates.front().parameter.dtype, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    const auto c = coefficients_of<A>(p);
    if (centered)
      momentum ? run<T>(operation, packed, RmspropRule<A, true, true>{c})
               : run<T>(operation, packed, RmspropRule<A, true, false>{c});
    else
      momentum ? run<T>(operation, packed, RmspropRule<A, false, true>{c})
               : run<T>(operation, packed, RmspropRule<A, false, false>{c});
  });
}

}   // namespace fastconv::cuda
