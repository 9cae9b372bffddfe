"""How many threads NumPy and SciPy multiply matrices with."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

_turn = threading.RLock()


@functools.lru_cache(maxsize=1)
def _libraries() -> Any:
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for each call of BLAS and LAPACK inside the ``with`` block.

    With more they split a matrix by their number, which changes the last digits; and their threads spin while they
    wait for each other, which takes longer than small matrices do, and much longer where other work has the cores.
    """
    # The setting is the process's, so that those who change it take turns.
    with _turn, _libraries().limit(limits=1):
        yield


def _forget_turn() -> None:
    global _turn
    _turn = threading.RLock()


# A thread of the parent's may hold it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_turn)
