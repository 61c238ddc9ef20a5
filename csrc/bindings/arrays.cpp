#include "bindings/arrays.hpp"

#include "bindings/devices.hpp"
#include "bindings/foreign.hpp"
#include "cpu/memory_format.hpp"

namespace fastconv::bindings {
namespace {

void set_bytes(Array& array, const Foreign& a) {
  array.begin = array.end = a.data;
  for (int i = 0; i < a.rank; ++i) {
    if (a.extents[i] == 0) return void(array.end = array.begin = a.data);
    const int64_t reach = (a.extents[i] - 1) * a.strides[i];
    (reach < 0 ? array.begin : array.end) += reach;
  }
  array.end += itemsize(array.view.dtype);
}

// The memory of a dense array as it lies.
void set_view(Array& array, Foreign&& a, MemoryFormat format) {
  array.view.data = a.data;
  array.view.format = format;
  array.view.device = a.device;
  array.library = a.library;
  array.owner = std::move(a.object);
}

Array make(const CudaLibrary* library, Device device, DType dtype, const Shape& shape, MemoryFormat format) {
  Array array;
  array.view.dtype = dtype;
  array.view.shape = shape;
  set_view(array, make_foreign(library, device, dtype, shape, format),
           has_formats(shape.size()) ? format : MemoryFormat::contiguous);
  return array;
}

View dense(View view, void* data, MemoryFormat format) {
  view.data = data;
  view.format = format;
  return view;
}

// Its dtype is known. What lies in the other format is turned by all threads, any other strides by its library.
Array unwrap(Argument argument, Foreign&& a, DType dtype, std::optional<MemoryFormat> wanted) {
  Array array;
  array.argument = argument;
  array.view.dtype = dtype;
  array.view.shape = a.shape();
  set_bytes(array, a);
  if (!has_formats(array.view.shape.size())) wanted = MemoryFormat::contiguous;
  const auto format = a.format(wanted);
  if (format && (!wanted || *format == *wanted)) {
    set_view(array, std::move(a), *format);
    return array;
  }
  const MemoryFormat target = wanted.value_or(MemoryFormat::contiguous);
  Foreign copy = make_foreign(a.library, a.device, dtype, array.view.shape, target);
  if (format && a.device.type == DeviceType::cpu) {
    const WithoutGil unlocked;
    cpu::copy_format(dense(array.view, a.data, *format), dense(array.view, copy.data, target));
  } else {
    copy_into(a.library, copy.object, a.object);
  }
  set_view(array, std::move(copy), target);
  return array;
}

void check_writable(Argument argument, const Foreign& a) {
  if (!a.writable) throw py::value_error(prefix(argument) + "is read-only");
}

[[noreturn]] void bad_dtype(Argument argument, const Foreign& a, const char* expected) {
  throw py::type_error(prefix(argument) + "must be " + expected + ", got " + a.dtype_name());
}

DType float_dtype(Argument argument, const Foreign& a) {
  if (a.dtype == DType::float32 || a.dtype == DType::float64) return *a.dtype;
  if (a.device.type == DeviceType::cpu) bad_dtype(argument, a, "float32 or float64");
  if (a.dtype == DType::float16 || a.dtype == DType::bfloat16) return *a.dtype;
  bad_dtype(argument, a, "float32, float64, float16 or bfloat16");
}

void check_device(Argument argument, const Foreign& a, const Array& like) {
  if (!a.device.same_place(like.view.device))
    throw py::type_error(prefix(argument) + "is on " + device_name(a.device) + " but " + like.argument.name +
                         " is on " + device_name(like.view.device));
}

DType float_dtype(Argument argument, const Foreign& a, const Array& like) {
  check_device(argument, a, like);
  const DType dtype = float_dtype(argument, a);
  if (dtype != like.view.dtype)
    throw py::type_error(prefix(argument) + "is " + dtype_name(dtype) + " but " + like.argument.name + " is " +
                         dtype_name(like.view.dtype));
  return dtype;
}

}   // namespace

Array read_floats(Argument argument, const py::object& object, std::optional<MemoryFormat> format) {
  Foreign a = describe(argument, object);
  const DType dtype = float_dtype(argument, a);
  return unwrap(argument, std::move(a), dtype, format);
}

Array read_floats(Argument argument, const py::object& object, const Array& like,
                  std::optional<MemoryFormat> format) {
  Foreign a = describe(argument, object);
  const DType dtype = float_dtype(argument, a, like);
  return unwrap(argument, std::move(a), dtype, format);
}

Array read_statistics(Argument argument, const py::object& object, const Array& like, const Shape& shape) {
  const DType dtype = accumulator(like.view.dtype);
  if (dtype == like.view.dtype) {
    Array array = read_floats(argument, object, like);
    check_shape(argument.operation, argument.name, array.view.shape, shape);
    return array;
  }
  Foreign a = describe(argument, object);
  check_device(argument, a, like);
  if (a.dtype != dtype) bad_dtype(argument, a, dtype_name(dtype));
  check_shape(argument.operation, argument.name, a.shape(), shape);
  return unwrap(argument, std::move(a), dtype, std::nullopt);
}

std::optional<Array> read_optional_floats(Argument argument, const py::object& object, const Array& like) {
  if (object.is_none()) return std::nullopt;
  return read_floats(argument, object, like);
}

Array read_integers(Argument argument, const py::object& object, const Array& like, bool narrow,
                    std::optional<MemoryFormat> format) {
  Foreign a = describe(argument, object);
  check_device(argument, a, like);
  const auto dtype = a.dtype;
  if (dtype != DType::int64 && !(narrow && dtype == DType::int32))
    bad_dtype(argument, a, narrow ? "int64 or int32" : "int64");
  return unwrap(argument, std::move(a), *dtype, format);
}

Array make_array(const Array& like, DType dtype, const Shape& shape, MemoryFormat format) {
  return make(like.library, like.view.device, dtype, shape, format);
}

Array make_array(const Array& like, const Shape& shape, MemoryFormat format) {
  return make_array(like, like.view.dtype, shape, format);
}

Array make_out(Argument argument, const py::object& out, const Array& like, const Shape& shape,
               MemoryFormat inherited, std::optional<MemoryFormat> asked,
               std::initializer_list<const Array*> inputs) {
  if (out.is_none()) return make_array(like, shape, asked.value_or(inherited));
  const DType dtype = like.view.dtype;
  Foreign a = describe(argument, out);
  check_device(argument, a, like);
  if (a.dtype != dtype) bad_dtype(argument, a, dtype_name(dtype));
  check_shape(argument.operation, argument.name, a.shape(), shape);
  check_writable(argument, a);
  const auto format = a.format(asked);
  if (!format) throw py::value_error(prefix(argument) + "must be dense, contiguous or channels-last");
  if (asked && *format != *asked)
    throw py::value_error(prefix(argument) + "does not lie as memory_format says");
  Array array = unwrap(argument, std::move(a), dtype, format);
  for (const Array* input : inputs)
    if (input != nullptr) check_disjoint(array, *input);
  array.owner = out;
  return array;
}

InPlace::InPlace(Argument argument, const py::object& object) {
  Foreign a = describe(argument, object);
  check_writable(argument, a);
  const DType dtype = float_dtype(argument, a);
  original_ = a.object;
  array_ = unwrap(argument, std::move(a), dtype, std::nullopt);
}

InPlace::InPlace(Argument argument, const py::object& object, const Array& like) {
  Foreign a = describe(argument, object);
  check_writable(argument, a);
  const DType dtype = float_dtype(argument, a, like);
  original_ = a.object;
  array_ = unwrap(argument, std::move(a), dtype, like.view.format);
  check_shape(argument.operation, argument.name, array_.view.shape, like.view.shape);
  check_disjoint(array_, like);
}

void InPlace::commit() const {
  if (array_.owner.ptr() != original_.ptr()) copy_into(array_.library, original_, array_.owner);
}

void check_disjoint(const Array& written, const Array& read) {
  if (written.begin < read.end && read.begin < written.end)
    throw py::value_error(prefix(written.argument) + "overlaps " + read.argument.name + " in memory");
}

}   // namespace fastconv::bindings
