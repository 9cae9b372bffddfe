"""Sparse gradients in PyNative: exact, lazy and refused."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn
from mindspore.common.sparse_tensor import RowTensorInner

from tinyms_core import Capabilities, Hyperparameter, Optimizer, OptimizerSpec, StateSlot, rule
from tinyms_core.examples import SignDescent, parameter, tensor


@rule(state=("m",))
def running(w, g, m, lr):
    m = 0.5 * m + g
    return w - lr * m, m


def spec(kind):
    return OptimizerSpec(
        f"running_{kind}",
        "tests.optimizer.test_sparse:Lazy",
        hyperparameters=(Hyperparameter("learning_rate", kind="rate"),),
        state=(StateSlot("m", "m"),),
        capabilities=Capabilities(sparse=kind),
    )


class Lazy(Optimizer):
    spec = spec("lazy")
    rule = running

    def __init__(self, params, learning_rate, weight_decay=0.0, loss_scale=1.0):
        super().__init__(learning_rate, params, weight_decay, loss_scale)


class Exact(Lazy):
    spec = spec("exact")


ROWS, WIDTH = 7, 3
INDICES = [[1, 4, 1], [4, 0, 6, 6, 6], [2]]
DECAY, SCALE, RATE = 0.25, 4.0, 0.5


def expected(lazy):
    random = np.random.default_rng(0)
    w, m = random.normal(size=(ROWS, WIDTH)), np.zeros((ROWS, WIDTH))
    start = w.copy()
    values = [random.normal(size=(len(rows), WIDTH)) for rows in INDICES]
    for rows, value in zip(INDICES, values, strict=True):
        g = np.zeros_like(w)
        np.add.at(g, rows, value)
        touched = np.zeros(ROWS, bool)
        touched[rows] = True
        g[touched] = (g[touched] + SCALE * DECAY * w[touched]) / SCALE
        new_m = 0.5 * m + g
        new_w = w - RATE * new_m
        keep = ~touched if lazy else np.zeros(ROWS, bool)
        w, m = np.where(keep[:, None], w, new_w), np.where(keep[:, None], m, new_m)
    return start, values, w, m


@pytest.mark.parametrize("cls", [Lazy, Exact])
@pytest.mark.parametrize("form", ["tuple", "row tensor"])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "bfloat16"])
def test_touched_rows_take_the_dense_step(cls, form, kind):
    start, values, w, m = expected(cls is Lazy)
    dtype = getattr(mindspore, kind)
    table, bias = Parameter(Tensor(start, dtype), name="table"), parameter("bias", [1.0])
    optimizer = cls([table, bias], learning_rate=RATE, weight_decay=DECAY, loss_scale=SCALE)
    for rows, value in zip(INDICES, values, strict=True):
        gradient = (Tensor(rows, mindspore.int32), Tensor(value, dtype), (ROWS, WIDTH))
        optimizer((gradient if form == "tuple" else RowTensorInner(*gradient), tensor([4.0])))
    tolerance = {"float32": 1e-6, "float64": 1e-13, "float16": 5e-3, "bfloat16": 4e-2}[kind]
    np.testing.assert_allclose(Tensor(table).astype(mindspore.float64).asnumpy(), w, atol=tolerance)
    np.testing.assert_allclose(optimizer.states["m"][0].asnumpy(), m, atol=tolerance)
    assert optimizer.global_step.asnumpy().tolist() == [3]


def test_an_exact_step_of_many_blocks_equals_the_dense_one(monkeypatch):
    monkeypatch.setattr("tinyms_core.optimizer.sparse.BLOCK", 6)
    dense, sparse = parameter("w", np.ones((11, 3))), parameter("w", np.ones((11, 3)))
    rows, values = [10, 3, 3], np.arange(9.0).reshape(3, 3)
    gradient = np.zeros((11, 3))
    np.add.at(gradient, rows, values)
    for table, given in ((dense, tensor(gradient)), (sparse, (Tensor(rows, mindspore.int64), tensor(values), (11, 3)))):
        optimizer = Exact([table], learning_rate=0.1)
        for _ in range(3):
            optimizer((given,))
    np.testing.assert_array_equal(dense.asnumpy(), sparse.asnumpy())


@pytest.mark.parametrize("cls", [Lazy, Exact])
def test_no_rows_at_all(cls):
    table = parameter("table", np.ones((3, 2)))
    optimizer = cls([table], learning_rate=0.5, weight_decay=1.0)
    optimizer(((Tensor(np.zeros(0, np.int32)), Tensor(np.zeros((0, 2), np.float32)), (3, 2)),))
    assert table.asnumpy().tolist() == np.ones((3, 2)).tolist()
    assert optimizer.global_step.asnumpy().tolist() == [1]


BAD = {
    "index too large": (([3], [[1.0, 1.0]], (3, 2)), ValueError, "'table' has the index 3; its rows are 0 to 2"),
    "index negative": (([-1], [[1.0, 1.0]], (3, 2)), ValueError, "'table' has the index -1"),
    "another table": (([0], [[1.0, 1.0]], (4, 2)), ValueError, r"for shape \(4, 2\), the parameter has \(3, 2\)"),
    "too few values": (([0, 1], [[1.0, 1.0]], (3, 2)), ValueError, r"indices of shape \(2,\)"),
    "no dense shape": (([0], [[1.0, 1.0]], None), TypeError, "shape .* 'table' must be a tuple of ints, got None"),
    "dense shape a number": (([0], [[1.0, 1.0]], 3), TypeError, "'table' must be a tuple of ints, got 3 of type int"),
    "dense shape of floats": (([0], [[1.0, 1.0]], (3.5, 2.0)), TypeError, r"tuple of ints, got \(3\.5, 2\.0\)"),
    "rows too long": (([0], [[1.0, 1.0, 1.0]], (3, 2)), ValueError, r"right are \(n,\) and \('n', 2\)"),
}


@pytest.mark.parametrize("cls", [Lazy, Exact])
def test_a_parameter_that_is_one_number_has_no_rows(cls):
    number = parameter("number", 1.0)
    with pytest.raises(ValueError, match="'number' is sparse, but the parameter is one number"):
        cls([number], learning_rate=0.5)(((Tensor([0], mindspore.int32), tensor([1.0]), ()),))
    assert float(number.asnumpy()) == 1.0


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("cls", [Lazy, Exact])
def test_bad_rows_change_nothing(cls, case):
    (rows, values, shape), kind, message = BAD[case]
    table, bias = parameter("table", np.ones((3, 2))), parameter("bias", [1.0])
    optimizer = cls([bias, table], learning_rate=0.5)
    with pytest.raises(kind, match=message):
        optimizer((tensor([1.0]), (Tensor(rows, mindspore.int32), tensor(values), shape)))
    assert table.asnumpy().tolist() == np.ones((3, 2)).tolist()
    assert bias.asnumpy().tolist() == [1.0]
    assert optimizer.global_step.asnumpy().tolist() == [0]


def test_indices_and_values_have_their_kinds():
    optimizer = Lazy([parameter("table", np.ones((3, 2)))], learning_rate=0.5)
    with pytest.raises(TypeError, match="indices of the gradient of 'table' are of Float32"):
        optimizer(((tensor([0.0]), tensor([[1.0, 1.0]]), (3, 2)),))
    with pytest.raises(TypeError, match="values of the gradient of 'table' are of Int32"):
        optimizer(((Tensor([0], mindspore.int32), Tensor([[1, 1]], mindspore.int32), (3, 2)),))


def test_rows_twice_without_unique_are_refused():
    optimizer = Lazy([parameter("table", np.ones((3, 2)))], learning_rate=0.5)
    optimizer.unique = False
    with pytest.raises(ValueError, match="row 1 twice; set 'unique' to True"):
        optimizer(((Tensor([1, 1], mindspore.int32), tensor([[1.0, 1.0]] * 2), (3, 2)),))


def test_where_rows_are_not_supported_they_are_refused():
    optimizer = SignDescent([parameter("table", np.ones((3, 2)))], learning_rate=0.5)
    with pytest.raises(TypeError, match="'table' is sparse, which sign_descent does not support; make it dense"):
        optimizer(((Tensor([1], mindspore.int32), tensor([[1.0, 1.0]]), (3, 2)),))


def test_values_without_indices_are_explained():
    optimizer = Lazy([parameter("table", np.ones((3, 2)))], learning_rate=0.5)
    with pytest.raises(ValueError, match=r"'table' has shape \(1, 2\).*without its indices"):
        optimizer((tensor([[1.0, 1.0]]),))


class Words(nn.Cell):
    """A network with an embedding, whose gradient is a RowTensor in a graph."""

    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingLookup(10, 3, param_init="ones", sparse=True)

    def construct(self, words):
        return self.table(words).sum()


@pytest.mark.parametrize("cls", [Lazy, Exact])
def test_gradients_of_an_embedding_are_taken_and_applied_in_one_graph(cls):
    words = Tensor([1, 4, 1], mindspore.int32)
    expected = np.ones((10, 3))
    expected[[1, 4]] = [[0.0] * 3, [0.5] * 3]
    in_graph, in_function = Words(), Words()
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    try:
        nn.TrainOneStepCell(in_graph, cls(in_graph.trainable_params(), learning_rate=0.5))(words)
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    optimizer = cls(in_function.trainable_params(), learning_rate=0.5)
    gradients_of = mindspore.grad(in_function, None, optimizer.parameters)

    @mindspore.jit
    def step(words):
        return optimizer(gradients_of(words))

    step(words)
    for network in (in_graph, in_function):
        np.testing.assert_allclose(network.table.embedding_table.asnumpy(), expected)


class Called(nn.Cell):
    """A graph in which rows are put together and the optimizer is called."""

    def __init__(self, optimizer):
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer

    def construct(self, indices, values):
        return self.optimizer(((indices, values, (3, 2)),))


@pytest.mark.parametrize("cls", [Lazy, Exact])
def test_a_graph_with_rows_goes_on_from_loaded_parameters(cls):
    indices, values = Tensor([1, 1], mindspore.int32), tensor([[1.0, 1.0]] * 2)
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    try:
        table = parameter("table", np.ones((3, 2)))
        call = Called(cls([table], learning_rate=0.5))
        call(indices, values)
        mindspore.load_param_into_net(call, {"table": parameter("table", np.full((3, 2), 8.0))})
        call(indices, values)
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    assert table.asnumpy().tolist() == [[8.0, 8.0], [6.5, 6.5], [8.0, 8.0]]
