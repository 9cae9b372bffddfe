"""The loop of a generated CPU kernel over the elements of a chunk.

A core computes while its memory works as long as enough lines are asked for early. The processor's own guesses suffice
for a rule of a few operations; one with roots and divisions fills the window in which the core looks ahead, and its
memory waits. So the loop goes in blocks, and each asks for what a block some way ahead will read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

# Elements of a block, and how many elements ahead of a block its lines are asked for. Blocks are of one length for the
# vectoriser's sake, and short, so that what they ask for never fills the core's queue.
BLOCK: Final = 32
AHEAD: Final = 512


def fetchers(streams: Mapping[str, str]) -> list[str]:
    """Lines that define what `blocks` calls.

    Args:
        streams: Storage type of each tensor that the loop goes over, by name.
    """
    return [f'_fetch_{name} = fetcher("{storage}")' for name, storage in streams.items()]


def blocks(streams: Mapping[str, str], body: Sequence[str]) -> list[str]:
    """Lines of a loop over ``range(first, last)``, inside of a function.

    Args:
        streams: The tensors that the loop goes over, by name, and on what condition: a Python expression of what does
            not change in the loop, empty where it always does. The address of each is in ``a_NAME``.
        body: What is done for the element ``i``.

    Returns:
        Lines with the indentation of a function's body.
    """
    # A short tensor is in the cache before its lines could be asked for.
    lines, asking = [f"    far = last - first > {AHEAD}"], []
    for number, condition in enumerate(dict.fromkeys(streams.values())):
        lines.append(f"    near_{number} = last if far{f' and ({condition})' if condition else ''} else first")
        asking.append(f"        if first < near_{number}:")
        asking += [f"            _fetch_{name}(a_{name}, first)" for name in streams if streams[name] == condition]
    lines += [f"    while first + {BLOCK} <= last:", *asking]
    lines += [f"        for j in range({BLOCK}):", "            i = first + j"]
    lines += [f"            {line}" for line in body]
    lines += [f"        first += {BLOCK}", "    for i in range(first, last):"]
    lines += [f"        {line}" for line in body]
    return lines
