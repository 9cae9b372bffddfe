"""What processes that train together share: the mean of their factors, and the work of inverting them.

A process has the factors of its part of the batch, of which its loss is the mean. The loss of the joined batch is the
mean of those, and its A and G are the means of the processes' A and G. With one process nothing is exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyms_core.distributed import divide_work, rank_count, sum_arrays
from tinyms_thor.inversion import damped_inverses
from tinyms_thor.statistics import Factors

# Whole numbers up to 2**24 are exact in float32; samples are sent as two of them.
_PART = 4096


def meeting(step: int) -> str:
    """What all processes come to at a step that refreshes, as their errors show it."""
    return f"thor's average of factors at step {step}"


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
    sum_arrays(meeting(step), arrays, groups=None if groups is None else [group for group in groups for _ in range(3)])
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
        For each its inverse, the same bits in all processes, and whether it was not positive definite, so that more
        was added; the latter is known in the process that inverted it.
    """
    if rank_count() == 1 or not factors:
        return damped_inverses(factors)
    inverses = [np.empty_like(factor) for factor, _ in factors]
    helped = [False] * len(factors)
    # Blocks, and diagonals whole.
    pieces = [
        (i, slice(None) if factor.ndim == 1 else slice(block, block + 1))
        for i, (factor, _) in enumerate(factors)
        for block in range(1 if factor.ndim == 1 else len(factor))
    ]
    arrays = [inverses[i][piece] for i, piece in pieces]

    def invert(own: Sequence[int]) -> None:
        found = damped_inverses([(factors[i][0][piece], factors[i][1]) for i, piece in (pieces[k] for k in own)])
        for k, (inverse, more) in zip(own, found, strict=True):
            arrays[k][...] = inverse
            helped[pieces[k][0]] |= more

    divide_work(f"thor's inverses at step {step}", arrays, [_cost(array) for array in arrays], invert)
    return list(zip(inverses, helped, strict=True))


def _cost(array: Any) -> float:
    """Multiplications that an inverse takes, but for a constant."""
    return float(len(array) if array.ndim == 1 else array.shape[-1] ** 3)
