#include <pybind11/stl.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "core/backend.hpp"
#include "core/memory.hpp"
#include "cpu/isa.hpp"
#include "cpu/parallel.hpp"

namespace fastconv::bindings {
namespace {

py::typing::Dict<py::str, py::object> config() {
  py::typing::Dict<py::str, py::object> info;
  info["version"] = FASTCONV_VERSION;
  info["isa"] = cpu::isa();
  info["available_isas"] = cpu::available_isas();
  info["threads"] = cpu::num_threads();
#if defined(__clang__)
  info["compiler"] = "Clang " __clang_version__;
#else
  info["compiler"] = "GCC " __VERSION__;
#endif
  return info;
}

bool set_flush_denormal(bool mode) {
#if defined(__SSE__)
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  const unsigned others = _mm_getcsr() & ~(kFlushToZero | kDenormalsAreZero);
  _mm_setcsr(mode ? others | kFlushToZero | kDenormalsAreZero : others);
  return true;
#else
  return !mode;
#endif
}

void set_num_threads(const py::object& count) {
  const int64_t asked = parse_int({"set_num_threads", "count"}, count);
  if (asked < 1 || asked > cpu::kMaxThreads)
    throw py::value_error("set_num_threads: count must be from 1 to " + std::to_string(cpu::kMaxThreads) +
                          ", got " + std::to_string(asked));
  cpu::set_num_threads(int(asked));
}

py::typing::Dict<py::str, int> memory_stats() {
  const memory::Stats stats = memory::stats();
  py::typing::Dict<py::str, int> result;
  result["in_use"] = stats.in_use;
  result["cached"] = stats.cached;
  result["peak"] = stats.peak;
  result["allocations"] = stats.allocations;
  result["reused"] = stats.reused;
  result["cache_limit"] = memory::cache_limit();
  return result;
}

void bind_settings(py::module_& m) {
  m.def("config", config);
  m.def("isa", [] { return cpu::isa(); });
  m.def("set_num_threads", set_num_threads, py::arg("count"));
  m.def("get_num_threads", cpu::num_threads);
  m.def("set_flush_denormal", set_flush_denormal, py::arg("mode"));
  m.def("memory_stats", memory_stats);
  m.def("memory_reset_peak", memory::reset_peak);
  m.def("memory_release_cached", memory::release_cached, py::call_guard<py::gil_scoped_release>());
  m.def(
      "memory_set_cache_limit",
      [](const py::object& bytes) { memory::set_cache_limit(parse_int({"set_cache_limit", "bytes"}, bytes)); },
      py::arg("bytes"));
  m.def("memory_set_poison", memory::set_poison, py::arg("on"));
}

}   // namespace
}   // namespace fastconv::bindings

PYBIND11_MODULE(_core, m) {
  using namespace fastconv::bindings;
  m.doc() = "Compiled kernels behind fastconv.ops. Arguments are positional there and checked here.";
  m.attr("__version__") = FASTCONV_VERSION;
  bind_devices(m);
  bind_problems(m);
  bind_conv(m);
  bind_conv_pool(m);
  bind_conv_transpose(m);
  bind_average_pool(m);
  bind_pool(m);
  bind_linear(m);
  bind_activation(m);
  bind_loss(m);
  bind_norm(m);
  bind_group_norm(m);
  bind_local_response_norm(m);
  bind_dropout(m);
  bind_optimizer(m);
  bind_probe(m);
  bind_settings(m);
}
