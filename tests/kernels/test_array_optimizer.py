"""Plain arrays of the CPU: groups, state, rows, other libraries' arrays, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tests.kernels import rules
from tinyms_core.conformance.kernel_checks import CHECKS, KernelSubject, run_checks
from tinyms_core.kernels import ArrayFactor, ArrayOptimizer, dlpack
from tinyms_core.kernels.buffers import read_buffer
from tinyms_core.registry.api import optimizer_info
from tinyms_core.registry.errors import MissingKernelError, UnknownOptimizerError


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


@pytest.mark.parametrize("name", ["adam", "lamb", "adafactor", "ftrl"])
def test_kernels_of_the_cpu_follow_the_oracle(name):
    results = list(run_checks(KernelSubject(optimizer_info(name), "CPU"), CHECKS))
    assert [(result.check, result.reason) for result in results if result.failed] == []


def test_factors_on_the_cpu_follow_the_oracle():
    subject = KernelSubject(optimizer_info("momentum"), "CPU", optimizer_info("lars"))
    assert [result.reason for result in run_checks(subject) if result.failed] == []


def test_rates_and_decays_may_depend_on_the_step():
    weight = ones(2)
    optimizer = ArrayOptimizer(rules.descent, [weight], learning_rate=lambda step: 0.5 if step == 0 else 0.0)
    for _ in range(3):
        optimizer.step([ones(2)])
    assert (weight.tolist(), optimizer.steps) == ([0.5, 0.5], 3)


def test_groups_have_rates_decays_and_centralization():
    first, second, third = ones(2), ones(2), ones(1, 2)
    groups = [
        {"params": [first], "lr": 0.5},
        {"params": [second], "weight_decay": 1.0},
        {"params": [third], "grad_centralization": True},
    ]
    optimizer = ArrayOptimizer(rules.descent, groups, learning_rate=0.25, loss_scale=2.0)
    optimizer.step([2 * ones(2), 2 * ones(2), np.array([[2.0, 6.0]], np.float32)])
    assert (first[0], second[0], third.tolist()) == (0.5, 0.5, [[1.25, 0.75]])


def test_an_optimizer_goes_on_from_the_state_of_another():
    gradients = [[np.full(3, g, np.float32)] for g in (1.0, -2.0, 0.5, 3.0)]
    straight, resumed = ones(3), ones(3)
    whole = ArrayOptimizer("adam", [straight])
    for gradient in gradients:
        whole.step(gradient)
    first = ArrayOptimizer("adam", [resumed])
    for gradient in gradients[:2]:
        first.step(gradient)
    second = ArrayOptimizer("adam", [resumed], state=first.state, steps=first.steps)
    assert second.scalar_state == first.scalar_state
    for gradient in gradients[2:]:
        second.step(gradient)
    np.testing.assert_array_equal(resumed, straight)
    assert second.state["m"][0] is first.state["m"][0]
    assert second.scalar_state["beta1_power"] == 0.9**4


def test_parameters_of_mindspore_are_updated_by_their_addresses():
    from tinyms_core.examples import parameter, tensor

    weight = parameter("w", [1.0, 2.0])
    ArrayOptimizer("momentum", [weight], learning_rate=0.5, momentum=0.9).step([tensor([1.0, 1.0])])
    assert weight.asnumpy().tolist() == [0.5, 1.5]


class Exported:
    """An array of another library, of which only DLPack is known."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **named):
        return self.array.__dlpack__(**named)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_arrays_of_other_libraries_are_read_through_dlpack():
    weight = ones(2, 3)
    ArrayOptimizer(rules.descent, [Exported(weight)], learning_rate=0.5).step([Exported(ones(2, 3))])
    assert (weight == 0.5).all()
    found = dlpack.read(weight[1:])
    assert (found.shape, found.dtype, found.device, found.address) == ((1, 3), "float32", 1, weight[1:].ctypes.data)
    with pytest.raises(ValueError, match=r"params\[0\] must be contiguous"):
        ArrayOptimizer(rules.descent, [Exported(ones(2, 3).T)], learning_rate=0.5)


def test_bfloat16_arrays_are_known_by_their_type():
    bits = np.array([0x3F80, 0x4000], np.uint16)
    found = read_buffer("x", bits.view("V2"))
    assert (found.dtype, found.size) == ("bfloat16", 2)
    ArrayOptimizer(rules.descent, [bits.view("V2")], learning_rate=0.5).step([ones(2)])
    assert bits.tolist() == [0x3F00, 0x3FC0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("adam", ones(3)), TypeError, "'params' must be a list of arrays"),
        (("adam", []), ValueError, "'params' is empty"),
        (("adam", ["w"]), TypeError, r"params\[0\] must be an array on the CPU or the GPU .*, got 'w' of type str"),
        (("adam", [ones(3, dtype=np.int32)]), TypeError, r"params\[0\] must be of float32 or .*, got int32"),
        (("adam", [ones(3, dtype=">f4")]), TypeError, "float32 in the other order of bytes"),
        (("adam", [ones(4)[::2]]), ValueError, r"params\[0\] must be contiguous"),
        (("adam", [np.broadcast_to(ones(1), (1,))]), ValueError, r"params\[0\] is read-only"),
        (("adam", [{"params": [ones(1)], "rate": 1}]), ValueError, r"params\[0\] must have 'params', and of"),
        (("adam", [{"params": ones(1)}]), TypeError, r"params\[0\]\['params'\] must be a list of arrays"),
        ((3, [ones(3)]), TypeError, "'optimizer' must be an optimizer's name or a rule, got 3"),
        (("nothing", [ones(3)]), UnknownOptimizerError, "unknown optimizer 'nothing'"),
        (("thor", [ones(3)]), ValueError, "'thor' is built from a network"),
        (("lars", [ones(3)]), ValueError, "'lars' goes around another optimizer; give it as 'factor=ArrayFactor"),
        ((rules.layerwise, [ones(3)]), TypeError, r"its hyperparameters are \['beta'\], got \[\]"),
    ],
)
def test_wrong_arrays_and_optimizers_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ArrayOptimizer(*arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("adam", {"beta3": 0.5}, TypeError, r"unknown hyperparameter\(s\) \['beta3'\]"),
        ("adam", {"beta1": 2.0}, ValueError, r"'beta1' must be in \[?\(?0, 1\)?, got 2\.0"),
        ("adam", {"learning_rate": -1.0}, ValueError, r"'learning_rate' must be in \[0, inf\), got -1\.0"),
        ("adam", {"loss_scale": 0.0}, ValueError, r"'loss_scale' must be in \(0, inf\), got 0\.0"),
        ("adam", {"steps": -1}, ValueError, "'steps' must be in"),
        ("adam", {"state": {"m": []}}, ValueError, r"'state' must have the slots \['m', 'v'\], got \['m'\]"),
        ("adam", {"state": {"m": [], "v": []}}, ValueError, r"state\['m'\] has 0 array\(s\) for 1"),
        ("adam", {"state": {"m": [ones(2)], "v": [ones(3)]}}, ValueError, r"state\['m'\]\[0\] has the shape \(2,\)"),
        (
            "adam",
            {"state": {"m": [ones(3, dtype=np.float64)], "v": [ones(3)]}},
            TypeError,
            r"state\['m'\]\[0\] must be of float32, got float64",
        ),
        ("lamb", {"learning_rate": 0.1, "loss_scale": 2.0}, ValueError, "lamb does not support a 'loss_scale'"),
        ("lamb", {}, TypeError, "'learning_rate' must be given"),
        ("ftrl", {"learning_rate": lambda step: 0.1}, ValueError, "does not support a rate that changes"),
        ("adafactor", {"learning_rate": 0.1}, ValueError, "'learning_rate' must be None"),
        ("lamb", {"learning_rate": 0.1, "factor": ArrayFactor("lars")}, ValueError, "a 'factor' goes with optimizers"),
        ("adam", {"factor": "lars"}, TypeError, "'factor' must be an ArrayFactor, got 'lars'"),
        ("adam", {"factor": ArrayFactor("lars", chosen=[True] * 2)}, ValueError, r"'chosen' has 2 value\(s\) for 1"),
    ],
)
def test_wrong_arguments_are_refused(name, arguments, error, message):
    with pytest.raises(error, match=message):
        ArrayOptimizer(name, [ones(3)], **arguments)


def test_wrong_factors_are_refused():
    with pytest.raises(ValueError, match="'adam' goes around no other optimizer"):
        ArrayFactor("adam")
    with pytest.raises(TypeError, match="'chosen' must be a list of bools"):
        ArrayFactor("lars", chosen=[1])


def test_the_same_memory_is_not_updated_twice():
    weight = ones(3)
    with pytest.raises(ValueError, match=r"params\[1\] shares memory with params\[0\]"):
        ArrayOptimizer("adam", [weight, weight])


class OnGpu:
    """An array that says that it is on a GPU."""

    def __init__(self, shape=(3,), typestr="<f4"):
        self.__cuda_array_interface__ = {
            "shape": shape, "typestr": typestr, "data": (4096, False), "strides": None, "version": 3,
        }  # fmt: skip


def test_arrays_of_two_devices_are_refused():
    with pytest.raises(ValueError, match=r"params\[0\] is on CPU and params\[1\] on GPU; an optimizer's arrays"):
        ArrayOptimizer("adam", [ones(3), OnGpu()])
    optimizer = ArrayOptimizer("adam", [ones(3)])
    with pytest.raises(ValueError, match=r"params\[0\] is on CPU and gradients\[0\] on GPU"):
        optimizer.step([OnGpu()])


def test_without_a_gpu_its_arrays_are_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr("tinyms_core.kernels.backends.lacking", lambda module: "no CUDA driver is installed")
    with pytest.raises(MissingKernelError, match="its arrays are on the GPU, but no CUDA driver is installed"):
        ArrayOptimizer("adam", [OnGpu()])
    monkeypatch.setattr("tinyms_core.kernels.backends.module_exists", lambda module: False)
    with pytest.raises(MissingKernelError, match=r"'numba_cuda' is not installed; pip install 'tinyms-core\[gpu\]'"):
        ArrayOptimizer("adam", [OnGpu()])


class Tensor:
    """A tensor that tells its address, as torch's do."""

    def __init__(self, array, device="cpu", contiguous=True):
        self.array, self.device, self.contiguous = array, device, contiguous
        self.shape, self.dtype = array.shape, f"torch.{array.dtype.name}"

    def data_ptr(self):
        return self.array.ctypes.data

    def is_contiguous(self):
        return self.contiguous


def test_tensors_are_read_by_what_they_tell_of_themselves():
    array = ones(2, 3)
    found = read_buffer("x", Tensor(array))
    assert (found.address, found.shape, found.dtype, found.device, found.index) == (
        array.ctypes.data, (2, 3), "float32", "CPU", None,
    )  # fmt: skip
    found = read_buffer("x", Tensor(array, "cuda:1"))
    assert (found.device, found.index) == ("GPU", 1)
    with pytest.raises(ValueError, match="x must be contiguous"):
        read_buffer("x", Tensor(array, contiguous=False))
    with pytest.raises(ValueError, match="x is on the device mps; CPU or GPU is right"):
        read_buffer("x", Tensor(array, "mps"))


def test_tensors_of_two_gpus_are_refused():
    with pytest.raises(ValueError, match=r"params\[0\] is on GPU 0 and params\[1\] on GPU 1"):
        ArrayOptimizer("adam", [Tensor(ones(2), "cuda:0"), Tensor(ones(2), "cuda:1")])


def test_masks_and_strides_of_arrays_of_a_gpu_are_refused():
    masked, strided, empty = OnGpu(), OnGpu((2, 3)), OnGpu((0, 3))
    masked.__cuda_array_interface__["mask"] = object()
    strided.__cuda_array_interface__["strides"] = (4, 8)
    empty.__cuda_array_interface__["strides"] = (4, 8)
    with pytest.raises(ValueError, match="x has a mask"):
        read_buffer("x", masked)
    with pytest.raises(ValueError, match="x must be contiguous"):
        read_buffer("x", strided)
    assert read_buffer("x", empty).size == 0
    assert read_buffer("x", OnGpu((2, 3), "<V2")).dtype == "bfloat16"
    with pytest.raises(TypeError, match=r"x must be of float32 or .*, got <c8"):
        read_buffer("x", OnGpu((2, 3), "<c8"))


@pytest.mark.parametrize(
    ("gradients", "error", "message"),
    [
        (ones(3), TypeError, "'gradients' must be a list of arrays"),
        ([ones(3)], ValueError, r"got 1 gradient\(s\) for 2 array\(s\)"),
        ([ones(3), ones(2)], ValueError, r"gradients\[1\] has the shape \(2,\); params\[1\] has \(4, 2\)"),
        ([ones(3), None], TypeError, r"gradients\[1\] must be an array"),
        ([ones(3), ones(4, 2, dtype=np.int64)], TypeError, r"gradients\[1\] must be of .*, got int64"),
        ([ones(3), ones(2, 4).T], ValueError, r"gradients\[1\] must be contiguous"),
        ([ones(3), (np.array([4]), ones(1, 2), (4, 2))], ValueError, "has the index 4; its rows are 0 to 3"),
        ([ones(3), (np.array([-1]), ones(1, 2), (4, 2))], ValueError, "has the index -1"),
        ([ones(3), (np.array([1]), ones(2, 2), (4, 2))], ValueError, r"right are \(n,\) and \('n', 2\)"),
        (
            [ones(3), (np.array([1.0]), ones(1, 2), (4, 2))],
            TypeError,
            r"the indices of gradients\[1\] must be of int32 or int64, got float64",
        ),
        ([ones(3), (np.array([1]), ones(1, 2), (5, 2))], ValueError, r"gradients\[1\] is for the shape \(5, 2\)"),
    ],
)
def test_wrong_gradients_are_refused_and_nothing_changes(gradients, error, message):
    weights = [ones(3), ones(4, 2)]
    optimizer = ArrayOptimizer("adam", weights)
    with pytest.raises(error, match=message):
        optimizer.step(gradients)
    assert all((weight == 1.0).all() for weight in weights)
    assert all((array == 0.0).all() for arrays in optimizer.state.values() for array in arrays)
    assert optimizer.steps == 0


def test_rows_are_refused_where_a_step_needs_the_whole():
    optimizer = ArrayOptimizer("lamb", [ones(4, 2)], learning_rate=0.1)
    with pytest.raises(TypeError, match=r"gradients\[0\] comes as rows, which lamb does not support"):
        optimizer.step([(np.array([1]), ones(1, 2), (4, 2))])
    optimizer = ArrayOptimizer("momentum", [ones(4, 2)], learning_rate=0.1, momentum=0.9, factor=ArrayFactor("lars"))
    with pytest.raises(TypeError, match="its factor is of the whole"):
        optimizer.step([(np.array([1]), ones(1, 2), (4, 2))])
    assert (optimizer.params[0] == 1.0).all()


def test_a_rate_that_is_refused_at_a_step_changes_nothing():
    weight = ones(2)
    optimizer = ArrayOptimizer("adam", [weight], learning_rate=lambda step: -1.0 if step else 0.5)
    optimizer.step([ones(2)])
    before = weight.copy()
    with pytest.raises(ValueError, match=r"'learning_rate at step 1' must be in \[0, inf\), got -1\.0"):
        optimizer.step([ones(2)])
    np.testing.assert_array_equal(weight, before)
    assert optimizer.steps == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda base: {"params": [base[:5], base[3:]]}, r"params\[1\] shares memory with params\[0\]"),
        (
            lambda base: {"params": [base[:2]], "state": {"m": [base[1:3]], "v": [base[4:6]]}},
            r"state\['m'\]\[0\] shares",
        ),
        (
            lambda base: {"params": [base[:2]], "state": {"m": [base[4:6]], "v": [base[4:6]]}},
            r"state\['v'\]\[0\] shares",
        ),
        (lambda base: {"params": [np.ma.masked_array(base, base > 0)]}, r"params\[0\] has a mask"),
        (lambda base: {"params": [base.view(np.uint8)[1:9].view(np.float32)]}, r"params\[0\] must be aligned"),
        (lambda base: {"params": [{"params": []}, {"params": [base]}]}, r"params\[0\]\['params'\] is empty"),
        (lambda base: {"params": [base], "stream": 5}, "'stream' must be 0 for arrays on the CPU"),
    ],
)
def test_memory_that_cannot_be_stepped_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ArrayOptimizer("adam", **given(ones(8)))


def test_arrays_side_by_side_in_one_memory_are_apart():
    base, gradient = ones(8), ones(4)
    optimizer = ArrayOptimizer(rules.descent, [base[4:], base[:4]], learning_rate=0.5)
    optimizer.step([gradient, gradient])
    assert base.tolist() == [0.5] * 8
    with pytest.raises(ValueError, match=r"gradients\[1\] shares memory with params\[0\], which the step writes"):
        optimizer.step([gradient, base[4:]])
    rows = (np.array([0]), base[:1], (4,))
    with pytest.raises(ValueError, match=r"gradients\[0\] shares memory with params\[1\], which the step writes"):
        optimizer.step([rows, gradient])
    assert base.tolist() == [0.5] * 8


@pytest.mark.parametrize("shape", [3, "abc", 3.0])
def test_gradients_of_three_numbers_are_not_taken_for_rows(shape):
    optimizer = ArrayOptimizer("adam", [ones(3)])
    with pytest.raises(TypeError, match=r"gradients\[0\] must be an array, or rows as \(indices, values, shape\)"):
        optimizer.step([[1.0, 2.0, shape]])


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_optimizer_is_not_copied_with_its_addresses(copied):
    with pytest.raises(TypeError, match="an ArrayOptimizer holds addresses and cannot be copied or pickled"):
        copied(ArrayOptimizer("adam", [ones(3)]))


def test_state_is_written_to_and_not_replaced():
    optimizer = ArrayOptimizer("adam", [ones(3)])
    optimizer.state["m"][0][...] = 1.0
    with pytest.raises(TypeError, match="does not support item assignment"):
        optimizer.state["m"] = [ones(3)]
    with pytest.raises(TypeError, match="does not support item assignment"):
        optimizer.state["m"][0] = ones(3)
