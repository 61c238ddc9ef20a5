#include "bindings/arrays.hpp"

#include <algorithm>

#include "core/backend.hpp"
#include "core/memory.hpp"

namespace fastconv::bindings {
namespace {

using py::detail::npy_api;
using Proxy = py::detail::PyArray_Proxy;

constexpr int kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13;   // DLPack's device types

const Proxy* proxy(const py::handle& array) { return py::detail::array_proxy(array.ptr()); }

std::string prefix(Argument a) { return std::string(a.operation) + ": " + a.name + " "; }

std::string dtype_name(const py::handle& array) { return py::str(array.attr("dtype")); }

const char* dtype_name(DType dtype) {
  static const char* const kNames[] = {"float32", "float64", "int32", "int64"};
  return kNames[int(dtype)];
}

int type_number(DType dtype) {
  static const int kNumbers[] = {npy_api::NPY_FLOAT_, npy_api::NPY_DOUBLE_, npy_api::NPY_INT32_,
                                 npy_api::NPY_INT64_};
  return kNumbers[int(dtype)];
}

std::optional<DType> dtype_of(const Proxy* array) {
  const auto* descriptor = py::detail::array_descriptor_proxy(array->descr);
  if (descriptor->byteorder == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '>' : '<')) return std::nullopt;
  switch (descriptor->type_num) {
    case npy_api::NPY_FLOAT_:
      return DType::float32;
    case npy_api::NPY_DOUBLE_:
      return DType::float64;
    case npy_api::NPY_INT_:
      return DType::int32;
    case npy_api::NPY_LONG_:
      return sizeof(long) == 8 ? DType::int64 : DType::int32;
    case npy_api::NPY_LONGLONG_:
      return DType::int64;
    default:
      return std::nullopt;
  }
}

// Where the array lies as DLPack numbers it; the second is the index of the device.
std::pair<int, int> dlpack_device(Argument a, const py::object& object) {
  const py::object device = object.attr("__dlpack_device__")();
  if (!py::isinstance<py::tuple>(device) || py::len(device) != 2)
    throw py::type_error(prefix(a) + "has a __dlpack_device__ that gives no pair");
  const auto pair = py::reinterpret_borrow<py::tuple>(device);
  return {py::int_(py::object(pair[0])), py::int_(py::object(pair[1]))};
}

py::object from_dlpack(Argument a, const py::object& object) {
  try {
    const auto [type, index] = dlpack_device(a, object);
    if (type == kCuda || type == kCudaManaged) backend_for({DeviceType::cuda, index});
    if (type != kCpu && type != kCudaHost)
      throw py::type_error(prefix(a) + "lies on a device that fastconv cannot read (DLPack type " +
                           std::to_string(type) + ")");
    return py::module_::import("numpy").attr("from_dlpack")(object);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;   // Ctrl-C
    const std::string reason = py::str(error.value());
    py::raise_from(error, PyExc_TypeError, (prefix(a) + "cannot be read through DLPack: " + reason).c_str());
    throw py::error_already_set();
  }
}

// NumPy's own array object for what the caller gave.
py::object as_numpy(Argument a, const py::object& object) {
  if (npy_api::get().PyArray_Check_(object.ptr())) return object;
  if (py::hasattr(object, "__dlpack__") && py::hasattr(object, "__dlpack_device__"))
    return from_dlpack(a, object);
  const py::module_ numpy = py::module_::import("numpy");
  if (py::isinstance(object, numpy.attr("generic"))) return numpy.attr("asarray")(object);
  throw py::type_error(prefix(a) + "must be a NumPy array or have __dlpack__, got " +
                       Py_TYPE(object.ptr())->tp_name);
}

bool is_contiguous(const Proxy* a) { return (a->flags & npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0; }

bool is_channels_last(const Proxy* a, int64_t size) {
  if (a->nd != 4) return false;
  int64_t stride = size;
  for (int axis : {1, 3, 2, 0}) {
    if (a->dimensions[axis] != 1 && a->strides[axis] != stride) return false;
    stride *= a->dimensions[axis];
  }
  return true;
}

// How the array lies, `wanted` where that is true too; nothing where it is not dense.
std::optional<MemoryFormat> format_of(const Proxy* a, int64_t size, std::optional<MemoryFormat> wanted) {
  if ((a->flags & npy_api::NPY_ARRAY_ALIGNED_) == 0) return std::nullopt;
  if (wanted == MemoryFormat::channels_last && is_channels_last(a, size)) return MemoryFormat::channels_last;
  if (is_contiguous(a)) return MemoryFormat::contiguous;
  if (is_channels_last(a, size)) return MemoryFormat::channels_last;
  return std::nullopt;
}

void set_bytes(Array& array, const Proxy* a) {
  array.begin = array.end = a->data;
  for (int i = 0; i < a->nd; ++i) {
    if (a->dimensions[i] == 0) return void(array.end = array.begin = a->data);
    const auto reach = (a->dimensions[i] - 1) * a->strides[i];
    (reach < 0 ? array.begin : array.end) += reach;
  }
  array.end += itemsize(array.view.dtype);
}

void copy_into(const py::object& to, const py::object& from) {
  if (npy_api::get().PyArray_CopyInto_(to.ptr(), from.ptr()) != 0) throw py::error_already_set();
}

// `object` is NumPy's and its dtype is known.
Array unwrap(Argument argument, py::object object, DType dtype, std::optional<MemoryFormat> wanted) {
  const Proxy* a = proxy(object);
  Array array;
  array.argument = argument;
  array.view.dtype = dtype;
  array.view.shape.assign(a->dimensions, a->dimensions + a->nd);
  set_bytes(array, a);
  if (a->nd != 4) wanted = MemoryFormat::contiguous;
  const auto format = format_of(a, itemsize(dtype), wanted);
  if (!format || (wanted && *format != *wanted)) {
    const Array copy = make_array(dtype, array.view.shape, wanted.value_or(MemoryFormat::contiguous));
    copy_into(copy.owner, object);
    array.view = copy.view;
    array.owner = copy.owner;
    return array;
  }
  array.view.data = a->data;
  array.view.format = *format;
  array.owner = std::move(object);
  return array;
}

void check_writable(Argument a, const py::object& object) {
  if ((proxy(object)->flags & npy_api::NPY_ARRAY_WRITEABLE_) == 0)
    throw py::value_error(prefix(a) + "is read-only");
}

[[noreturn]] void bad_dtype(Argument a, const py::object& object, const char* expected) {
  throw py::type_error(prefix(a) + "must be " + expected + ", got " + dtype_name(object));
}

DType float_dtype(Argument a, const py::object& object) {
  const auto dtype = dtype_of(proxy(object));
  if (dtype != DType::float32 && dtype != DType::float64) bad_dtype(a, object, "float32 or float64");
  return *dtype;
}

DType float_dtype(Argument a, const py::object& object, const Array& like) {
  const DType dtype = float_dtype(a, object);
  if (dtype != like.view.dtype)
    throw py::type_error(prefix(a) + "is " + dtype_name(dtype) + " but " + like.argument.name + " is " +
                         dtype_name(like.view.dtype));
  return dtype;
}

}   // namespace

Array read_floats(Argument argument, const py::object& object, std::optional<MemoryFormat> format) {
  py::object array = as_numpy(argument, object);
  const DType dtype = float_dtype(argument, array);
  return unwrap(argument, std::move(array), dtype, format);
}

Array read_floats(Argument argument, const py::object& object, const Array& like,
                  std::optional<MemoryFormat> format) {
  py::object array = as_numpy(argument, object);
  const DType dtype = float_dtype(argument, array, like);
  return unwrap(argument, std::move(array), dtype, format);
}

std::optional<Array> read_optional_floats(Argument argument, const py::object& object, const Array& like) {
  if (object.is_none()) return std::nullopt;
  return read_floats(argument, object, like);
}

Array read_integers(Argument argument, const py::object& object, bool narrow) {
  py::object array = as_numpy(argument, object);
  const auto dtype = dtype_of(proxy(array));
  if (dtype != DType::int64 && !(narrow && dtype == DType::int32))
    bad_dtype(argument, array, narrow ? "int64 or int32" : "int64");
  return unwrap(argument, std::move(array), *dtype, std::nullopt);
}

Array make_array(DType dtype, const Shape& shape, MemoryFormat format) {
  Array array;
  array.view.dtype = dtype;
  array.view.shape = shape;
  const int64_t size = itemsize(dtype), bytes = array.view.elements() * size;
  array.view.data = memory::allocate(size_t(bytes));
  PyObject* capsule = PyCapsule_New(
      array.view.data, nullptr, [](PyObject* self) { memory::release(PyCapsule_GetPointer(self, nullptr)); });
  if (capsule == nullptr) {
    memory::release(array.view.data);
    throw py::error_already_set();
  }
  py::object base = py::reinterpret_steal<py::object>(capsule);
  Py_intptr_t strides[4];
  const bool channels_last = format == MemoryFormat::channels_last && shape.size() == 4;
  if (channels_last) {
    strides[1] = size;
    strides[3] = shape[1] * size;
    strides[2] = shape[3] * strides[3];
    strides[0] = shape[2] * strides[2];
    array.view.format = MemoryFormat::channels_last;
  }
  static_assert(sizeof(Py_intptr_t) == sizeof(int64_t), "fastconv needs a 64-bit platform");
  const npy_api& api = npy_api::get();
  PyObject* made = api.PyArray_NewFromDescr_(
      api.PyArray_Type_, api.PyArray_DescrFromType_(type_number(dtype)), int(shape.size()),
      reinterpret_cast<const Py_intptr_t*>(shape.data()), channels_last ? strides : nullptr, array.view.data,
      npy_api::NPY_ARRAY_WRITEABLE_, nullptr);
  if (made == nullptr) throw py::error_already_set();
  array.owner = py::reinterpret_steal<py::object>(made);
  if (api.PyArray_SetBaseObject_(made, base.release().ptr()) != 0) throw py::error_already_set();
  return array;
}

Array make_out(Argument argument, const py::object& out, DType dtype, const Shape& shape,
               MemoryFormat inherited, std::optional<MemoryFormat> asked,
               std::initializer_list<const Array*> inputs) {
  if (out.is_none()) return make_array(dtype, shape, asked.value_or(inherited));
  py::object object = as_numpy(argument, out);
  const Proxy* a = proxy(object);
  if (dtype_of(a) != dtype) bad_dtype(argument, object, dtype_name(dtype));
  check_shape(argument.operation, argument.name, Shape(a->dimensions, a->dimensions + a->nd), shape);
  check_writable(argument, object);
  const auto format = format_of(a, itemsize(dtype), asked);
  if (!format) throw py::value_error(prefix(argument) + "must be dense, contiguous or channels-last");
  if (asked && *format != *asked)
    throw py::value_error(prefix(argument) + "does not lie as memory_format says");
  Array array = unwrap(argument, object, dtype, format);
  for (const Array* input : inputs)
    if (input != nullptr) check_disjoint(array, *input);
  array.owner = out;
  return array;
}

InPlace::InPlace(Argument argument, const py::object& object) : original_(as_numpy(argument, object)) {
  check_writable(argument, original_);
  array_ = unwrap(argument, original_, float_dtype(argument, original_), std::nullopt);
}

InPlace::InPlace(Argument argument, const py::object& object, const Array& like)
    : original_(as_numpy(argument, object)) {
  check_writable(argument, original_);
  const DType dtype = float_dtype(argument, original_, like);
  array_ = unwrap(argument, original_, dtype, like.view.format);
  check_shape(argument.operation, argument.name, array_.view.shape, like.view.shape);
  check_disjoint(array_, like);
}

void InPlace::commit() const {
  if (array_.owner.ptr() != original_.ptr()) copy_into(original_, array_.owner);
}

void check_disjoint(const Array& written, const Array& read) {
  if (written.begin < read.end && read.begin < written.end)
    throw py::value_error(prefix(written.argument) + "overlaps " + read.argument.name + " in memory");
}

}   // namespace fastconv::bindings
