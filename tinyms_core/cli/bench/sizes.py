"""The sizes and numbers of threads that steps are timed with for ``--scaling``."""

from __future__ import annotations

from typing import Final

from tinyms_core.cli.bench.shapes import ShapeSet

SMALLEST: Final = 10**4
LARGEST: Final = 10**9
TENSORS: Final = (1, 100, 10_000)


def thread_counts(most: int) -> list[int]:
    """Return 1, 2, 4 … below the most, and the most."""
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return counts if most == 1 else [*counts, most]


def sizes(largest: int) -> list[ShapeSet]:
    """Return sets of one, a hundred and ten thousand tensors, with powers of ten of elements, the smallest first."""
    found = []
    elements = SMALLEST
    while elements <= largest:
        found += [
            ShapeSet(f"{elements:,} in {tensors:,}", ((elements // tensors,),) * tensors)
            for tensors in TENSORS
            if tensors <= elements
        ]
        elements *= 10
    return found
