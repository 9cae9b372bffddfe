// Where tensors lie and of what they are, asked of MindSpore's own classes in one call for all of them: a module for
// Python. Asked one property of one tensor after the other, the answers cost more than the arithmetic of a small tensor.
#include <Python.h>

#include <algorithm>
#include <cstdint>

#include "include/utils/tensor_py.h"
#include "pybind11/pybind11.h"

// What is queued is done. MindSpore's headers do not show it; a version without it leaves the address null.
namespace mindspore::runtime {
class Pipeline {
 public:
  __attribute__((weak)) static Pipeline &Get();
  __attribute__((weak)) void WaitAll();
};
}  // namespace mindspore::runtime

namespace {

// As the table of storage types in Python counts them; the first is for all others.
enum Kind : int8_t { OTHER, FLOAT32, FLOAT16, BFLOAT16, FLOAT64 };

Kind kind_of(mindspore::TypeId type) {
  switch (type) {
    case mindspore::kNumberTypeFloat32:
      return FLOAT32;
    case mindspore::kNumberTypeFloat16:
      return FLOAT16;
    case mindspore::kNumberTypeBFloat16:
      return BFLOAT16;
    case mindspore::kNumberTypeFloat64:
      return FLOAT64;
    default:
      return OTHER;
  }
}

using mindspore::tensor::PyType;
using mindspore::tensor::Tensor;
using mindspore::tensor::TensorPtr;
using mindspore::tensor::TensorPy;

// MindSpore's own answers are calls into its libraries, most of which make one more owner of what they give: for a small
// tensor they cost more than its arithmetic. An explicit instantiation may name what is private, and reads it in place.
template <typename Tag, auto member>
struct Opened {
  friend const auto &read(const typename Tag::Of &object, Tag) { return object.*member; }
};
struct Held {
  using Of = TensorPy;
  friend const auto &read(const TensorPy &object, Held);
};
struct Memory {
  using Of = Tensor;
  friend const auto &read(const Tensor &object, Memory);
};
struct View {
  using Of = Tensor;
  friend const auto &read(const Tensor &object, View);
};
template struct Opened<Held, &TensorPy::tensor_>;
template struct Opened<Memory, &Tensor::device_sync_>;
template struct Opened<View, &Tensor::storage_info_>;

// Finds the tensors behind objects of Python.
class Finder {
 public:
  // One of a list or tuple, which may have become shorter; see `of`.
  const Tensor *at(PyObject *sequence, Py_ssize_t index) {
    return index < PySequence_Fast_GET_SIZE(sequence) ? of(PySequence_Fast_GET_ITEM(sequence, index)) : nullptr;
  }

  // The tensor, good up to the next call; null where the object is none.
  const Tensor *of(PyObject *object) {
    // Neighbours are mostly of one class.
    if (Py_TYPE(object) != class_) {
      if (!mindspore::tensor::IsPyObjectTensorPy(object)) return nullptr;
      class_ = Py_TYPE(object);
    }
    const TensorPy &wrapper = reinterpret_cast<const PyType<TensorPy> *>(object)->value;
    const Tensor *found = wrapper.has_stub() ? nullptr : read(wrapper, Held()).get();
    return found == nullptr ? converted(object) : found;
  }

 private:
  // A reference of our own: the sequence may change while a tensor is waited for.
  const Tensor *converted(PyObject *object) {
    class_ = nullptr;
    Py_INCREF(object);
    try {
      converted_ = mindspore::tensor::ConvertPyObjectToTensor(object);
    } catch (...) {
      // What is wrong with it, the way through Python tells.
      PyErr_Clear();
      converted_.reset();
    }
    Py_DECREF(object);
    return converted_.get();
  }

  PyTypeObject *class_ = nullptr;
  TensorPtr converted_;
};

bool is_contiguous(const Tensor &tensor) {
  const auto &view = read(tensor, View());
  return view == nullptr || view->is_contiguous;
}

bool address_of(const Tensor &tensor, int64_t *address) {
  const auto &memory = read(tensor, Memory());
  *address = memory == nullptr ? 0 : reinterpret_cast<int64_t>(memory->GetDevicePtr());
  if (*address == 0) return tensor.DataSize() == 0;
  const auto &view = read(tensor, View());
  if (view != nullptr) *address += static_cast<int64_t>(view->storage_offset * tensor.DataItemSize());
  return true;
}

// The memory of an array that Python gave.
class Array {
 public:
  ~Array() {
    if (held_) PyBuffer_Release(&view_);
  }

  // Whether it has room for so many numbers; if not, an exception is set.
  bool open(PyObject *object, Py_ssize_t numbers) {
    held_ = PyObject_GetBuffer(object, &view_, PyBUF_CONTIG) == 0;
    if (!held_) return false;
    if (view_.len >= numbers * static_cast<Py_ssize_t>(sizeof(int64_t))) return true;
    PyErr_Format(PyExc_ValueError, "the array must have room for %zd numbers of 8 bytes", numbers);
    return false;
  }

  int64_t *numbers() const { return static_cast<int64_t *>(view_.buf); }
  int64_t *end() const { return numbers() + view_.len / static_cast<Py_ssize_t>(sizeof(int64_t)); }

 private:
  Py_buffer view_;
  bool held_ = false;
};

// How many tensors there are; -1 with an exception where it is no list or tuple, or the arguments are too few.
Py_ssize_t count_of(PyObject *const *arguments, Py_ssize_t given, Py_ssize_t wanted) {
  if (given == wanted && (PyList_Check(arguments[0]) || PyTuple_Check(arguments[0]))) {
    return PySequence_Fast_GET_SIZE(arguments[0]);
  }
  PyErr_SetString(PyExc_TypeError, "the arguments are a list or tuple of tensors, and arrays of int64");
  return -1;
}

// Goes through tensors with the numbers of an array beside them, as long as they have memory and `take` wants more.
template <typename Take>
PyObject *each_address(PyObject *const *arguments, Py_ssize_t given, Take take) {
  const Py_ssize_t count = count_of(arguments, given, 2);
  Array numbers;
  if (count < 0 || !numbers.open(arguments[1], count)) return nullptr;
  Finder tensors;
  for (Py_ssize_t i = 0; i < count; i++) {
    const Tensor *tensor = tensors.at(arguments[0], i);
    int64_t address = 0;
    if (tensor == nullptr || !address_of(*tensor, &address) || !take(numbers.numbers() + i, address)) Py_RETURN_FALSE;
  }
  Py_RETURN_TRUE;
}

// addresses(tensors, found): writes where they are; whether all of them have memory.
PyObject *addresses(PyObject *, PyObject *const *arguments, Py_ssize_t given) {
  return each_address(arguments, given, [](int64_t *found, int64_t address) {
    *found = address;
    return true;
  });
}

// unmoved(tensors, known): whether all of them are where they were.
PyObject *unmoved(PyObject *, PyObject *const *arguments, Py_ssize_t given) {
  return each_address(arguments, given, [](const int64_t *known, int64_t address) { return *known == address; });
}

// dense(tensors, shapes, found): writes where they are, and returns their kinds; None where one is no contiguous tensor
// of floating-point numbers of its shape, of which each is written as its rank and then its dimensions.
PyObject *dense(PyObject *, PyObject *const *arguments, Py_ssize_t given) {
  const Py_ssize_t count = count_of(arguments, given, 3);
  Array shapes, found;
  if (count < 0 || !shapes.open(arguments[1], count) || !found.open(arguments[2], count)) return nullptr;
  PyObject *kinds = PyBytes_FromStringAndSize(nullptr, count);
  if (kinds == nullptr) return nullptr;
  const int64_t *expected = shapes.numbers();
  Finder tensors;
  Py_ssize_t i = 0;
  for (; i < count; i++) {
    const Tensor *tensor = tensors.at(arguments[0], i);
    if (tensor == nullptr) break;
    const auto &shape = tensor->shape();
    const int64_t rank = static_cast<int64_t>(shape.size());
    if (expected == shapes.end() || *expected++ != rank || shapes.end() - expected < rank) break;
    if (!std::equal(shape.begin(), shape.end(), expected)) break;
    expected += rank;
    const Kind kind = kind_of(tensor->data_type());
    PyBytes_AS_STRING(kinds)[i] = kind;
    if (kind == OTHER || !is_contiguous(*tensor) || !address_of(*tensor, found.numbers() + i)) break;
  }
  if (i == count) return kinds;
  Py_DECREF(kinds);
  Py_RETURN_NONE;
}

// element(tensor, index): one of its numbers; None where it is no contiguous tensor of float32 or float64 that has it.
PyObject *element(PyObject *, PyObject *const *arguments, Py_ssize_t given) {
  if (given != 2) {
    PyErr_SetString(PyExc_TypeError, "the arguments are a tensor and an index");
    return nullptr;
  }
  const Py_ssize_t index = PyLong_AsSsize_t(arguments[1]);
  if (index == -1 && PyErr_Occurred()) return nullptr;
  Finder tensors;
  const Tensor *tensor = tensors.of(arguments[0]);
  int64_t address = 0;
  if (tensor == nullptr || !is_contiguous(*tensor) || !address_of(*tensor, &address)) Py_RETURN_NONE;
  if (index < 0 || index >= static_cast<Py_ssize_t>(tensor->DataSize())) Py_RETURN_NONE;
  switch (kind_of(tensor->data_type())) {
    case FLOAT32:
      return PyFloat_FromDouble(reinterpret_cast<const float *>(address)[index]);
    case FLOAT64:
      return PyFloat_FromDouble(reinterpret_cast<const double *>(address)[index]);
    default:
      Py_RETURN_NONE;
  }
}

// wait(): until all queued operators are done, with the error of one that failed; whether MindSpore can be asked so. In
// cold caches the way to the same function through Python takes most of 0.1 ms.
PyObject *wait(PyObject *, PyObject *) {
  using mindspore::runtime::Pipeline;
  if (&Pipeline::Get == nullptr) Py_RETURN_FALSE;
  PyThreadState *state = PyEval_SaveThread();
  try {
    Pipeline::Get().WaitAll();
    PyEval_RestoreThread(state);
    Py_RETURN_TRUE;
  } catch (pybind11::error_already_set &error) {
    PyEval_RestoreThread(state);
    error.restore();
  } catch (const pybind11::builtin_exception &error) {
    PyEval_RestoreThread(state);
    error.set_error();
  } catch (const std::exception &error) {
    PyEval_RestoreThread(state);
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

#define FAST(function) reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function))

PyMethodDef METHODS[] = {{"addresses", FAST(addresses), METH_FASTCALL, nullptr},
                         {"unmoved", FAST(unmoved), METH_FASTCALL, nullptr},
                         {"dense", FAST(dense), METH_FASTCALL, nullptr},
                         {"element", FAST(element), METH_FASTCALL, nullptr},
                         {"wait", wait, METH_NOARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "tinyms_tensor_reader", nullptr, 0, METHODS, nullptr, nullptr, nullptr,
                      nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_tinyms_tensor_reader() { return PyModuleDef_Init(&MODULE); }
