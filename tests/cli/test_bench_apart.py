"""`bench` of several optimizers: each in a process of its own."""

from __future__ import annotations

import os

import pytest

from tinyms_core.cli.bench.apart import measure_apart
from tinyms_core.cli.bench.order import Order, Row
from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.shapes import ShapeSet
from tinyms_core.cli.bench.timing import WARM_UP
from tinyms_core.cli.errors import CommandError

SHAPES = ShapeSet("matrices", ((4, 3), (5,)))


ORDER = Order(("adam",), (SHAPES,), (Setting(),), ("mindspore",), "momentum", steps=2, limit=9.0)


def measured(*rows: Row, threads: int | None = None, began=lambda row: None, finished=lambda: None):
    return measure_apart(ORDER, rows, threads, began, finished)


class UnsendableError(Exception):
    """An error that cannot be made again from its message."""

    def __init__(self, value: int, place: str) -> None:
        super().__init__(f"{value} at {place}")


class Raising:
    """Raises where it is asked for a dtype, in the process that it was sent to."""

    def __init__(self, error: str) -> None:
        self.error = error

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        if self.error == "known":
            raise ZeroDivisionError("no kernel for this")
        raise UnsendableError(3, "the end")


class Deadly:
    """Ends the process that it is sent to."""

    def __reduce__(self):
        return os._exit, (7,)


def end_with_number_of_threads():
    os._exit(int(os.environ.get("OMP_NUM_THREADS", "0")))


class Telling:
    """Ends the process that it is sent to with the number of threads that its environment asks for."""

    def __reduce__(self):
        return end_with_number_of_threads, ()


@pytest.mark.parametrize("known", [None, "2"])
def test_threads_are_those_python_knows_of(monkeypatch, known):
    if known is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", known)
    # As MindSpore's import does.
    os.putenv("OMP_NUM_THREADS", "1")
    with pytest.raises(CommandError, match=f"ended with {known or 0} before"):
        measured(Row("adam", Setting(), Telling()))


def test_rows_come_back_and_progress_is_told():
    told = []
    rows = [Row("adam", Setting(), SHAPES), Row("adam", Setting(dtype="float16"), SHAPES)]
    found = measured(*rows, threads=1, began=lambda row: told.append(str(row)), finished=lambda: told.append("round"))
    rounds = ["round"] * (WARM_UP + 2)
    assert told == [str(rows[0]), *rounds, str(rows[1]), *rounds]
    assert [outcome.setting for outcome in found] == [row.setting for row in rows]
    assert all(len(outcome.times.seconds) == 2 for outcome in found)
    assert found[0].peers["mindspore"].ratio is not None
    assert found[0].to_dict()["roofline"]["bytes"] > 0


def test_an_error_is_that_of_the_row():
    with pytest.raises(CommandError, match="vast"):
        measured(Row("adam", Setting(), ShapeSet("vast", ((2**40,),))))


def test_a_process_that_ends_early_is_an_error():
    with pytest.raises(CommandError, match="the process that timed 'adam' ended with 7"):
        measured(Row("adam", Setting(), Deadly()))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [("known", ZeroDivisionError, "no kernel for this"), ("foreign", RuntimeError, "UnsendableError: 3 at the end")],
)
def test_an_error_nobody_foresaw_stays_what_it_is_and_says_where_it_was(error, kind, words):
    with pytest.raises(kind, match=words) as caught:
        measured(Row("adam", Raising(error), SHAPES))
    assert "measure_rows" in str(caught.value.__cause__)
