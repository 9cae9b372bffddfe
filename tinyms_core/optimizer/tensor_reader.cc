// Where tensors lie and of what they are, asked of MindSpore's own classes in one call for all of them. Asked from
// Python, one property of one tensor after the other, the answers cost more than the arithmetic of a small tensor.
#include <cstdint>

#include "include/utils/tensor_py.h"

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

// A reference of our own: the sequence may change while a tensor is waited for.
mindspore::tensor::TensorPtr tensor_at(PyObject *sequence, Py_ssize_t index) {
  if (index >= PySequence_Fast_GET_SIZE(sequence)) return nullptr;
  PyObject *item = PySequence_Fast_GET_ITEM(sequence, index);
  if (!mindspore::tensor::IsPyObjectTensorPy(item)) return nullptr;
  Py_INCREF(item);
  mindspore::tensor::TensorPtr found;
  try {
    found = mindspore::tensor::ConvertPyObjectToTensor(item);
  } catch (...) {
    // What is wrong with it, the way through Python tells.
    PyErr_Clear();
  }
  Py_DECREF(item);
  return found;
}

bool address_of(const mindspore::tensor::Tensor &tensor, int64_t *address) {
  const auto &memory = tensor.device_address();
  *address = memory == nullptr ? 0 : reinterpret_cast<int64_t>(memory->GetMutablePtr());
  if (*address == 0) return tensor.DataSize() == 0;
  *address += static_cast<int64_t>(tensor.storage_offset() * tensor.DataItemSize());
  return true;
}

}  // namespace

extern "C" {

// The addresses of a list of tensors; how many were found before the first that has none.
__attribute__((visibility("default"))) int64_t tinyms_addresses(PyObject *tensors, int64_t *addresses) {
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(tensors);
  for (Py_ssize_t i = 0; i < count; i++) {
    const auto tensor = tensor_at(tensors, i);
    if (tensor == nullptr || !address_of(*tensor, addresses + i)) return i;
  }
  return count;
}

// Addresses and kinds of a list or tuple of contiguous floating-point tensors of given shapes, of which each is
// written as its rank and then its dimensions; how many were found before the first that is no such tensor.
__attribute__((visibility("default"))) int64_t tinyms_dense(PyObject *tensors, const int64_t *shapes,
                                                            int64_t *addresses, int8_t *kinds) {
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(tensors);
  for (Py_ssize_t i = 0; i < count; i++) {
    const auto tensor = tensor_at(tensors, i);
    if (tensor == nullptr) return i;
    const auto &shape = tensor->shape();
    const int64_t rank = *shapes++;
    if (static_cast<int64_t>(shape.size()) != rank) return i;
    for (const auto dimension : shape) {
      if (dimension != *shapes++) return i;
    }
    kinds[i] = kind_of(tensor->data_type());
    if (kinds[i] == OTHER || !tensor->is_contiguous() || !address_of(*tensor, addresses + i)) return i;
  }
  return count;
}
}
