"""What steps move, read off their kernels, and the walks over memory that move as much."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from mindspore import Parameter, Tensor

from tinyms_core.cli.around import together
from tinyms_core.cli.bench.arguments import bench_arguments
from tinyms_core.cli.bench.walk import Walk, _ranges
from tinyms_core.kernels.batch import CHUNK, make_batch
from tinyms_core.kernels.traffic import Pass, Stream, Traffic
from tinyms_core.optimizer.work import step_work
from tinyms_core.registry.probe import resolve

ELEMENTS = 6 * 4 + 5


def _work(name, dtype="float32", **more):
    spec = together(name, "momentum")
    parameters = [
        Parameter(Tensor(np.ones(shape, np.float32)).astype(dtype), name=f"w{i}")
        for i, shape in enumerate([(6, 4), (5,)])
    ]
    gradients = [Tensor(np.ones(p.shape, np.float32)).astype(dtype) for p in parameters]
    optimizer = resolve(spec.implementation)(parameters, **{**bench_arguments(spec), **more})
    optimizer(tuple(gradients))
    return step_work(optimizer, gradients)


@pytest.mark.parametrize(
    ("name", "moves"),
    [("adam", 7), ("momentum", 5), ("lion", 5), ("adan", 11), ("lamb", 10), ("lars", 7), ("rmsprop", 7)],
)
def test_a_step_moves_what_its_rule_reads_and_writes(name, moves):
    assert _work(name).bytes == moves * ELEMENTS * 4


def test_state_that_a_step_only_hands_through_is_not_moved():
    assert _work("sgd").bytes == 3 * ELEMENTS * 4
    # With momentum, the sum and its mark are read and written.
    assert _work("sgd", momentum=0.9).bytes == 7 * ELEMENTS * 4


def test_each_tensor_counts_in_its_own_dtype():
    work = _work("adam", "float16")
    # State of parameters in 16 bits is kept in float32.
    assert work.bytes == ELEMENTS * (3 * 2 + 4 * 4)
    assert {s.name: s.dtype for s in work.traffic[0].streams} == {
        "w": "float16", "g": "float16", "m": "float32", "v": "float32",
    }  # fmt: skip


def test_two_passes_are_told_apart():
    (lamb,) = _work("lamb").traffic
    assert lamb.passes == (Pass(("w", "g", "m", "v"), ("m", "v")), Pass(("w", "m", "v"), ("w",)))
    factor, step = _work("lars").traffic
    assert factor.passes == (Pass(("w", "g"), ()),)
    assert step.passes == (Pass(("w", "g", "v"), ("w", "v")),)


def test_factored_state_counts_as_long_as_it_is():
    matrices, vectors = _work("adafactor").traffic
    # 24 elements, 6 rows, 4 columns; three passes read all of it but for the parameter in the second.
    assert matrices.bytes == 4 * ((2 + 1 + 3) * 24 + 4 * (6 + 4))
    assert vectors.bytes == 4 * 8 * 5
    assert matrices.together > 0


def test_products_of_matrices_are_operations_and_no_traffic():
    work = _work("muon")
    assert work.bytes is None
    assert work.flops == 5 * (4 * 4 * 4 * 6 + 2 * 4**3)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("together", [0, CHUNK])
def test_a_walk_reaches_every_element_of_what_is_written_and_changes_nothing_else(dtype, together):
    sizes = np.array([3, 2 * CHUNK + 5, 0, 70, 200_000], np.int64)
    short = np.array([1, 7, 0, 70, 500], np.int64)
    streams = (
        Stream("w", dtype, sizes),
        Stream("g", dtype, sizes),
        Stream("rows", "float32", short),
        Stream("m", "float32", sizes),
    )
    passes = (Pass(("w", "g"), ()), Pass(("g", "rows"), ("w", "rows", "m")))
    walk = Walk([Traffic(sizes, streams, passes, together)])
    width = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}[dtype]
    assert walk.bytes == sizes.sum() * (4 * width + 4) + 2 * 4 * short.sum()
    (part,) = walk._parts
    # Ones in the gradient reach whatever it flows into.
    one = {"float16": 0x3C00, "bfloat16": 0x3F80, "float32": 0x3F800000, "float64": 0x3FF0000000000000}
    for address, length in zip(part._streams[1].addresses.tolist(), sizes.tolist(), strict=True):
        _words(address, length, dtype)[:] = one[dtype]
    walk()
    for index, kind, lengths in ((0, dtype, sizes), (1, dtype, sizes), (2, "float32", short), (3, "float32", sizes)):
        for k, length in enumerate(lengths.tolist()):
            stored = _words(int(part._streams[index].addresses[k]), length, kind)
            assert (stored == one[kind]).all(), (index, k)


def _words(address, length, dtype):
    """The bits of a tensor, so that bfloat16 is a number like the others."""
    width = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}[dtype]
    return np.ctypeslib.as_array((getattr(ctypes, f"c_uint{8 * width}") * length).from_address(address))


def test_ranges_of_chunks_cover_every_tensor_once():
    batch = make_batch([10, 20, CHUNK * 40, 30, CHUNK, CHUNK])
    ranges, shared = _ranges(batch, CHUNK, 2)
    covered = sorted(chunk for first, last in (*ranges, *shared) for chunk in range(first, last))
    assert covered == list(range(batch.chunks))
    assert shared == [(2, 42)]
    assert _ranges(batch, 0, 2) == ([], [(0, batch.chunks)])
