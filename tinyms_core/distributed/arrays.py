"""Arrays in the host's memory that processes add, or compute in shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyms_core.distributed.plan import balanced_owners
from tinyms_core.ranks.exchange import Exchange, Range
from tinyms_core.ranks.group import Pending, leave, own_rank, raise_together, rank_count, start_sum
from tinyms_core.ranks.memory import BUCKET_BYTES


def sum_arrays(what: str, arrays: Sequence[Any], *, groups: Sequence[int] | None = None) -> None:
    r"""Add arrays over all processes, in place.

    .. math::
        x \leftarrow \sum_{r=0}^{N-1} x_r

    Arrays are put one after the other into flat buffers, and each buffer is added in one exchange; while one is under
    way the next is filled. All processes get the same bits. Every process has to call it. With one process nothing
    changes.

    Arguments:
        what: what is added, the same in all processes, for errors.
        arrays: NumPy arrays of float32 that can be written, of the same shapes in all processes.
        groups: for each array the number of the buffer that it goes into, such that those of a buffer follow each
            other; None for buffers of at most 64 MiB.

    Raises:
        TypeError: something else than an array of float32.
        ValueError: ``groups`` has not a number for each array.
        LostRankError: the processes have other shapes or groups, another process has an error, or did not take part in
            time; with the latter, some arrays may have been added.

    Example:
        >>> import numpy as np
        >>> from tinyms_core.distributed import sum_arrays
        >>> counts = np.array([3.0, 4.0], np.float32)
        >>> sum_arrays("the counts", [counts])
        >>> counts.tolist()
        [3.0, 4.0]
    """
    alike = {"the shapes": _shapes(arrays).encode(), "the groups": str(groups).encode()}
    raise_together(what, _not_summed(arrays, groups), alike)
    if rank_count() == 1:
        return
    last: tuple[Pending, list[Any]] | None = None
    try:
        for members in _buffers(arrays, groups):
            # Filled while the one before is under way.
            pending = start_sum(what, np.concatenate([array.reshape(-1) for array in members]))
            if last is not None:
                _spread(*last)
            last = pending, members
        if last is not None:
            _spread(*last)
    except BaseException as error:
        # The others may have gone on.
        leave(what, error)
        raise


def divide_work(
    what: str, arrays: Sequence[Any], costs: Sequence[float], compute: Callable[[list[int]], None]
) -> list[int]:
    """Compute arrays in shares: each process computes some of them, and afterwards all have all, bit for bit.

    The costliest array goes first, each to the process that has least to do so far. Every process has to call it. With
    one process that computes all.

    Arguments:
        what: what is computed, the same in all processes, for errors.
        arrays: contiguous NumPy arrays that can be written, of the same shapes and dtypes in all processes.
        costs: what each array costs to compute, numbers >= 0, the same in all processes.
        compute: called once, with the indices of the arrays that this process computes; it writes these arrays.

    Returns:
        The indices of the arrays that this process has computed.

    Raises:
        TypeError: something else than a contiguous array.
        ValueError: there is not a cost for each array.
        LostRankError: the processes have other shapes or costs, ``compute`` raised an error in another process, or one
            did not take part in time.
        BaseException: what ``compute`` raised in this process.

    Example:
        >>> import numpy as np
        >>> from tinyms_core.distributed import divide_work
        >>> roots = [np.array([4.0, 9.0]), np.array([16.0])]
        >>> def compute(indices):
        ...     for index in indices:
        ...         np.sqrt(roots[index], out=roots[index])
        >>> divide_work("the roots", roots, [2, 1], compute)
        [0, 1]
        >>> [root.tolist() for root in roots]
        [[2.0, 3.0], [4.0]]
    """
    own: list[int] = []
    owners: list[int] = []
    failure = _not_shared(arrays, costs)
    if failure is None:
        owners = balanced_owners(costs, rank_count())
        own = [index for index, owner in enumerate(owners) if owner == own_rank()]
        try:
            compute(own)
        except BaseException as error:
            # The others wait; they learn of it before it goes its way.
            failure = error
    raise_together(what, failure, {"the shapes": _shapes(arrays).encode(), "the shares": str(owners).encode()})
    if rank_count() > 1:
        ranges = [
            [Range(i, 0, array.nbytes) for i, array in enumerate(arrays) if owners[i] == rank]
            for rank in range(rank_count())
        ]
        addresses = [array.ctypes.data for array in arrays]
        try:
            Exchange(what, ranges, own_rank()).run(addresses, addresses)
        except BaseException as error:
            leave(what, error)
            raise
    return own


def _not_summed(arrays: Sequence[Any], groups: Sequence[int] | None) -> BaseException | None:
    for index, array in enumerate(arrays):
        if not isinstance(array, np.ndarray) or array.dtype != np.float32:
            got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            return TypeError(f"sum_arrays: 'arrays' must be NumPy arrays of float32, got {got} at {index}")
    if groups is not None and len(groups) != len(arrays):
        return ValueError(f"sum_arrays: 'groups' has {len(groups)} number(s) for {len(arrays)} array(s)")
    return None


def _not_shared(arrays: Sequence[Any], costs: Sequence[float]) -> BaseException | None:
    for index, array in enumerate(arrays):
        if not isinstance(array, np.ndarray) or not array.flags.c_contiguous:
            got = "one that is not" if isinstance(array, np.ndarray) else type(array).__name__
            return TypeError(f"divide_work: 'arrays' must be contiguous NumPy arrays, got {got} at {index}")
    if len(costs) != len(arrays):
        return ValueError(f"divide_work: 'costs' has {len(costs)} number(s) for {len(arrays)} array(s)")
    return None


def _shapes(arrays: Sequence[Any]) -> str:
    return ", ".join(
        f"{array.dtype}{array.shape}" if isinstance(array, np.ndarray) else type(array).__name__ for array in arrays
    )


def _buffers(arrays: Sequence[Any], groups: Sequence[int] | None) -> list[list[Any]]:
    """The arrays of each buffer."""
    found: list[list[Any]] = []
    space = 0
    for index, array in enumerate(arrays):
        full = space < array.nbytes if groups is None else index == 0 or groups[index] != groups[index - 1]
        if full or not found:
            found.append([])
            space = BUCKET_BYTES
        found[-1].append(array)
        space -= array.nbytes
    return [members for members in found if any(array.size for array in members)]


def _spread(pending: Pending, members: Sequence[Any]) -> None:
    """Wait for the sums of a buffer, and put them where they belong."""
    total = pending.wait()
    start = 0
    for array in members:
        array[...] = total[start : start + array.size].reshape(array.shape)
        start += array.size
