"""The loop of a generated CPU kernel over the elements of a chunk.

A core computes while its memory works as long as enough lines are asked for early. The processor's own guesses suffice
for a rule of a few operations; one with roots and divisions fills the window in which the core looks ahead, and its
memory waits. So the loop goes in blocks, and each asks for what a block some way ahead will read. Where it reads one or
two tensors, it walks through both halves of them side by side: memory gives more to four streams than to two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

# Elements of a block, and how many elements ahead of a block its lines are asked for. Blocks are of one length for the
# vectoriser's sake, and short, so that what they ask for never fills the core's queue.
BLOCK: Final = 32
AHEAD: Final = 512
# Tensors of a loop that goes through its halves side by side, and the elements from which on it does.
FEW: Final = 2
HALVED: Final = 8 * AHEAD


def fetchers(streams: Mapping[str, str]) -> list[str]:
    """Lines that define what `blocks` calls.

    Args:
        streams: Storage type of each tensor that the loop goes over, by name.
    """
    return [f'_fetch_{name} = fetcher("{storage}")' for name, storage in streams.items()]


def blocks(
    streams: Mapping[str, str],
    body: Sequence[str],
    *,
    beyond: Mapping[str, str] | None = None,
    always: bool = False,
    block: Sequence[str] = (),
    rest: Sequence[str] = (),
) -> list[str]:
    """Lines of a loop over ``range(first, last)``, inside of a function.

    Args:
        streams: The tensors that the loop goes over, by name, and on what condition: a Python expression of what does
            not change in the loop, empty where it always does. The address of each is in ``a_NAME``.
        body: What is done for the element ``i``.
        beyond: How many elements after ``i`` a tensor is read as well, an expression. Its lines are asked for there:
            those at ``i`` have been read before.
        always: Whether lines are asked for however short the range is.
        block: What is done for a block besides, whose first element is ``start``; in the order of the blocks.
        rest: What is done besides for each element ``i`` that is in no block.

    Returns:
        Lines with the indentation of a function's body.
    """
    beyond = beyond or {}
    further = {name: f" + {beyond[name]}" if name in beyond else "" for name in streams}
    # A short tensor is in the cache before its lines could be asked for.
    lines, asking = [f"    far = {always or f'last - first > {AHEAD}'}"], []
    for number, condition in enumerate(dict.fromkeys(streams.values())):
        lines.append(f"    near_{number} = last if far{f' and ({condition})' if condition else ''} else first")
        asking.append(f"if start < near_{number}:")
        asking += [
            f"    _fetch_{name}(a_{name}, start{further[name]})" for name in streams if streams[name] == condition
        ]
    each = [*asking, *block]
    if body:
        each += [f"for j in range({BLOCK}):", "    i = start + j", *(f"    {line}" for line in body)]
    lines.append(f"    middle = first + (last - first) // {BLOCK} * {BLOCK}")
    if block or sum(not condition for condition in streams.values()) > FEW:
        lines += ["    while first < middle:", "        start = first", *(f"        {line}" for line in each)]
        lines.append(f"        first += {BLOCK}")
    else:
        lines += [
            "    half, sides = 0, 1",
            f"    if last - first >= {HALVED}:",
            f"        half, sides = (last - first) // {2 * BLOCK} * {BLOCK}, 2",
            "        middle = first + half",
            "    while first < middle:",
            "        for side in range(sides):",
            "            start = first + side * half",
            *(f"            {line}" for line in each),
            f"        first += {BLOCK}",
            "    first += half",
        ]
    lines.append("    for i in range(first, last):")
    return [*lines, *(f"        {line}" for line in (*body, *rest))]
