"""Which process has which elements of which parameter."""

from __future__ import annotations

from collections.abc import Sequence

#: Elements of a flattened tensor: the first, and the one after the last.
Span = tuple[int, int]


def divide_elements(sizes: Sequence[int], widths: Sequence[int], units: Sequence[int], ranks: int) -> list[list[Span]]:
    """Divide tensors among processes such that each has the same share of the bytes.

    Each has a run of elements of the tensors one after the other, so that a process has whole tensors but for the
    first and the last of its run.

    Arguments:
        sizes: elements of each tensor.
        widths: bytes of an element's state, for each tensor.
        units: for each tensor how many elements must not be parted, counted from its beginning, >= 1.
        ranks: the number of processes.

    Returns:
        For each process the span of each tensor, empty where it has nothing of it.
    """
    total = sum(size * width for size, width in zip(sizes, widths, strict=True))
    goals = [total * rank / ranks for rank in range(ranks + 1)]
    spans: list[list[Span]] = [[] for _ in range(ranks)]
    before = 0
    for size, width, unit in zip(sizes, widths, units, strict=True):
        cuts = [max(round((goal - before) / (width * unit)), 0) for goal in goals]
        edges = [0, *(min(cut * unit, size) for cut in cuts[1:-1]), size]
        for own, start, stop in zip(spans, edges, edges[1:], strict=False):
            own.append((start, stop))
        before += size * width
    return spans


def balanced_owners(costs: Sequence[float], ranks: int) -> list[int]:
    """Give each of some things to a process, such that the largest share is small.

    The costliest goes first, each to the process that has least so far.

    Arguments:
        costs: of each thing, numbers >= 0.
        ranks: the number of processes.

    Returns:
        For each thing the number of its process.
    """
    loads = [0.0] * ranks
    owners = [0] * len(costs)
    for index in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        owners[index] = loads.index(min(loads))
        loads[owners[index]] += costs[index]
    return owners


def divide_tensors(sizes: Sequence[int], costs: Sequence[int], ranks: int) -> list[list[Span]]:
    """Divide tensors among processes, each whole, such that the largest share is small.

    The largest tensor goes first, each to the process that has least so far.

    Arguments:
        sizes: elements of each tensor.
        costs: bytes of each tensor's state.
        ranks: the number of processes.

    Returns:
        For each process the span of each tensor: all of it, or nothing.
    """
    owners = balanced_owners(costs, ranks)
    return [
        [(0, size if owner == rank else 0) for size, owner in zip(sizes, owners, strict=True)] for rank in range(ranks)
    ]


def largest_share(plan: Sequence[Sequence[Span]], widths: Sequence[int]) -> int:
    """The bytes of the process that has most.

    Arguments:
        plan: for each process the span of each tensor.
        widths: bytes of an element's state, for each tensor.
    """
    return max(
        sum((stop - start) * width for (start, stop), width in zip(spans, widths, strict=True)) for spans in plan
    )
