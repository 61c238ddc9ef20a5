#include "bindings/arguments.hpp"

#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

std::string prefix(Argument a) { return std::string(a.operation) + ": " + a.name + " "; }

std::string type_name(const py::handle& object) { return Py_TYPE(object.ptr())->tp_name; }

bool is_sequence(const py::handle& object) { return PyTuple_Check(object.ptr()) || PyList_Check(object.ptr()); }

bool is_integer(const py::handle& object) {
  return PyLong_Check(object.ptr()) ? !PyBool_Check(object.ptr()) : PyIndex_Check(object.ptr()) != 0;
}

std::string describe_sizes(int spatial) {
  return "an integer or a tuple of " + std::to_string(spatial) + " integers";
}

template <class T>
struct Name {
  const char* text;
  T value;
};

template <class T, size_t count>
T parse_name(Argument a, const py::handle& object, const Name<T> (&names)[count], bool none = false) {
  if (PyUnicode_Check(object.ptr()))
    for (const Name<T>& name : names)
      if (PyUnicode_CompareWithASCIIString(object.ptr(), name.text) == 0) return name.value;
  std::string message = prefix(a) + "must be ";
  if (none) message += "None, ";
  for (size_t i = 0; i < count; ++i)
    message += std::string(i == 0 ? "" : i + 1 < count ? ", " : " or ") + '"' + names[i].text + '"';
  if (!PyUnicode_Check(object.ptr())) throw py::type_error(message + ", got " + type_name(object));
  throw py::value_error(message + ", got " + std::string(py::repr(object)));
}

// One dimension's padding: (before, after).
std::pair<int64_t, int64_t> parse_pair(Argument a, const py::handle& object) {
  const Shape pair = parse_shape(a, object);
  if (pair.size() != 2)
    throw py::value_error(prefix(a) + "has " + std::string(py::repr(object)) +
                          " where (before, after) is expected");
  return {pair[0], pair[1]};
}

}   // namespace

double parse_number(Argument a, const py::handle& object) {
  const double value = PyBool_Check(object.ptr()) ? -1.0 : PyFloat_AsDouble(object.ptr());
  if (PyBool_Check(object.ptr()) || (value == -1.0 && PyErr_Occurred())) {
    PyErr_Clear();
    throw py::type_error(prefix(a) + "must be a number, got " + type_name(object));
  }
  return value;
}

bool parse_bool(Argument a, const py::handle& object) {
  static const py::object* const numpy_bool = new py::object(py::module_::import("numpy").attr("bool_"));
  if (!PyBool_Check(object.ptr()) && !py::isinstance(object, *numpy_bool))
    throw py::type_error(prefix(a) + "must be a bool, got " + type_name(object));
  return PyObject_IsTrue(object.ptr()) == 1;
}

int64_t parse_int(Argument a, const py::handle& object) {
  if (!is_integer(object)) throw py::type_error(prefix(a) + "must be an integer, got " + type_name(object));
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
  if (!index) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw py::error_already_set();
    PyErr_Clear();   // a NumPy array of more than one element
    throw py::type_error(prefix(a) + "must be an integer, got " + type_name(object));
  }
  int overflow = 0;
  const int64_t value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0) throw py::value_error(prefix(a) + "does not fit 64 bits: " + std::string(py::str(index)));
  return value;
}

Shape parse_shape(Argument a, const py::handle& object) {
  if (!is_sequence(object))
    throw py::type_error(prefix(a) + "must be a tuple of integers, got " + type_name(object));
  // A tuple of our own: an item's __index__ may change the caller's list.
  const auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(object.ptr()));
  if (!items) throw py::error_already_set();
  Shape shape;
  shape.reserve(items.size());
  for (const py::handle item : items) shape.push_back(parse_int(a, item));
  return shape;
}

Shape parse_sizes(Argument a, const py::handle& object, int spatial) {
  if (is_integer(object)) return Shape(size_t(spatial), parse_int(a, object));
  if (!is_sequence(object))
    throw py::type_error(prefix(a) + "must be " + describe_sizes(spatial) + ", got " + type_name(object));
  Shape sizes = parse_shape(a, object);
  if (int(sizes.size()) != spatial)
    throw py::value_error(prefix(a) + "must be " + describe_sizes(spatial) + ", got " + to_string(sizes));
  return sizes;
}

Padding parse_padding(Argument a, const py::handle& object, int spatial) {
  Padding padding;
  if (PyUnicode_Check(object.ptr())) {
    static const Name<Padding::Mode> kNames[] = {{"same", Padding::Mode::same},
                                                 {"valid", Padding::Mode::valid}};
    padding.mode = parse_name(a, object, kNames);
    return padding;
  }
  if (is_sequence(object)) {
    const auto items = py::reinterpret_borrow<py::sequence>(object);
    if (items.size() > 0 && is_sequence(py::object(items[0]))) {
      if (int(items.size()) != spatial)
        throw py::value_error(prefix(a) + "has " + std::to_string(items.size()) + " pairs, expected " +
                              std::to_string(spatial));
      for (int i = 0; i < spatial; ++i)
        std::tie(padding.before[i], padding.after[i]) = parse_pair(a, py::object(items[size_t(i)]));
      return padding;
    }
  }
  const Shape sizes = parse_sizes(a, object, spatial);
  for (int i = 0; i < spatial; ++i) padding.before[i] = padding.after[i] = sizes[size_t(i)];
  return padding;
}

Activation parse_activation(Argument a, const py::handle& object) {
  static const Name<Activation> kNames[] = {
      {"relu", Activation::relu}, {"sigmoid", Activation::sigmoid}, {"tanh", Activation::tanh}};
  return object.is_none() ? Activation::none : parse_name(a, object, kNames, true);
}

Algorithm parse_algorithm(Argument a, const py::handle& object) {
  static const Name<Algorithm> kNames[] = {
      {"auto", Algorithm::automatic}, {"direct", Algorithm::direct}, {"winograd", Algorithm::winograd}};
  return parse_name(a, object, kNames);
}

Precision parse_precision(Argument a, const py::handle& object) {
  static const Name<Precision> kNames[] = {{"highest", Precision::highest}, {"tf32", Precision::tf32}};
  return parse_name(a, object, kNames);
}

Reduction parse_reduction(Argument a, const py::handle& object) {
  static const Name<Reduction> kNames[] = {
      {"mean", Reduction::mean}, {"sum", Reduction::sum}, {"none", Reduction::none}};
  return parse_name(a, object, kNames);
}

Pass parse_pass(Argument a, const py::handle& object) {
  static const Name<Pass> kNames[] = {{"forward", Pass::forward},
                                      {"backward_input", Pass::backward_input},
                                      {"backward_weight", Pass::backward_weight}};
  return parse_name(a, object, kNames);
}

DType parse_dtype(Argument a, const py::handle& object) {
  static const Name<DType> kNames[] = {{"float32", DType::float32},
                                       {"float64", DType::float64},
                                       {"float16", DType::float16},
                                       {"bfloat16", DType::bfloat16}};
  return parse_name(a, object, kNames);
}

Device parse_device(Argument a, const py::handle& object) {
  static const Name<DeviceType> kNames[] = {{"cpu", DeviceType::cpu}, {"cuda", DeviceType::cuda}};
  const DeviceType type = parse_name(a, object, kNames);
  if (type == DeviceType::cuda) require_cuda();
  return {type};
}

std::optional<MemoryFormat> parse_format(Argument a, const py::handle& object) {
  static const Name<MemoryFormat> kNames[] = {{"contiguous", MemoryFormat::contiguous},
                                              {"channels_last", MemoryFormat::channels_last}};
  if (object.is_none()) return std::nullopt;
  return parse_name(a, object, kNames, true);
}

PoolProblem parse_windows(const char* op, const Shape& input, int spatial, const py::object& kernel_size,
                          const py::object& stride, const py::object& padding, const py::object& dilation,
                          const py::object& ceil_mode) {
  const Shape kernel = parse_sizes({op, "kernel_size"}, kernel_size, spatial);
  return make_pool_problem(
      op, input, kernel, stride.is_none() ? kernel : parse_sizes({op, "stride"}, stride, spatial),
      parse_sizes({op, "padding"}, padding, spatial), parse_sizes({op, "dilation"}, dilation, spatial),
      parse_bool({op, "ceil_mode"}, ceil_mode));
}

PoolProblem parse_adaptive(const char* op, const Shape& input, int spatial, const py::object& output_size) {
  if (int(input.size()) != spatial + 2)   // refused
    return make_adaptive_pool_problem(op, input, Shape(size_t(spatial), 1));
  const Shape extents(input.begin() + 2, input.end());
  if (output_size.is_none()) return make_adaptive_pool_problem(op, input, extents);
  py::object sizes = output_size;
  if (is_sequence(output_size)) {
    py::list kept;
    for (const py::handle size : py::tuple(output_size))
      kept.append(size.is_none() && kept.size() < extents.size() ? py::int_(extents[kept.size()])
                                                                 : py::reinterpret_borrow<py::object>(size));
    sizes = kept;
  }
  return make_adaptive_pool_problem(op, input, parse_sizes({op, "output_size"}, sizes, spatial));
}

PoolProblem adaptive_problem_of(const char* op, const Shape& input, const Shape& grad, int spatial) {
  if (int(grad.size()) != spatial + 2)
    throw py::value_error(std::string(op) + ": grad has shape " + to_string(grad) + ", expected " +
                          std::to_string(spatial + 2) + " dimensions");
  return make_adaptive_pool_problem(op, input, Shape(grad.begin() + 2, grad.end()));
}

}   // namespace fastconv::bindings
