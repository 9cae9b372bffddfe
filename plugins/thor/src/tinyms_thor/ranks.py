"""What processes that train together share: the mean of their factors, and the work of inverting them.

A process has the factors of its part of the batch, of which its loss is the mean. The loss of the joined batch is the
mean of those, and its A and G are the means of the processes' A and G. With one process nothing is exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinyms_core.distributed import divide_work, raise_together, rank_count, sum_arrays
from tinyms_thor.inversion import damped_inverses
from tinyms_thor.statistics import Factors

# Whole numbers up to 2**24 are exact in float32; samples are sent as two of them.
_PART = 4096


def averaging(step: int) -> str:
    """The first exchange of a step that refreshes, as errors of all processes show it."""
    return f"thor's average of factors at step {step}"


def inverting(step: int) -> str:
    """The second exchange of a step that refreshes."""
    return f"thor's inverses at step {step}"


@contextmanager
def told(what: str, until: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Tell all processes of an error in the ``with`` block, for which this one does not come to an exchange.

    Arguments:
        what: the exchange.
        until: whether this process has come to it.
    """
    try:
        yield
    except BaseException as error:
        if not until():
            raise_together(what, error)
        raise


def layer_groups(count: int, split_indices: Sequence[int] | None) -> list[int] | None:
    """For each of some layers the number of its group; each of the indices is the last layer of one.

    Layers after the last index are a group of their own.
    """
    if split_indices is None:
        return None
    return [sum(last < layer for last in split_indices) for layer in range(count)]


def averaged(step: int, factors: Sequence[Factors], groups: Sequence[int] | None) -> list[Factors]:
    """The mean of all processes' factors, over those that have seen the layer.

    Arguments:
        step: the number of steps that were done.
        factors: of each layer; their memory is written.
        groups: for each layer the number of the buffer that it goes into; None for few buffers.

    Returns:
        For each layer the mean, the same bits in all processes, with the samples of all.
    """
    if rank_count() == 1:
        return list(factors)
    counts = [np.array([own.samples > 0, *divmod(own.samples, _PART)], np.float32) for own in factors]
    arrays = [array for own, count in zip(factors, counts, strict=True) for array in (own.a, own.g, count)]
    buffers = None if groups is None else [group for group in groups for _ in range(3)]
    sum_arrays(averaging(step), arrays, groups=buffers)
    means = []
    for own, (seen, parts, rest) in zip(factors, counts, strict=True):
        for array in (own.a, own.g):
            array *= np.float32(1.0 / max(seen, 1.0))
        means.append(Factors(own.a, own.g, int(parts) * _PART + int(rest)))
    return means


def divided_inverses(step: int, factors: Sequence[tuple[Any, float]]) -> list[tuple[Any, bool]]:
    """Invert factors plus multiples of the identity; each process inverts some blocks, and all get all.

    Arguments:
        step: the number of steps that were done.
        factors: each with its damping, as for `damped_inverses`; the same in all processes.

    Returns:
        For each its inverse, and whether it was not positive definite, so that more was added; the same in all
        processes, bit for bit.
    """
    if rank_count() == 1:
        return damped_inverses(factors)
    # Blocks, and diagonals whole.
    blocks = [[factor] if factor.ndim == 1 else np.split(factor, len(factor)) for factor, _ in factors]
    given = [(block, damping) for own, (_, damping) in zip(blocks, factors, strict=True) for block in own]
    # The last number says whether more damping was added.
    results = [np.empty(block.size + 1, np.float32) for block, _ in given]

    def invert(own: Sequence[int]) -> None:
        for k, (inverse, more) in zip(own, damped_inverses([given[k] for k in own]), strict=True):
            results[k][:-1] = inverse.reshape(-1)
            results[k][-1] = more

    divide_work(inverting(step), results, [_cost(block) for block, _ in given], invert)
    following = iter(results)
    found = [[next(following) for _ in own] for own in blocks]
    return [
        (np.concatenate([result[:-1] for result in own]).reshape(factor.shape), any(result[-1] for result in own))
        for own, (factor, _) in zip(found, factors, strict=True)
    ]


def _cost(block: Any) -> float:
    """Multiplications that an inverse takes, but for a constant."""
    return float(len(block) if block.ndim == 1 else block.shape[-1] ** 3)
