"""`bench`: shapes, traffic, peers and the form of results, but no times."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from math import prod
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from mindspore import nn

from tinyms_core.cli.bench.arguments import bench_arguments
from tinyms_core.cli.bench.peers import CellStep, mindspore_peer, torch_peer
from tinyms_core.cli.bench.shapes import SHAPE_SETS
from tinyms_core.cli.bench.timing import WARM_UP, Times, race
from tinyms_core.cli.bench.traffic import Passes, step_bytes
from tinyms_core.registry.api import get_optimizer, list_optimizers, optimizer_info
from tinyms_core.registry.specs import StateSlot


@pytest.mark.parametrize(
    ("name", "tensors", "elements"),
    [
        ("large", 16, 16 * 2**20),
        ("small", 500, 50_000),
        ("resnet50", 161, 25_557_032),
        ("bert-base", 199, 109_482_240),
    ],
)
def test_sets_have_the_true_totals(name, tensors, elements):
    shapes = SHAPE_SETS[name]()
    assert len(shapes.shapes) == tensors
    assert shapes.elements == elements == sum(map(prod, shapes.shapes))


def test_networks_begin_and_end_with_the_right_layers():
    assert SHAPE_SETS["resnet50"]().shapes[0] == (64, 3, 7, 7)
    assert SHAPE_SETS["resnet50"]().shapes[-2:] == ((1000, 2048), (1000,))
    assert SHAPE_SETS["bert-base"]().shapes[0] == (30522, 768)
    assert SHAPE_SETS["bert-base"]().shapes[-2:] == ((768, 768), (768,))


def test_traffic_counts_state_and_a_second_pass():
    adam = optimizer_info("adam")
    assert step_bytes(adam, 10) == 7 * 10 * 4
    assert step_bytes(optimizer_info("momentum"), 10) == 5 * 10 * 4
    assert step_bytes(optimizer_info("lamb"), 10) == 10 * 10 * 4
    shared = (StateSlot("t", "t", shape="scalar"),)
    assert step_bytes(replace(adam, state=shared), 10) == 3 * 10 * 4


@pytest.mark.parametrize("elements", [10, 10**6])
def test_passes_reach_every_element(elements):
    passes = Passes(elements * 8, elements)
    assert passes.bytes == elements * 8
    passes.copy()
    assert np.array_equal(passes.target, np.ones(elements))
    passes.rewrite()
    assert np.array_equal(passes.source, -np.ones(elements))


def test_arguments_have_decay_and_scale_on_and_what_is_required():
    assert bench_arguments(optimizer_info("adam")) == {
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "loss_scale": 1024.0,
    }
    assert set(bench_arguments(optimizer_info("momentum"))) == {
        "learning_rate",
        "momentum",
        "weight_decay",
        "loss_scale",
    }
    assert "loss_scale" not in bench_arguments(optimizer_info("lamb"))


def test_a_race_interleaves_and_leaves_the_warm_up_out():
    order: list[str] = []
    times = race({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * (WARM_UP + 2)
    assert [len(times[name].seconds) for name in "ab"] == [2, 2]


def test_ratios_are_paired_by_round():
    ours, theirs = Times((1.0, 10.0, 100.0)), Times((2.0, 20.0, 200.0))
    assert theirs.ratio_to(ours) == 2.0
    assert ours.milliseconds == 10_000.0
    assert Times((1.0,)).to_dict()["quartiles_ms"] == [1000.0, 1000.0]


@pytest.mark.usefixtures("tiny_shapes")
def test_results_have_every_number_and_reason(run, tmp_path):
    path = tmp_path / "bench.json"
    result = run("bench", "adam", "lamb", "--steps", "2", "--json", str(path))
    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    assert report["settings"]["steps"] == 2
    assert {"mindspore", "numba", "torch"} <= set(report["versions"])
    rows = {(row["optimizer"], row["shapes"]): row for row in report["results"]}
    assert set(rows) == {(name, shapes) for name in ("adam", "lamb") for shapes in ("large", "small")}
    adam, lamb = rows["adam", "large"], rows["lamb", "large"]
    assert adam["elements"] == 17
    assert adam["tensors"] == 2
    assert adam["traffic_bytes"] == 17 * 28
    assert set(adam["memory"]) == {"copy", "in place"}
    for memory in adam["memory"].values():
        assert memory["bytes"] == pytest.approx(17 * 28, abs=8)
        assert memory["gb_per_s"] > 0
        assert memory["step_fraction"] > 0
    assert adam["median_ms"] > 0
    assert adam["gb_per_s"] > 0
    assert adam["peers"]["mindspore"]["ratio_to_ours"] > 0
    assert lamb["peers"]["mindspore"]["median_ms"] is None
    assert "Unsupported op [Lamb] on CPU" in lamb["peers"]["mindspore"]["reason"]
    assert "mindspore.nn.Lamb: RuntimeError: Unsupported op [Lamb] on CPU" in result.stdout


@pytest.mark.usefixtures("tiny_shapes")
def test_peers_can_be_left_out(run):
    result = run("bench", "momentum", "--shapes", "small", "--steps", "1", "--no-peers", "--json", "-")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["results"][0]["peers"] == {}


def test_all_is_every_optimizer(run, monkeypatch):
    asked = []
    monkeypatch.setattr("tinyms_core.cli.commands.bench._measure_all", lambda names, *rest: asked.extend(names) or [])
    assert run("bench", "--all").exit_code == 0
    # A step of one that is built from a network cannot be timed with tensors alone.
    assert asked == [n for n in list_optimizers() if not optimizer_info(n).capabilities.consumes_network]
    refused = run("bench", "adam", "--all")
    assert refused.exit_code == 2
    assert "leave out adam, or --all" in refused.stderr


def test_threads_are_limited_for_the_run_alone(run, tiny_shapes, monkeypatch):
    from tinyms_core.kernels.threads import thread_count

    monkeypatch.setattr("tinyms_core.cli.commands.bench._limit_peers", lambda threads: None)
    before = thread_count()
    result = run("bench", "adam", "--shapes", "small", "--steps", "1", "--no-peers", "--threads", "3", "--json", "-")
    assert json.loads(result.stdout)["settings"]["threads"] == 3
    assert thread_count() == before


class _Tensor:
    """As much of torch's tensor as a peer needs."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.grad: _Tensor | None = None

    def requires_grad_(self) -> _Tensor:
        return self


class _Adam:
    """Counts its steps, and remembers what it was built with."""

    built: list[_Adam] = []

    def __init__(self, parameters: list[_Tensor], **arguments: object) -> None:
        self.parameters, self.arguments, self.steps = parameters, arguments, 0
        self.built.append(self)

    def step(self) -> None:
        self.steps += 1


def test_torch_is_a_peer_where_it_is_installed(monkeypatch):
    torch = ModuleType("torch")
    torch.from_numpy = _Tensor  # type: ignore[attr-defined]
    torch.optim = SimpleNamespace(Adam=_Adam)  # type: ignore[attr-defined]
    torch.__spec__ = ModuleSpec("torch", None)
    monkeypatch.setitem(sys.modules, "torch", torch)
    peer = torch_peer("adam", bench_arguments(optimizer_info("adam")))
    assert peer.label == "torch.optim.Adam(fused=True)"
    assert "without loss scale" in peer.note
    values, gradients = [np.ones(3, np.float32)], [np.full(3, 2, np.float32)]
    assert peer.build is not None
    step = peer.build(values, gradients)
    step()
    optimizer = _Adam.built[-1]
    assert optimizer.steps == 1
    assert optimizer.arguments == {"lr": 1e-3, "weight_decay": 0.01, "fused": True}
    assert optimizer.parameters[0].array is not values[0]
    assert optimizer.parameters[0].grad is not None
    assert optimizer.parameters[0].grad.array is gradients[0]


@pytest.mark.parametrize(("name", "reason"), [("adam", "not installed"), ("lamb", "no optimizer of this algorithm")])
def test_torch_is_left_out_with_a_reason(monkeypatch, name, reason):
    monkeypatch.setattr("tinyms_core.cli.bench.peers.find_spec", lambda module: None)
    peer = torch_peer(name, {})
    assert peer.build is None
    assert reason in peer.reason


def test_a_class_that_mindspore_lacks_is_a_reason():
    assert mindspore_peer("Dense", {}).reason == "mindspore.nn has no such optimizer"
    assert mindspore_peer("Adam", {"no_such_argument": 1}).reason.startswith("KeyError: ")


@pytest.mark.parametrize("name", ["mindspore.nn", "tinyms"])
def test_memory_is_given_back(name):
    make = nn.Adam if name == "mindspore.nn" else get_optimizer("adam")
    step = CellStep(make, {"learning_rate": 1e-3}, [np.ones((64, 32), np.float32)], [np.ones((64, 32), np.float32)])
    step()
    step.release()
    assert max(parameter.size for parameter in step._optimizer.get_parameters()) == 1


@pytest.mark.usefixtures("tiny_shapes")
def test_an_optimizer_around_another_one_is_timed_around_the_one_that_is_named(run):
    result = run("bench", "lars", "--around", "adam", "--shapes", "small", "--steps", "1", "--no-peers", "--json", "-")
    assert result.exit_code == 0, result.output
    row = json.loads(result.stdout)["results"][0]
    assert row["optimizer"] == "lars around adam"
    assert row["traffic_bytes"] == 2 * (7 + 2) * 4
    wrong = run("bench", "lars", "--around", "lars", "--steps", "1")
    assert wrong.exit_code == 2
    assert "--around: 'lars' is not built from parameters" in wrong.output
