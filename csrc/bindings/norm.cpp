#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

using MaybeArray = py::typing::Optional<py::array>;

void require(bool condition, const char* op, const char* sentence) {
  if (!condition) throw py::value_error(std::string(op) + ": " + sentence);
}

Activation parse_relu(const char* op, const py::object& activation) {
  const Activation kind = parse_activation({op, "activation"}, activation);
  require(kind == Activation::none || kind == Activation::relu, op, "activation must be None or \"relu\"");
  return kind;
}

// One number a channel, or None.
std::optional<Array> read_channels(Argument argument, const py::object& object, const Array& like,
                                   int64_t channels) {
  std::optional<Array> array = read_optional_floats(argument, object, like);
  if (array) check_shape(argument.operation, argument.name, array->view.shape, {channels});
  return array;
}

std::optional<InPlace> write_channels(Argument argument, const py::object& object, const Array& x,
                                      int64_t channels) {
  if (object.is_none()) return std::nullopt;
  read_channels(argument, object, x, channels);
  std::optional<InPlace> array(std::in_place, argument, object);
  check_disjoint(array->array(), x);
  return array;
}

const View* pointer(const std::optional<InPlace>& array) { return array ? &array->view() : nullptr; }
using bindings::pointer;

py::typing::Tuple<py::array, py::array, py::array> batch_norm(const py::object& x,
                                                              const py::object& running_mean,
                                                              const py::object& running_var,
                                                              const py::object& weight, const py::object& bias,
                                                              const py::object& training, double momentum,
                                                              double eps, const py::object& activation) {
  const char* op = "batch_norm";
  const Array a = read_floats({op, "x"}, x);
  const NormProblem p = make_norm_problem(op, a.view.shape);
  const bool trains = parse_bool({op, "training"}, training);
  const BatchNormParameters parameters = {trains, momentum, eps, parse_relu(op, activation)};
  require(eps >= 0, op, "eps must be at least 0");
  require(running_mean.is_none() == running_var.is_none(), op,
          "running_mean and running_var must be given together");
  require(trains || !running_mean.is_none(), op, "evaluation needs running_mean and running_var");
  if (trains) check_trainable(op, p);
  const auto w = read_channels({op, "weight"}, weight, a, p.channels);
  const auto b = read_channels({op, "bias"}, bias, a, p.channels);
  std::optional<InPlace> mean_written, var_written;
  std::optional<Array> mean_read, var_read;
  if (trains) {
    mean_written = write_channels({op, "running_mean"}, running_mean, a, p.channels);
    var_written = write_channels({op, "running_var"}, running_var, a, p.channels);
    if (mean_written) check_disjoint(mean_written->array(), var_written->array());
  } else {
    mean_read = read_channels({op, "running_mean"}, running_mean, a, p.channels);
    var_read = read_channels({op, "running_var"}, running_var, a, p.channels);
  }
  const Array y = make_array(a, a.view.shape, a.view.format);
  const DType kept = accumulator(a.view.dtype);
  const Array mean = make_array(a, kept, {p.channels}), invstd = make_array(a, kept, {p.channels});
  const auto run = operation(op, a.view.device, &Backend::batch_norm);
  {
    const WithoutGil unlocked;
    run(p, parameters, a.view, trains ? pointer(mean_written) : pointer(mean_read),
        trains ? pointer(var_written) : pointer(var_read), pointer(w), pointer(b), y.view, mean.view,
        invstd.view);
  }
  if (mean_written) mean_written->commit();
  if (var_written) var_written->commit();
  return py::make_tuple(y.owner, mean.owner, invstd.owner);
}

py::typing::Tuple<MaybeArray, MaybeArray, MaybeArray> batch_norm_backward(
    const py::object& grad, const py::object& x, const py::object& weight, const py::object& bias,
    const py::object& mean, const py::object& invstd, const py::object& training, const py::object& activation,
    const std::tuple<bool, bool, bool>& output_mask) {
  const char* op = "batch_norm_backward";
  const Array a = read_floats({op, "x"}, x);
  const Array g = read_floats({op, "grad"}, grad, a, a.view.format);
  check_shape(op, "grad", g.view.shape, a.view.shape);
  const NormProblem p = make_norm_problem(op, a.view.shape);
  const auto w = read_channels({op, "weight"}, weight, a, p.channels);
  const auto b = read_channels({op, "bias"}, bias, a, p.channels);
  const Array m = read_statistics({op, "mean"}, mean, a, {p.channels});
  const Array s = read_statistics({op, "invstd"}, invstd, a, {p.channels});
  const Activation kind = parse_relu(op, activation);
  const bool trains = parse_bool({op, "training"}, training);
  std::optional<Array> dx, dw, db;
  if (std::get<0>(output_mask)) dx = make_array(a, a.view.shape, a.view.format);
  if (std::get<1>(output_mask)) dw = make_array(a, {p.channels});
  if (std::get<2>(output_mask)) db = make_array(a, {p.channels});
  const auto run = operation(op, a.view.device, &Backend::batch_norm_backward);
  {
    const WithoutGil unlocked;
    run(p, trains, kind, g.view, a.view, pointer(w), pointer(b), m.view, s.view, pointer(dx), pointer(dw),
        pointer(db));
  }
  const auto result = [](const std::optional<Array>& array) { return array ? array->owner : py::none(); };
  return py::make_tuple(result(dx), result(dw), result(db));
}

}   // namespace

void bind_norm(py::module_& m) {
  m.def("batch_norm", batch_norm, py::arg("x"), py::arg("running_mean"), py::arg("running_var"),
        py::arg("weight"), py::arg("bias"), py::arg("training"), py::arg("momentum"), py::arg("eps"),
        py::arg("activation"));
  m.def("batch_norm_backward", batch_norm_backward, py::arg("grad"), py::arg("x"), py::arg("weight"),
        py::arg("bias"), py::arg("mean"), py::arg("invstd"), py::arg("training"), py::arg("activation"),
        py::arg("output_mask"));
}

}   // namespace fastconv::bindings
