"""Inverses of damped factors, block by block on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyms_core.kernels.threads import run_ranges, thread_count
from tinyms_thor import blas
from tinyms_thor.lapack import invert

_ATTEMPTS = 3


def damped_inverses(factors: Sequence[tuple[Any, float]]) -> list[tuple[Any, bool]]:
    """Invert factors plus multiples of the identity.

    Arguments:
        factors: each with its damping. A factor is finite, float32, and either symmetric blocks, of the shape
            (blocks, edge, edge), or the diagonal of a matrix, a vector.

    Returns:
        For each its inverse, finite and of its shape, and whether it was not positive definite, so that more was added.
        The numbers do not depend on how many threads there are.
    """
    inverses = [np.empty_like(factor) for factor, _ in factors]
    helped = [False] * len(factors)
    blocks = []
    for i, (factor, damping) in enumerate(factors):
        if factor.ndim == 1:
            inverses[i], helped[i] = _diagonal_inverse(factor, damping)
        else:
            blocks += [(i, factor[j], damping, inverses[i][j]) for j in range(len(factor))]
    if not blocks:
        return list(zip(inverses, helped, strict=True))
    # The largest first, so that no thread is left with one at the end.
    waiting = iter(sorted(blocks, key=lambda block: -len(block[1])))

    def work(first: int, last: int) -> None:
        # Threads share one iterator, since blocks take times that differ; taking from it is one step of Python.
        for i, block, damping, into in waiting:
            if not _invert(block, damping, into):
                helped[i] = True
                _invert_with_more_damping(block, damping, into)

    threads = min(thread_count(), len(blocks))
    with blas.one_thread():
        run_ranges(work, threads, threads)
    return list(zip(inverses, helped, strict=True))


def _diagonal_inverse(diagonal: Any, damping: float) -> tuple[Any, bool]:
    helped = damping <= 0.0 and not diagonal.all()
    return np.float32(1.0) / (diagonal + np.float32(max(damping, 1e-30 if helped else 0.0))), helped


def _invert(block: Any, damping: float, into: Any) -> bool:
    """Write the inverse of a block; whether it is positive definite in float32."""
    into[...] = block
    np.einsum("ii->i", into)[...] += np.float32(damping)
    return invert(into)


def _invert_with_more_damping(block: Any, damping: float, into: Any) -> None:
    mean = max(float(np.trace(block, dtype=np.float64)) / len(block), 0.0)
    extra = max(damping, 1e-6 * mean, 1e-30)
    if any(_invert(block, damping + extra * 10.0**attempt, into) for attempt in range(_ATTEMPTS)):
        return
    values, vectors = np.linalg.eigh(block.astype(np.float64))
    floor = max(damping, 1e-6 * float(np.abs(values).max()), 1e-30)
    into[...] = (vectors / np.maximum(values + damping, floor)) @ vectors.T
