"""What processes check of the arrays that they add and compute together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mindspore.communication import get_group_size, get_rank

from tinyms_core.distributed import LostRankError, all_ranks, divide_work, rank_count, sum_arrays

SHAPES = ((), (3,), (0, 2), (40, 30), (17, 5, 2))


def drawn(rank: int) -> list[Any]:
    """Arrays of one process, one of them not contiguous."""
    random = np.random.default_rng((23, rank))
    return [
        *(random.standard_normal(shape).astype(np.float32) for shape in SHAPES),
        random.standard_normal((4, 9)).astype(np.float32).T,
    ]


def refused(kind: type[BaseException], said: str, call: Any) -> None:
    """See a call raise, and all processes be at the same exchange afterwards."""
    with pytest.raises(kind, match=re.escape(said)):
        call()
    assert all_ranks(True)


def refused_by_one(kind: type[BaseException], said: str, call: Any) -> None:
    """See a call raise in process 1, and the others told of it."""
    refused(*((kind, said) if get_rank() == 1 else (LostRankError, "another process raised an error")), call)


def arrays_are_added(folder: Path) -> Any:
    assert rank_count() == get_group_size()
    expected = [sum(each) for each in zip(*(drawn(rank) for rank in range(get_group_size())), strict=True)]
    for groups in (None, [0, 0, 0, 1, 2, 2], [5] * 6, range(6)):
        own = drawn(get_rank())
        sum_arrays("the drawn", own, groups=groups)
        for found, right in zip(own, expected, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-6, atol=1e-6)
    sum_arrays("nothing", [])
    return [array.tolist() for array in own[:2]]


def arrays_that_cannot_be_added_are_refused(folder: Path) -> Any:
    mine = get_rank() == 1
    own = [np.ones(3, np.float64 if mine else np.float32)]
    refused_by_one(TypeError, "must be NumPy arrays of float32, got float64 at 0", lambda: sum_arrays("ones", own))
    own = [np.ones(3 + mine, np.float32)]
    refused(LostRankError, "the shapes are not the same in all processes", lambda: sum_arrays("ones", own))
    assert (own[0] == 1.0).all()
    refused(ValueError, "'groups' has 2 number(s) for 1 array(s)", lambda: sum_arrays("ones", own, groups=[0, 1]))


def work_is_divided(folder: Path) -> Any:
    """Of every dtype, bit for bit; each process computes what it is said to, and nothing else."""
    kinds = (np.float32, np.float64, np.int8, np.uint16, np.float32, np.float64)
    own = [np.zeros(5 + i, kind) for i, kind in enumerate(kinds)]
    asked = []

    def compute(indices: list[int]) -> None:
        asked.append(list(indices))
        for index in indices:
            own[index][:] = 100 * np.random.default_rng(index).random(own[index].size)

    mine = divide_work("squares", own, [1, 1, 1, 1, 1, 1], compute)
    assert asked == [mine]
    assert mine == list(range(get_rank(), 6, get_group_size()))
    for index, array in enumerate(own):
        right = (100 * np.random.default_rng(index).random(array.size)).astype(array.dtype)
        assert array.tobytes() == right.tobytes(), index
    assert divide_work("nothing", [], [], compute) == []


def work_that_fails_in_one_is_refused_in_all(folder: Path) -> Any:
    own = [np.zeros(2), np.zeros(3)]

    def fail(indices: list[int]) -> None:
        if get_rank() == 1:
            raise ArithmeticError("not today")

    refused_by_one(ArithmeticError, "not today", lambda: divide_work("work", own, [1, 1], fail))
    refused_by_one(
        ValueError,
        "'costs' has 1 number(s) for 2 array(s)",
        lambda: divide_work("work", own, [1] if get_rank() == 1 else [1, 1], fail),
    )
    strided = [np.zeros((2, 2)).T if get_rank() == 1 else np.zeros((2, 2))]
    refused_by_one(TypeError, "must be contiguous NumPy arrays", lambda: divide_work("work", strided, [1], fail))
    costs = [1, 2] if get_rank() == 1 else [2, 1]
    refused(
        LostRankError,
        "the shares are not the same in all processes",
        lambda: divide_work("work", own, costs, lambda indices: None),
    )


CHECKS = (
    arrays_are_added,
    arrays_that_cannot_be_added_are_refused,
    work_is_divided,
    work_that_fails_in_one_is_refused_in_all,
)
