#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

// The array as (outer, classes, inner) in memory order.
struct Extents {
  int64_t outer = 1, classes = 1, inner = 1;
};

Extents extents(const char* op, const View& view, const py::object& dim) {
  const int64_t count = int64_t(view.shape.size()), asked = parse_int({op, "dim"}, dim);
  const int64_t range = count > 0 ? count : 1;   // a single number is its own only class
  if (asked < -range || asked >= range)
    throw py::value_error(std::string(op) + ": dim must be in [" + std::to_string(-range) + ", " +
                          std::to_string(range - 1) + "] for shape " + to_string(view.shape) + ", got " +
                          std::to_string(asked));
  Extents e;
  if (count == 0) return e;
  const int64_t axis = asked < 0 ? asked + count : asked;
  bool before = true;
  for (int64_t i = 0; i < count; ++i) {
    const bool moved = view.format == MemoryFormat::channels_last && i > 0;
    const int64_t at = !moved ? i : i + 1 < count ? i + 1 : 1;
    const int64_t extent = view.shape[size_t(at)];
    if (at == axis) {
      e.classes = extent;
      before = false;
    } else {
      (before ? e.outer : e.inner) *= extent;
    }
  }
  return e;
}

py::array softmax(const char* op, bool log, const py::object& x, const py::object& dim) {
  const Array a = read_floats({op, "x"}, x);
  const Extents e = extents(op, a.view, dim);
  const Array y = make_array(a, a.view.shape, a.view.format);
  const auto run = operation(op, a.view.device, &Backend::softmax);
  {
    const WithoutGil unlocked;
    run(log, e.outer, e.classes, e.inner, a.view, y.view);
  }
  return to_python(y);
}

py::array softmax_backward(const char* op, bool log, const py::object& grad, const py::object& y,
                           const py::object& dim) {
  const Array g = read_floats({op, "grad"}, grad);
  const Array kept = read_floats({op, "y"}, y, g, g.view.format);
  check_shape(op, "grad", g.view.shape, kept.view.shape);
  const Extents e = extents(op, g.view, dim);
  const Array dx = make_array(g, g.view.shape, g.view.format);
  const auto run = operation(op, g.view.device, &Backend::softmax_backward);
  {
    const WithoutGil unlocked;
    run(log, e.outer, e.classes, e.inner, g.view, kept.view, dx.view);
  }
  return to_python(dx);
}

void check_logits(const char* op, const Array& logits, const Array& target) {
  if (logits.view.shape.size() != 2)
    throw py::value_error(std::string(op) + ": logits has shape " + to_string(logits.view.shape) +
                          ", expected 2 dimensions (N, classes)");
  check_shape(op, "target", target.view.shape, {logits.view.shape[0]});
}

py::array cross_entropy(const py::object& logits, const py::object& target, const py::object& reduction) {
  const char* op = "cross_entropy";
  const Reduction kind = parse_reduction({op, "reduction"}, reduction);
  const Array a = read_floats({op, "logits"}, logits);
  const Array t = read_integers({op, "target"}, target, a, true);
  check_logits(op, a, t);
  const Array loss = make_array(a, kind == Reduction::none ? t.view.shape : Shape{});
  const auto run = operation(op, a.view.device, &Backend::cross_entropy);
  int64_t bad;
  {
    const WithoutGil unlocked;
    bad = run(kind, a.view, t.view, loss.view);
  }
  if (bad >= 0) {
    const int64_t value =
        t.view.dtype == DType::int64 ? t.view.as<const int64_t>()[bad] : t.view.as<const int32_t>()[bad];
    throw py::value_error(std::string(op) + ": target[" + std::to_string(bad) + "] is " +
                          std::to_string(value) + ", outside [0, " + std::to_string(a.view.shape[1]) + ")");
  }
  return to_python(loss);
}

py::array cross_entropy_backward(const py::object& grad, const py::object& logits, const py::object& target,
                                 const py::object& reduction) {
  const char* op = "cross_entropy_backward";
  const Reduction kind = parse_reduction({op, "reduction"}, reduction);
  const Array a = read_floats({op, "logits"}, logits);
  const Array g = read_floats({op, "grad"}, grad, a);
  const Array t = read_integers({op, "target"}, target, a, true);
  check_logits(op, a, t);
  check_shape(op, "grad", g.view.shape, kind == Reduction::none ? t.view.shape : Shape{});
  const Array dlogits = make_array(a, a.view.shape);
  const auto run = operation(op, a.view.device, &Backend::cross_entropy_backward);
  {
    const WithoutGil unlocked;
    run(kind, g.view, a.view, t.view, dlogits.view);
  }
  return to_python(dlogits);
}

template <bool log>
void bind_softmax(py::module_& m, const char* name, const char* backward_name) {
  m.def(
      name, [name](const py::object& x, const py::object& dim) { return softmax(name, log, x, dim); },
      py::arg("x"), py::arg("dim"));
  m.def(
      backward_name,
      [backward_name](const py::object& grad, const py::object& y, const py::object& dim) {
        return softmax_backward(backward_name, log, grad, y, dim);
      },
      py::arg("grad"), py::arg("y"), py::arg("dim"));
}

}   // namespace

void bind_loss(py::module_& m) {
  bind_softmax<false>(m, "softmax", "softmax_backward");
  bind_softmax<true>(m, "log_softmax", "log_softmax_backward");
  m.def("cross_entropy", cross_entropy, py::arg("logits"), py::arg("target"), py::arg("reduction"));
  m.def("cross_entropy_backward", cross_entropy_backward, py::arg("grad"), py::arg("logits"), py::arg("target"),
        py::arg("reduction"));
}

}   // namespace fastconv::bindings
