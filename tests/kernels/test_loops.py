"""The loop of a generated kernel: every element once, and what is asked for ahead of it."""

from __future__ import annotations

import ast

import pytest
from numba import njit

from tests.kernels import rules
from tinyms_core import math, rule
from tinyms_core.kernels.loops import AHEAD, BLOCK, HALVED, blocks, fetchers
from tinyms_core.kernels.memory import fetcher
from tinyms_core.kernels.program import analyse
from tinyms_core.kernels.traffic import moved_when

LENGTHS = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, AHEAD, AHEAD + 1, AHEAD + BLOCK, 3 * AHEAD + 5]


def _walk(first, last, decay, more=("m",), body=("visited.append(i)",), **options):
    """What a generated loop goes over, and from where its blocks ask for what is ahead, for each stream."""
    streams = {"w": "", "g": "", "v": "decay != 0", **dict.fromkeys(more, "")}
    visited, asked = [], {name: [] for name in streams}
    names = {f"_fetch_{name}": lambda address, index: asked[address].append(index) for name in asked}
    names |= {f"a_{name}": name for name in streams} | {"visited": visited}
    source = "\n".join(["def loop(first, last, decay):", *blocks(streams, body, **options)])
    exec(source, names)
    names["loop"](first, last, decay)
    return visited, asked


@pytest.mark.parametrize("first", [0, 7])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_loop_goes_over_every_element_once_and_asks_ahead_only_in_long_ones(first, length):
    visited, asked = _walk(first, first + length, decay=0.5)
    assert visited == list(range(first, first + length))
    starts = list(range(first, first + length - BLOCK + 1, BLOCK)) if length > AHEAD else []
    assert asked == {"w": starts, "g": starts, "v": starts, "m": starts}


@pytest.mark.parametrize("first", [0, 7])
@pytest.mark.parametrize("length", [*LENGTHS, HALVED - 1, HALVED, HALVED + 2 * BLOCK + 3])
def test_few_streams_go_through_both_halves_side_by_side(first, length):
    visited, asked = _walk(first, first + length, decay=0.0, more=())
    assert sorted(visited) == list(range(first, first + length))
    assert asked["w"] == asked["g"]
    assert asked["v"] == []
    half = length // (2 * BLOCK) * BLOCK if length >= HALVED else 0
    starts = [first + start for start in range(0, length - BLOCK + 1, BLOCK)]
    if half:
        assert visited[BLOCK : 2 * BLOCK] == list(range(first + half, first + half + BLOCK))
        starts = [start + side for start in range(first, first + half, BLOCK) for side in (0, half)]
    assert asked["w"] == (starts if length > AHEAD else [])


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_read_further_on_as_well_is_asked_for_there(length):
    _, asked = _walk(7, 7 + length, decay=0.0, more=(), beyond={"g": "1000"}, always=True)
    starts = list(range(7, 7 + length - BLOCK + 1, BLOCK))
    assert asked == {"w": starts, "g": [start + 1000 for start in starts], "v": []}


@pytest.mark.parametrize("body", [["visited.append(i)"], []])
@pytest.mark.parametrize("length", [*LENGTHS, HALVED + 5])
def test_what_is_done_besides_is_done_for_each_block_and_each_element_of_the_rest(length, body):
    besides = {"block": ["visited.append([start])"], "rest": ["visited.append([i])"]}
    visited, _ = _walk(0, length, decay=0.0, body=body, **besides)
    blocks_end = length // BLOCK * BLOCK
    assert [one for one in visited if not isinstance(one, list)] == (list(range(length)) if body else [])
    assert [one for one in visited if isinstance(one, list)] == [
        *([start] for start in range(0, blocks_end, BLOCK)),
        *([i] for i in range(blocks_end, length)),
    ]


def test_what_a_pass_does_not_move_is_not_asked_for():
    _, asked = _walk(0, AHEAD + BLOCK, decay=0.0)
    assert asked["w"] == asked["g"] == list(range(0, AHEAD + BLOCK, BLOCK))
    assert asked["v"] == []


@pytest.mark.parametrize(("storage", "width"), [("float16", 2), ("bfloat16", 2), ("float32", 4), ("float64", 8)])
def test_a_block_asks_for_each_of_its_lines_once(storage, width):
    assert fetchers({"w": storage}) == [f'_fetch_w = fetcher("{storage}")']
    fetch = fetcher(storage)

    @njit
    def ask(address, index):
        fetch(address, index)

    ask(0, 1 << 40)  # Nobody's memory: asking for it does no harm.
    (code,) = ask.inspect_llvm().values()
    body = code[code.index("define") :]
    assert body.count("call void @llvm.prefetch") in (BLOCK * width // 64, 2 * BLOCK * width // 64)


def test_a_rule_without_choices_moves_the_same_always():
    program = analyse(rules.adaptive, rules.HYPERPARAMETERS["adaptive"])
    assert moved_when(program, 0) == {"g": "", "m": "", "v": "", "w": ""}


@rule(state=("v",))
def _heavy_ball(w, g, v, lr, momentum):
    """State that only steps with momentum read and write."""
    v = math.where(momentum > 0, momentum * v + g, v)
    return w - lr * math.where(momentum > 0, v, g), v


def test_state_that_a_scalar_decides_on_is_moved_on_that_condition():
    program = analyse(_heavy_ball, {"momentum": 0.9})
    moved = moved_when(program, 0)
    assert moved["w"] == moved["g"] == ""
    (deciding,) = {node.id for node in ast.walk(ast.parse(moved["v"], mode="eval")) if isinstance(node, ast.Name)}
    assert [eval(moved["v"], {deciding: value}) for value in (0.0, 1.0)] == [False, True]
