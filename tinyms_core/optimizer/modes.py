"""MindSpore's modes: which one it is in, and being in one for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mindspore import context


def in_graph_mode() -> bool:
    """Whether MindSpore is in graph mode; asked at every step, so not by way of the slow `get_context`."""
    # The context looks at each of its attributes in Python before it gives it away.
    return bool(object.__getattribute__(context._context(), "_mode") == context.GRAPH_MODE)


@contextmanager
def execution_mode(mode: str) -> Iterator[None]:
    """Be in a mode inside the ``with`` block, and in the mode of before after it.

    Arguments:
        mode: ``"graph"``; any other is PyNative, in which functions under ``mindspore.jit`` are called too.
    """
    before = context.get_context("mode")
    context.set_context(mode=context.GRAPH_MODE if mode == "graph" else context.PYNATIVE_MODE)
    try:
        yield
    finally:
        context.set_context(mode=before)
