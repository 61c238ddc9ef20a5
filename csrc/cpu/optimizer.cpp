#include "optimizer.hpp"

#include <cmath>

#include "isa.hpp"
#include "parallel.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kGrain = 32768;   // elements a chunk: 10 to 20 us

// A part of one array, and a run of parts that one thread takes.
struct Part {
  size_t array;
  int64_t begin, end;
};
struct Chunk {
  size_t first, last;
};

// Cuts the arrays, laid end to end, into chunks of kGrain elements at most.
struct Parts {
  template <class Arrays, class Size>
  Parts(const Arrays& arrays, Size size) {
    int64_t room = 0;
    for (size_t array = 0; array < arrays.size(); ++array) {
      const int64_t count = size(arrays[array]);
      for (int64_t begin = 0; begin < count;) {
        if (room == 0) {
          chunks.push_back({parts.size(), parts.size()});
          room = kGrain;
        }
        const int64_t end = count - begin < room ? count : begin + room;
        parts.push_back({array, begin, end});
        chunks.back().last = parts.size();
        room -= end - begin;
        begin = end;
      }
    }
  }
  template <class Body>
  void run(Body&& body) const {
    parallel_for(int64_t(chunks.size()), [&](int64_t i) {
      for (size_t k = chunks[size_t(i)].first; k < chunks[size_t(i)].last; ++k) body(k, parts[k]);
    });
  }
  std::vector<Part> parts;
  std::vector<Chunk> chunks;
};

Parts parts_of(const Updates& updates) {
  return Parts(updates, [](const Update& update) { return update.parameter.elements(); });
}

template <class T>
struct Pointers {
  Pointers(const Update& update, int64_t offset)
      : parameter(update.parameter.as<T>() + offset), grad(update.grad.as<const T>() + offset) {
    for (int k = 0; k < kMaxState; ++k)
      state[k] = update.state[k].data ? update.state[k].as<T>() + offset : nullptr;
  }
  T* parameter;
  const T* grad;
  T* state[kMaxState];
};

template <class T, class Coefficients>
void run(const Updates& updates, UpdateKernel<T, Coefficients> kernel, const Coefficients& coefficients) {
  parts_of(updates).run([&](size_t, const Part& part) {
    const Pointers<T> at(updates[part.array], part.begin);
    kernel(coefficients, at.parameter, at.grad, at.state, part.end - part.begin);
  });
}

// Calls body(T{}) with the dtype of the updates.
template <class Body>
void with_dtype(DType dtype, Body&& body) {
  dtype == DType::float32 ? body(float{}) : body(double{});
}

// You et al. (2020), algorithm 2: the step of each parameter is as long as the parameter, times lr. Two passes:
// the moments and norms, then the step, for which the direction is computed again rather than kept.
template <class T>
void lamb(const LambParameters& p, const Updates& updates) {
  const auto c = coefficients_of<T>(p);
  const auto& table = kernels<T>().optimizer;
  const Parts pieces = parts_of(updates);
  std::vector<double> sums(2 * pieces.parts.size());
  pieces.run([&](size_t k, const Part& part) {
    const Pointers<T> at(updates[part.array], part.begin);
    table.lamb_direction(c, at.parameter, at.grad, at.state, part.end - part.begin, &sums[2 * k]);
  });
  std::vector<double> weight(updates.size()), direction(updates.size());
  for (size_t k = 0; k < pieces.parts.size(); ++k) {
    weight[pieces.parts[k].array] += sums[2 * k];
    direction[pieces.parts[k].array] += sums[2 * k + 1];
  }
  pieces.run([&](size_t, const Part& part) {
    const Pointers<T> at(updates[part.array], part.begin);
    const double w = std::sqrt(weight[part.array]), d = std::sqrt(direction[part.array]);
    const double trust = w > 0 && d > 0 ? w / d : 1;
    table.lamb_step(c, T(p.lr * trust), at.parameter, at.state, part.end - part.begin);
  });
}

template <class T>
void norm_of(const std::vector<View>& arrays, const View& norm) {
  const Parts pieces(arrays, [](const View& array) { return array.elements(); });
  std::vector<double> sums(pieces.parts.size());
  pieces.run([&](size_t k, const Part& part) {
    sums[k] = kernels<T>().optimizer.sum_of_squares(arrays[part.array].as<const T>() + part.begin,
                                                    part.end - part.begin);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  *norm.as<T>() = T(std::sqrt(total));
}

DType dtype_of(const Updates& updates) {
  return updates.empty() ? DType::float32 : updates.front().parameter.dtype;
}

}   // namespace

void sgd_update(const SgdParameters& p, const Updates& updates) {
  with_dtype(dtype_of(updates), [&](auto zero) {
    using T = decltype(zero);
    run<T>(updates, kernels<T>().optimizer.sgd, coefficients_of<T>(p));
  });
}

void adam_update(const AdamParameters& p, const Updates& updates) {
  with_dtype(dtype_of(updates), [&](auto zero) {
    using T = decltype(zero);
    run<T>(updates, kernels<T>().optimizer.adam, coefficients_of<T>(p));
  });
}

void adagrad_update(const AdagradParameters& p, const Updates& updates) {
  with_dtype(dtype_of(updates), [&](auto zero) {
    using T = decltype(zero);
    run<T>(updates, kernels<T>().optimizer.adagrad, coefficients_of<T>(p));
  });
}

void adadelta_update(const AdadeltaParameters& p, const Updates& updates) {
  with_dtype(dtype_of(updates), [&](auto zero) {
    using T = decltype(zero);
    run<T>(updates, kernels<T>().optimizer.adadelta, coefficients_of<T>(p));
  });
}

void rmsprop_update(const RmspropParameters& p, const Updates& updates) {
  with_dtype(dtype_of(updates), [&](auto zero) {
    using T = decltype(zero);
    run<T>(updates, kernels<T>().optimizer.rmsprop, coefficients_of<T>(p));
  });
}

void lamb_update(const LambParameters& p, const Updates& updates) {
  with_dtype(dtype_of(updates), [&](auto zero) { lamb<decltype(zero)>(p, updates); });
}

void total_norm(const std::vector<View>& arrays, const View& norm) {
  with_dtype(norm.dtype, [&](auto zero) { norm_of<decltype(zero)>(arrays, norm); });
}

}   // namespace fastconv::cpu
