#include "bindings/foreign.hpp"

#include <algorithm>

#include "bindings/cuda_library.hpp"
#include "bindings/devices.hpp"
#include "core/memory.hpp"

namespace fastconv::bindings {
namespace {

using py::detail::npy_api;

static_assert(sizeof(Py_intptr_t) == sizeof(int64_t), "fastconv needs a 64-bit platform");

constexpr int kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13;   // DLPack's device types
constexpr int kHalf = 23, kFirstUserType = 256;                        // NumPy's type numbers

// ml_dtypes registers bfloat16 with NumPy when it is imported; -1 before.
int bfloat16_number() {
  static int number = -1;
  if (number >= 0) return number;
  const auto module = py::reinterpret_steal<py::object>(PyImport_GetModule(py::str("ml_dtypes").ptr()));
  if (!module) {
    PyErr_Clear();
    return -1;
  }
  return number = py::dtype::from_args(module.attr("bfloat16")).num();
}

int type_number(DType dtype) {
  static const int kNumbers[] = {npy_api::NPY_FLOAT_, npy_api::NPY_DOUBLE_, npy_api::NPY_INT32_,
                                 npy_api::NPY_INT64_, kHalf};
  return dtype == DType::bfloat16 ? bfloat16_number() : kNumbers[int(dtype)];
}

std::optional<DType> dtype_of(const py::handle& numpy_dtype) {
  const auto* descriptor = py::detail::array_descriptor_proxy(numpy_dtype.ptr());
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
    case kHalf:
      return DType::float16;
    default:
      if (descriptor->type_num >= kFirstUserType && descriptor->type_num == bfloat16_number())
        return DType::bfloat16;
      return std::nullopt;
  }
}

// Walks the axes from the innermost; an axis of one cell may have any stride, an empty array all.
bool is_dense(const Foreign& a, const int* inner_to_outer) {
  if (std::count(a.extents, a.extents + a.rank, 0) > 0) return true;
  int64_t stride = itemsize(*a.dtype);
  for (int i = 0; i < a.rank; ++i) {
    const int axis = inner_to_outer == nullptr ? a.rank - 1 - i : inner_to_outer[i];
    if (a.extents[axis] != 1 && a.strides[axis] != stride) return false;
    stride *= a.extents[axis];
  }
  return true;
}

bool is_channels_last(const Foreign& a) {
  if (a.rank < 0 || !has_formats(size_t(a.rank))) return false;
  int order[2 + kMaxSpatial] = {1};   // then the last axis to the third, and the first
  for (int i = 1; i < a.rank - 1; ++i) order[i] = a.rank - i;
  return is_dense(a, order);
}

Foreign describe_numpy(py::object object) {
  const auto* proxy = py::detail::array_proxy(object.ptr());
  Foreign a;
  a.data = proxy->data;
  a.rank = proxy->nd;
  a.extents = reinterpret_cast<const int64_t*>(proxy->dimensions);
  a.strides = reinterpret_cast<const int64_t*>(proxy->strides);
  a.dtype = dtype_of(proxy->descr);
  a.contiguous = (proxy->flags & npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0;
  a.aligned = (proxy->flags & npy_api::NPY_ARRAY_ALIGNED_) != 0;
  a.writable = (proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_) != 0;
  a.object = std::move(object);
  return a;
}

char* data_of(const py::handle& cuda_array) {
  return reinterpret_cast<char*>(py::cast<uintptr_t>(cuda_array.attr("data").attr("ptr")));
}

Foreign describe_cuda(const CudaLibrary& library, py::object object) {
  Foreign a;
  a.library = &library;
  a.device = library.device_of(object);
  a.data = data_of(object);
  a.dtype = dtype_of(object.attr("dtype"));
  const py::tuple extents = object.attr("shape"), strides = object.attr("strides");
  a.rank = int(extents.size());
  a.storage.reserve(2 * extents.size());
  for (const py::handle extent : extents) a.storage.push_back(py::cast<int64_t>(extent));
  for (const py::handle stride : strides) a.storage.push_back(py::cast<int64_t>(stride));
  a.extents = a.storage.data();
  a.strides = a.extents + a.rank;
  if (a.dtype) {
    a.aligned = reinterpret_cast<uintptr_t>(a.data) % size_t(itemsize(*a.dtype)) == 0;
    a.contiguous = is_dense(a, nullptr);
  }
  a.object = std::move(object);
  return a;
}

// Where the array lies as DLPack numbers it; the second is the index of the device.
std::pair<int, int> dlpack_device(Argument a, const py::object& object) {
  const py::object device = object.attr("__dlpack_device__")();
  if (!py::isinstance<py::tuple>(device) || py::len(device) != 2)
    throw py::type_error(prefix(a) + "has a __dlpack_device__ that gives no pair");
  const auto pair = py::reinterpret_borrow<py::tuple>(device);
  return {py::int_(py::object(pair[0])), py::int_(py::object(pair[1]))};
}

Foreign from_dlpack(Argument a, const py::object& object) {
  try {
    const int type = dlpack_device(a, object).first;
    if (type == kCuda || type == kCudaManaged) {
      require_cuda();
      const CudaLibrary& library = CudaLibrary::cupy();
      return describe_cuda(library, library.from_dlpack(object));
    }
    if (type != kCpu && type != kCudaHost)
      throw py::type_error(prefix(a) + "lies on a device that fastconv cannot read (DLPack type " +
                           std::to_string(type) + ")");
    return describe_numpy(py::module_::import("numpy").attr("from_dlpack")(object));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;   // Ctrl-C
    const std::string reason = py::str(error.value());
    py::raise_from(error, PyExc_TypeError, (prefix(a) + "cannot be read through DLPack: " + reason).c_str());
    throw py::error_already_set();
  }
}

void set_channels_last_strides(const Shape& shape, int64_t size, Py_intptr_t* strides) {
  strides[1] = size;
  int64_t next = shape[1] * size;
  for (size_t axis = shape.size() - 1; axis > 1; --axis) {
    strides[axis] = next;
    next *= shape[axis];
  }
  strides[0] = next;
}

// Memory of the pool, given back with the last reference.
py::object make_numpy(DType dtype, const Shape& shape, bool channels_last) {
  int64_t bytes = itemsize(dtype);
  for (int64_t extent : shape) bytes *= extent;
  void* const block = memory::allocate(size_t(bytes));
  PyObject* capsule = PyCapsule_New(
      block, nullptr, [](PyObject* self) { memory::release(PyCapsule_GetPointer(self, nullptr)); });
  if (capsule == nullptr) {
    memory::release(block);
    throw py::error_already_set();
  }
  py::object base = py::reinterpret_steal<py::object>(capsule);
  Py_intptr_t strides[2 + kMaxSpatial];
  if (channels_last) set_channels_last_strides(shape, itemsize(dtype), strides);
  const npy_api& api = npy_api::get();
  PyObject* made = api.PyArray_NewFromDescr_(
      api.PyArray_Type_, api.PyArray_DescrFromType_(type_number(dtype)), int(shape.size()),
      reinterpret_cast<const Py_intptr_t*>(shape.data()), channels_last ? strides : nullptr, block,
      npy_api::NPY_ARRAY_WRITEABLE_, nullptr);
  if (made == nullptr) throw py::error_already_set();
  py::object array = py::reinterpret_steal<py::object>(made);
  if (api.PyArray_SetBaseObject_(made, base.release().ptr()) != 0) throw py::error_already_set();
  return array;
}

}   // namespace

std::string prefix(Argument a) { return std::string(a.operation) + ": " + a.name + " "; }

std::string Foreign::dtype_name() const {
  const py::object dtype = object.attr("dtype");
  const bool native = !py::hasattr(dtype, "isnative") || dtype.attr("isnative").cast<bool>();
  return std::string(py::str(dtype)) + (native ? "" : ", not in native byte order");
}

const char* dtype_name(DType dtype) {
  static const char* const kNames[] = {"float32", "float64", "int32", "int64", "float16", "bfloat16"};
  return kNames[int(dtype)];
}

std::optional<MemoryFormat> Foreign::format(std::optional<MemoryFormat> wanted) const {
  if (!aligned) return std::nullopt;
  if (wanted == MemoryFormat::channels_last && is_channels_last(*this)) return MemoryFormat::channels_last;
  if (contiguous) return MemoryFormat::contiguous;
  if (is_channels_last(*this)) return MemoryFormat::channels_last;
  return std::nullopt;
}

Foreign describe(Argument a, const py::object& object) {
  if (npy_api::get().PyArray_Check_(object.ptr())) return describe_numpy(object);
  if (const CudaLibrary* library = CudaLibrary::of(object)) return describe_cuda(*library, object);
  if (py::hasattr(object, "__dlpack__") && py::hasattr(object, "__dlpack_device__"))
    return from_dlpack(a, object);
  const py::module_ numpy = py::module_::import("numpy");
  if (py::isinstance(object, numpy.attr("generic"))) return describe_numpy(numpy.attr("asarray")(object));
  throw py::type_error(prefix(a) + "must be a NumPy array or have __dlpack__, got " +
                       Py_TYPE(object.ptr())->tp_name);
}

Foreign make_foreign(const CudaLibrary* library, Device device, DType dtype, const Shape& shape,
                     MemoryFormat format) {
  const bool channels_last = format == MemoryFormat::channels_last && has_formats(shape.size());
  if (library == nullptr) return describe_numpy(make_numpy(dtype, shape, channels_last));
  const auto numpy_dtype =
      py::reinterpret_steal<py::object>(npy_api::get().PyArray_DescrFromType_(type_number(dtype)));
  Foreign made;
  made.object = library->empty(numpy_dtype, shape, channels_last, device.index);
  made.library = library;
  made.device = device;
  made.data = data_of(made.object);
  return made;
}

void copy_into(const CudaLibrary* library, const py::object& to, const py::object& from) {
  const int failed = library == nullptr ? npy_api::get().PyArray_CopyInto_(to.ptr(), from.ptr())
                                        : PyObject_SetItem(to.ptr(), Py_Ellipsis, from.ptr());
  if (failed != 0) throw py::error_already_set();
}

}   // namespace fastconv::bindings
