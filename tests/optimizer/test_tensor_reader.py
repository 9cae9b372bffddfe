"""The compiled reader of addresses: the same answers as Python's, and doing without it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, RowTensor, Tensor, nn

from tinyms_core.examples import parameter, tensor
from tinyms_core.kernels.trampoline import KINDS
from tinyms_core.optimizer import tensor_reader as module
from tinyms_core.optimizer.addresses import GradientReader, addresses_of, element_of, wait_for_queued_work
from tinyms_core.registry.api import get_optimizer


@pytest.fixture(scope="module")
def library():
    """The library's file, compiled where the cache has none."""
    if module.obstacle():
        pytest.skip(f"no C++ library: {module.obstacle()}")
    assert module.unavailable(wait=True) == ""
    return module._recipe()[0]


@pytest.fixture(params=["compiled", "python"])
def reader(request):
    """Both ways to ask for addresses."""
    if request.param == "compiled":
        request.getfixturevalue("library")
        yield request.param
    else:
        with module.withheld():
            yield request.param


@pytest.fixture
def anew(monkeypatch, tmp_path):
    """A process that has not looked for the library, with an empty cache and a compiler of the test's."""
    monkeypatch.setenv("TINYMS_OPTIM_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "_search", module._Search())
    monkeypatch.setattr(module, "_PAUSE", 0.0)

    def compiler(script: str) -> None:
        path = tmp_path / "fake_cxx"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))

    return compiler


def wait_until(condition, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def assorted() -> list[Tensor]:
    random = np.random.default_rng(3)
    shapes = [(), (1,), (5,), (3, 0, 2), (4, 3, 2, 2)]
    kinds = [mindspore.float16, mindspore.bfloat16, mindspore.float32, mindspore.float64]
    fresh = [Tensor(random.standard_normal(shape), kind) for shape in shapes for kind in kinds]
    made = [value * 2 for value in fresh if value.size]
    wait_for_queued_work()
    return fresh + made


def test_dense_gradients_are_read(reader):
    gradients = assorted()
    found = GradientReader([tuple(g.shape) for g in gradients]).dense(tuple(gradients))
    assert found is not None
    assert [KINDS[kind] for kind in found.kinds] == [str(g.dtype).lower() for g in gradients]
    full = [index for index, gradient in enumerate(gradients) if gradient.size]
    assert [found.addresses[index] for index in full] == [gradients[index].data_ptr() for index in full]


def test_rows_of_a_tensor_lie_behind_its_beginning(reader):
    whole = tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    row = whole[1]
    wait_for_queued_work()
    found = GradientReader([(3,)]).dense([row])
    assert found is not None
    assert found.addresses[0] == whole.data_ptr() + 3 * 4
    assert addresses_of([whole, row]).tolist() == [whole.data_ptr(), whole.data_ptr() + 12]


@pytest.mark.parametrize(
    "gradients",
    [
        pytest.param(lambda: [tensor([[1.0, 2.0], [3.0, 4.0]]).T], id="transposed"),
        pytest.param(lambda: [tensor([1.0, 2.0, 3.0, 4.0])], id="another shape"),
        pytest.param(lambda: [Tensor(np.ones((2, 2), np.int32))], id="integers"),
        pytest.param(lambda: [np.ones((2, 2), np.float32)], id="an array"),
        pytest.param(lambda: [None], id="nothing"),
        pytest.param(list, id="too few"),
        pytest.param(lambda: [tensor([[1.0, 2.0], [3.0, 4.0]])] * 2, id="too many"),
        pytest.param(lambda: tensor([[[1.0, 2.0], [3.0, 4.0]]]), id="no sequence"),
        pytest.param(lambda: [RowTensor(Tensor([0]), Tensor(np.ones((1, 2), np.float32)), (2, 2))], id="rows"),
    ],
)
def test_everything_else_is_left_to_who_can_tell(reader, gradients):
    assert GradientReader([(2, 2)]).dense(gradients()) is None


REBIND = {
    "set_data": lambda held, value: held.set_data(value),
    "assign_value": lambda held, value: held.assign_value(value),
    "data": lambda held, value: setattr(held, "data", value),
    "load": lambda held, value: mindspore.load_param_into_net(_Holder(held), {held.name: Parameter(value)}),
}


class _Holder(nn.Cell):
    def __init__(self, held):
        super().__init__()
        self.held = held


@pytest.mark.parametrize("way", REBIND)
def test_memory_that_changes_between_any_two_steps_is_found(reader, way):
    """Adam on four parameters of which another gets other memory after each step, and its state in turn."""
    random = np.random.default_rng(7)
    held = [parameter(f"w{i}", random.standard_normal((3, 4))) for i in range(4)]
    twins = [parameter(f"w{i}", p.asnumpy().copy()) for i, p in enumerate(held)]
    moved, still = get_optimizer("adam")(held), get_optimizer("adam")(twins)
    for step in range(8):
        gradients = tuple(tensor(random.standard_normal((3, 4))) for _ in held)
        moved(gradients)
        still(gradients)
        for row in (held, *moved.states.values()):
            chosen = row[step % 4]
            REBIND[way](chosen, Tensor(chosen.asnumpy().copy()))
    assert [p.asnumpy().tolist() for p in held] == [p.asnumpy().tolist() for p in twins]


def test_errors_are_the_same(reader):
    optimizer = get_optimizer("adam")([parameter("w", [[1.0, 2.0]])])
    with pytest.raises(ValueError, match=r"the gradient of 'w' has shape \(2,\), the parameter has \(1, 2\)"):
        optimizer((tensor([1.0, 2.0]),))
    with pytest.raises(TypeError, match=r"the gradient of 'w' is of Int32"):
        optimizer((Tensor([[1, 2]], mindspore.int32),))
    with pytest.raises(TypeError, match="must be a tuple or list of Tensors"):
        optimizer(tensor([[1.0, 2.0]]))
    assert int(optimizer.global_step.asnumpy()[0]) == 0


def test_no_compiler_is_a_reason(anew, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert module.unavailable() == "there is no C++ compiler: c++, g++, clang++ not found"


def test_a_library_that_is_there_needs_no_compiler(library, anew, monkeypatch, tmp_path):
    monkeypatch.setenv("TINYMS_OPTIM_CACHE", str(library.parent))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert module.unavailable() == module.obstacle() == ""


def test_the_switch_is_a_reason(anew, monkeypatch):
    monkeypatch.setenv("TINYMS_OPTIM_TENSOR_READER", "0")
    assert module.unavailable(wait=True) == module.obstacle() == "TINYMS_OPTIM_TENSOR_READER is 0"


def test_nothing_is_in_the_way(library):
    assert module.obstacle() == ""


def test_a_compiler_that_cannot_be_started_is_a_reason(anew, tmp_path, monkeypatch):
    anew("exit 0")
    monkeypatch.setattr(module.subprocess, "Popen", _refuse)
    assert "no more processes" in module.unavailable(wait=True)
    assert not list(tmp_path.glob("*.compiling"))


def _refuse(*_arguments, **_named):
    raise OSError("no more processes")


@pytest.mark.parametrize(("script", "reason"), [("echo broken >&2; exit 1", "broken"), ("exit 0", "wrote nothing")])
def test_a_compiler_that_fails_is_a_reason(anew, tmp_path, script, reason):
    anew(script)
    assert reason in module.unavailable(wait=True)
    assert not list(tmp_path.glob("tensor_reader_*.so")) + list(tmp_path.glob("*.compiling"))


def test_a_library_that_cannot_be_loaded_is_a_reason(anew):
    anew('for made; do :; done; echo nothing > "$made"')
    assert "cannot be loaded" in module.unavailable(wait=True)


def test_a_step_does_not_wait_for_the_compiler(library, anew, tmp_path, monkeypatch):
    anew(f'while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; for made; do :; done; cp {tmp_path}/ready "$made"')
    assert module.unavailable() == "it was not worth while to compile it yet"
    monkeypatch.setattr(module, "_WORTH_WHILE", 4)
    optimizer = get_optimizer("sgd")([parameter(f"v{i}", [1.0]) for i in range(2)])
    optimizer((tensor([0.0]),) * 2)
    optimizer((tensor([0.0]),) * 2)
    assert module.unavailable() == "it is being compiled"
    w = parameter("w", [1.0, 2.0])
    get_optimizer("sgd")([w], learning_rate=1.0)((tensor([0.5, 0.5]),))
    assert w.asnumpy().tolist() == [0.5, 1.5]
    (tmp_path / "ready").write_bytes(library.read_bytes())
    (tmp_path / "go").touch()
    wait_until(lambda: not module.unavailable())
    # The library is in its place a moment before its compiler's process has tidied up.
    wait_until(lambda: not any(path.suffix in (".compiling", ".tmp", ".log") for path in tmp_path.iterdir()))


def test_processes_at_once_compile_once(library, tmp_path):
    log = tmp_path / "log"
    compiler = tmp_path / "counting_cxx"
    compiler.write_text(f'#!/bin/sh\necho >> {log}\nsleep 1\nfor made; do :; done; cp {library} "$made"\n')
    compiler.chmod(0o755)
    environment = {"TINYMS_OPTIM_CACHE": str(tmp_path), "CXX": str(compiler), "PATH": "/usr/bin:/bin", "GLOG_v": "3"}
    told = "from tinyms_core.optimizer import tensor_reader as r; print(repr(r.unavailable(wait=True)))"
    started = [
        subprocess.Popen([sys.executable, "-c", told], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0].split()[-1] for process in started] == ["''", "''"]
    assert log.read_text().count("\n") == 1


@pytest.mark.parametrize("dtype", [mindspore.float32, mindspore.float64, mindspore.float16, mindspore.bfloat16])
def test_an_element_of_a_view_is_that_of_the_view(reader, dtype):
    whole = Tensor(np.arange(12).reshape(3, 4), dtype)
    row, column = whole[1], whole.T[2]
    wait_for_queued_work()
    assert [element_of(row, i) for i in range(4)] == [4.0, 5.0, 6.0, 7.0]
    assert [element_of(column, i) for i in range(3)] == [2.0, 6.0, 10.0]
    assert element_of(whole[2, 3], 0) == 11.0


def _failing() -> Tensor:
    """The result of an operator that fails when it is its turn."""
    return mindspore.ops.gather(tensor([[1.0], [2.0]]), Tensor([7], mindspore.int32), 0)


def test_queued_operators_are_waited_for(reader):
    factor = Tensor(np.ones((900, 900), np.float32))
    product = factor
    for _ in range(4):
        product = mindspore.ops.matmul(product, factor)
    wait_for_queued_work()
    begun = time.perf_counter()
    product.asnumpy()
    waited = time.perf_counter() - begun
    begun = time.perf_counter()
    mindspore.ops.matmul(product, factor).asnumpy()
    assert waited < (time.perf_counter() - begun) / 2


def test_the_error_of_a_queued_operator_is_raised(reader):
    _failing()
    with pytest.raises(RuntimeError, match="Gather"):
        wait_for_queued_work()
    wait_for_queued_work()


@pytest.mark.usefixtures("library")
def test_the_library_waits_itself():
    assert module.tensor_reader().wait()


def test_python_goes_on_while_operators_are_waited_for(reader):
    """What is queued may need Python."""
    steps = []
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            steps.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    factor = Tensor(np.ones((1200, 1200), np.float32))
    mindspore.ops.matmul(factor, factor)
    wait_for_queued_work()
    thread.start()
    try:
        for _ in range(4):
            mindspore.ops.matmul(factor, factor)
        begun = time.perf_counter()
        wait_for_queued_work()
        ended = time.perf_counter()
    finally:
        stop.set()
        thread.join()
    assert sum(begun < moment < ended for moment in steps) > 3
