#include <cmath>

#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

void require(bool condition, const char* op, const char* sentence) {
  if (!condition) throw py::value_error(std::string(op) + ": " + sentence);
}

Array read_grad(const char* op, const py::object& grad, const InPlace& parameter) {
  Array g = read_floats({op, "grad"}, grad, parameter.array(), parameter.view().format);
  check_shape(op, "grad", g.view.shape, parameter.view().shape);
  check_disjoint(parameter.array(), g);
  return g;
}

void sgd_update(const py::object& parameter, const py::object& grad, const py::object& momentum_buffer,
                double lr, double momentum, double dampening, double weight_decay, bool nesterov,
                bool first_step) {
  const char* op = "sgd_update";
  require(lr >= 0, op, "lr must be at least 0");
  require(momentum >= 0, op, "momentum must be at least 0");
  require(weight_decay >= 0, op, "weight_decay must be at least 0");
  require(!nesterov || (momentum > 0 && dampening == 0), op, "nesterov needs momentum above 0 and dampening 0");
  require(momentum == 0 || !momentum_buffer.is_none(), op, "momentum needs a momentum_buffer");
  const InPlace p({op, "parameter"}, parameter);
  const Array g = read_grad(op, grad, p);
  std::optional<InPlace> buffer;
  if (momentum != 0) {
    buffer.emplace(Argument{op, "momentum_buffer"}, momentum_buffer, p.array());
    check_disjoint(buffer->array(), g);
  }
  const auto run = operation(op, p.view().device, &Backend::sgd_update);
  {
    const WithoutGil unlocked;
    run({lr, momentum, dampening, weight_decay, nesterov, first_step}, p.view(), g.view,
        buffer ? &buffer->view() : nullptr);
  }
  p.commit();
  if (buffer) buffer->commit();
}

void adam_update(const py::object& parameter, const py::object& grad, const py::object& exp_avg,
                 const py::object& exp_avg_sq, const py::object& step, double lr,
                 const std::pair<double, double>& betas, double eps, double weight_decay, bool decoupled) {
  const char* op = "adam_update";
  const auto [beta1, beta2] = betas;
  const int64_t count = parse_int({op, "step"}, step);
  require(count >= 1, op, "step must be at least 1");
  require(lr >= 0, op, "lr must be at least 0");
  require(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, op, "betas must be in [0, 1)");
  require(eps >= 0, op, "eps must be at least 0");
  require(weight_decay >= 0, op, "weight_decay must be at least 0");
  const InPlace p({op, "parameter"}, parameter);
  const Array g = read_grad(op, grad, p);
  const InPlace first({op, "exp_avg"}, exp_avg, p.array()), second({op, "exp_avg_sq"}, exp_avg_sq, p.array());
  check_disjoint(first.array(), g);
  check_disjoint(second.array(), g);
  check_disjoint(first.array(), second.array());
  const auto run = operation(op, p.view().device, &Backend::adam_update);
  {
    const WithoutGil unlocked;
    run({lr, beta1, beta2, eps, weight_decay, count, decoupled}, p.view(), g.view, first.view(), second.view());
  }
  p.commit();
  first.commit();
  second.commit();
}

}   // namespace

void bind_optimizer(py::module_& m) {
  m.def("sgd_update", sgd_update, py::arg("parameter"), py::arg("grad"), py::arg("momentum_buffer"),
        py::arg("lr"), py::arg("momentum"), py::arg("dampening"), py::arg("weight_decay"), py::arg("nesterov"),
        py::arg("first_step"));
  m.def("adam_update", adam_update, py::arg("parameter"), py::arg("grad"), py::arg("exp_avg"),
        py::arg("exp_avg_sq"), py::arg("step"), py::arg("lr"), py::arg("betas"), py::arg("eps"),
        py::arg("weight_decay"), py::arg("decoupled"));
}

}   // namespace fastconv::bindings
