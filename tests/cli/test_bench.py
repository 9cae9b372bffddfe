"""`bench`: shapes, traffic, peers and the form of results, but no times."""

from __future__ import annotations

import json
import sys
import time
from importlib.machinery import ModuleSpec
from math import prod
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from mindspore import nn

from tinyms_core.cli.bench.arguments import bench_arguments
from tinyms_core.cli.bench.disturbance import Watch
from tinyms_core.cli.bench.peers import mindspore_peer, torch_peer
from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.shapes import SHAPE_SETS, ShapeSet
from tinyms_core.cli.bench.steps import CellStep
from tinyms_core.cli.bench.timing import FEWEST_ROUNDS, WARM_UP, Times, median_ratio, race
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.api import get_optimizer, list_optimizers, optimizer_info


@pytest.mark.parametrize(
    ("name", "tensors", "elements"),
    [
        ("large", 16, 16 * 2**20),
        ("small", 500, 50_000),
        ("tiny", 2000, 128_000),
        ("conv", 16, 16 * 2**20),
        ("resnet50", 161, 25_557_032),
        ("bert-base", 199, 109_482_240),
        ("bert-large", 391, 335_141_888),
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
    assert [len(times[name].disturbances) for name in "ab"] == [2, 2]


def test_a_turn_of_slow_steps_is_short():
    calls = {"slow": 0, "fast": 0}

    def slow():
        calls["slow"] += 1
        time.sleep(0.03)

    def fast():
        calls["fast"] += 1

    race({"slow": slow, "fast": fast}, 4, steps=5)
    # The first two turns are whole.
    assert calls == {"slow": 2 * 5 + (WARM_UP + 2), "fast": (WARM_UP + 4) * 5}


def test_a_race_that_takes_too_long_has_few_rounds():
    times = race({"a": lambda: None}, 50, limit=1e-9)
    assert len(times["a"].seconds) == FEWEST_ROUNDS


def test_ratios_are_paired_by_round():
    ours, theirs = Times((1.0, 10.0, 100.0)), Times((2.0, 20.0, 200.0))
    assert theirs.ratio_to(ours).median == 2.0
    assert ours.milliseconds == 10_000.0
    told = Times((1.0,)).to_dict()
    assert told["quartiles_ms"] == [1000.0, 1000.0]
    assert told["rounds_ms"] == [1000.0]
    assert told["disturbed_rounds"] == []


def test_bounds_of_a_median_are_two_of_the_values():
    # Of 20 values no more than 5 lie on either side beyond the bounds: 2 * 0.0207 of all cases.
    found = median_ratio(range(20, 0, -1))
    assert (found.median, found.low, found.high) == (10.5, 6, 15)
    assert median_ratio([3.0, 1.0, 2.0]).low is None
    # Of six values 1 case in 32 has all of them on one side.
    assert (median_ratio(range(6)).low, median_ratio(range(6)).high) == (0, 5)


def test_bounds_hold_the_median_as_often_as_they_say():
    random = np.random.default_rng(7)
    for rounds in (6, 11, 20):
        ratios = [median_ratio(random.exponential(size=rounds).tolist()) for _ in range(2000)]
        held = np.mean([ratio.low <= np.log(2) <= ratio.high for ratio in ratios])
        assert 0.94 < held < 1.0


def test_disturbed_rounds_are_told_of(monkeypatch):
    counts = iter([(0, 0), (0, 0), (3, 2), (3, 2), (3, 2)])
    monkeypatch.setattr(Watch, "_counts", lambda self: next(counts))
    watch = Watch()
    watch.start()
    disturbed = watch.stop()
    watch.start()
    times = Times((1.0, 1.0), (watch.stop(), disturbed))
    assert disturbed.switches == 3
    assert disturbed.stolen_ms > 0
    assert [row["round"] for row in times.to_dict()["disturbed_rounds"]] == [1]


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
    roofline = adam["roofline"]
    assert roofline["bytes"] == 17 * 28
    assert roofline["passes"] == [{"reads": ["w", "g", "m", "v"], "writes": ["w", "m", "v"]}]
    assert roofline["gb_per_s"] > 0
    assert roofline["possible_gb_per_s"] > 0
    assert roofline["of_possible"]["median"] > 0
    assert len(roofline["possible"]["rounds_ms"]) == len(adam["rounds_ms"]) == 2
    assert adam["median_ms"] > 0
    assert (adam["mode"], adam["dtype"]) == ("pynative", "float32")
    assert adam["peers"]["mindspore"]["ratio_to_ours"]["median"] > 0
    assert {"cpu", "cores", "caches_bytes", "memory_bytes", "load"} <= set(report["machine"])
    assert report["date"].endswith("+00:00")
    assert lamb["peers"]["mindspore"]["median_ms"] is None
    assert "Unsupported op [Lamb] on CPU" in lamb["peers"]["mindspore"]["reason"]
    assert "mindspore.nn.Lamb: RuntimeError: Unsupported op [Lamb] on CPU" in result.stdout


@pytest.mark.usefixtures("tiny_shapes")
def test_peers_can_be_left_out(run):
    result = run("bench", "momentum", "--shapes", "small", "--steps", "1", "--against", "none", "--json", "-")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["results"][0]["peers"] == {}


def test_all_is_every_optimizer(run, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "tinyms_core.cli.commands.bench._measure_all", lambda order, threads: (asked.extend(order.names) or [], [])
    )
    assert run("bench", "--all").exit_code == 0
    # A step of one that is built from a network cannot be timed with tensors alone.
    assert asked == [n for n in list_optimizers() if not optimizer_info(n).capabilities.consumes_network]
    refused = run("bench", "adam", "--all")
    assert refused.exit_code == 2
    assert "leave out adam, or --all" in refused.stderr


def test_threads_are_limited_for_the_run_alone(run, tiny_shapes, monkeypatch):
    from tinyms_core.kernels.threads import thread_count

    monkeypatch.setattr("tinyms_core.cli.bench.run.limit_peers", lambda threads: None)
    before = thread_count()
    result = run(
        "bench", "adam", "--shapes", "small", "--steps", "1", "--against", "none", "--threads", "3", "--json", "-"
    )
    assert json.loads(result.stdout)["settings"]["threads"] == 3
    assert thread_count() == before


def _peer(find, name, arguments=None, setting=Setting()):  # noqa: B008
    spec = optimizer_info(name)
    return find(spec, spec, bench_arguments(spec) if arguments is None else arguments, setting)


class _Tensor:
    """As much of torch's tensor as a peer needs."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.grad: _Tensor | None = None

    def to(self, dtype: str, copy: bool = False) -> _Tensor:
        assert dtype == "float32"
        return _Tensor(self.array.copy()) if copy else self

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
    torch.float32 = "float32"  # type: ignore[attr-defined]
    torch.optim = SimpleNamespace(Adam=_Adam)  # type: ignore[attr-defined]
    torch.__spec__ = ModuleSpec("torch", None)
    monkeypatch.setitem(sys.modules, "torch", torch)
    peer = _peer(torch_peer, "adam")
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
    assert np.array_equal(optimizer.parameters[0].grad.array, gradients[0])


def test_torch_is_left_out_with_a_reason(monkeypatch):
    monkeypatch.setattr("tinyms_core.cli.bench.peers.find_spec", lambda module: None)
    missing = _peer(torch_peer, "adam")
    assert missing.build is None
    assert "torch is not installed" in missing.reason
    monkeypatch.setattr("tinyms_core.cli.bench.peers.find_spec", lambda module: module)
    assert "no optimizer of this algorithm" in _peer(torch_peer, "lamb").reason
    assert "do not centralize" in _peer(torch_peer, "adam", setting=Setting(centralize=True)).reason


def test_a_class_that_mindspore_lacks_is_a_reason():
    assert _peer(mindspore_peer, "adan").reason == "mindspore.nn has no such optimizer"
    assert _peer(mindspore_peer, "adam", {"no_such_argument": 1}).reason.startswith("KeyError: ")


@pytest.mark.parametrize(
    ("option", "value", "right"),
    [
        ("--against", "pytorch", "'pytorch' is none of mindspore, torch, none"),
        ("--against", "none,torch", "none stands alone"),
        ("--shapes", "huge", "bert-large, all"),
        ("--mode", "eager", "'eager' is none of pynative, graph, jit"),
        ("--dtype", "int8", "bfloat16"),
    ],
)
def test_an_unknown_word_is_an_error_with_those_that_are_known(run, option, value, right):
    result = run("bench", "adam", option, value)
    assert result.exit_code == 2
    assert right in " ".join(result.stderr.split())


@pytest.mark.usefixtures("tiny_shapes")
def test_a_list_with_commas_is_as_good_as_repetition(run):
    result = run(
        "bench", "adam", "--shapes", "small,large", "--mode", "jit,graph", "--dtype", "float16", "--steps", "1",
        "--against", "mindspore", "--json", "-",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["results"]
    assert [(row["shapes"], row["mode"], row["dtype"]) for row in rows] == [
        (shapes, mode, "float16") for mode in ("jit", "graph") for shapes in ("small", "large")
    ]
    assert all(row["peers"]["mindspore"]["median_ms"] for row in rows if row["shapes"] == "large")


@pytest.mark.parametrize("mode", ["pynative", "graph", "jit"])
def test_every_mode_does_the_steps_that_are_timed(mode):
    """What is timed updates the parameters, in ours and in MindSpore's."""
    for make in (nn.Adam, get_optimizer("adam")):
        with execution_mode(mode):
            step = CellStep(make, {"learning_rate": 0.5}, [np.ones(3)], [np.ones(3)], Setting(mode))
            step()
            first = step.optimizer.parameters[0].asnumpy().copy()
            step()
            assert np.allclose(first, 0.5, atol=1e-3)
            assert np.allclose(step.optimizer.parameters[0].asnumpy(), 0.0, atol=1e-3)


def test_centralization_needs_convolutions(run, monkeypatch):
    refused = run("bench", "adam", "--shapes", "large", "--centralize")
    assert refused.exit_code == 2
    assert "the set 'large' has no convolutions" in refused.stderr
    monkeypatch.setitem(SHAPE_SETS, "conv", lambda: ShapeSet("conv", ((4, 3, 2, 2), (5,))))
    options = ("--shapes", "conv", "--centralize", "--steps", "1", "--against", "none", "--json", "-")
    assert json.loads(run("bench", "adam", *options).stdout)["results"][0]["centralize"] is True
    assert "'adafactor' does not centralize" in run("bench", "adam", "adafactor", *options).stderr


def test_of_all_those_are_left_out_that_do_not_centralize(run, monkeypatch):
    monkeypatch.setitem(SHAPE_SETS, "conv", lambda: ShapeSet("conv", ((4, 3, 2, 2), (5,))))
    monkeypatch.setattr("tinyms_core.cli.commands.bench.list_optimizers", lambda: ("adafactor", "sgd"))
    result = run("bench", "--shapes", "conv", "--centralize", "--steps", "1", "--against", "none", "--json", "-")
    report = json.loads(result.stdout)
    assert [(row["optimizer"], row["centralize"]) for row in report["results"]] == [("sgd", True)]
    assert report["left_out"] == ["adafactor is left out: it does not centralize"]


def test_what_does_not_fit_into_memory_is_refused_before_it_is_built(run, monkeypatch):
    monkeypatch.setattr("tinyms_core.cli.bench.room.available_bytes", lambda: 2**20)
    result = run("bench", "adam", "--shapes", "large", "--against", "none")
    assert result.exit_code == 2
    assert "'large' needs 0.5 GiB" in result.stderr
    assert "0.0 GiB are available" in result.stderr


@pytest.mark.parametrize("name", ["mindspore.nn", "tinyms"])
def test_memory_is_given_back(name):
    make = nn.Adam if name == "mindspore.nn" else get_optimizer("adam")
    step = CellStep(make, {"learning_rate": 1e-3}, [np.ones((64, 32), np.float32)], [np.ones((64, 32), np.float32)])
    step()
    step.release()
    assert max(parameter.size for parameter in step.optimizer.get_parameters()) == 1


@pytest.mark.usefixtures("tiny_shapes")
def test_an_optimizer_around_another_one_is_timed_around_the_one_that_is_named(run):
    result = run(
        "bench", "lars", "--around", "adam", "--shapes", "small", "--steps", "1", "--against", "none", "--json", "-"
    )
    assert result.exit_code == 0, result.output
    row = json.loads(result.stdout)["results"][0]
    assert row["optimizer"] == "lars around adam"
    # A pass that reads parameter and gradient comes before Adam's own.
    assert row["roofline"]["bytes"] == 2 * (7 + 2) * 4
    wrong = run("bench", "lars", "--around", "lars", "--steps", "1")
    assert wrong.exit_code == 2
    assert "--around: 'lars' is not built from parameters" in wrong.output


def test_only_what_queues_work_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr("tinyms_core.cli.bench.steps.wait_for_queued_work", lambda: waited.append(True))
    arguments = {"learning_rate": 0.5}, [np.ones(3)], [np.ones(3)]
    CellStep(get_optimizer("adam"), *arguments)()
    assert not waited
    CellStep(nn.Adam, *arguments)()
    assert len(waited) == 1
    with execution_mode("graph"):
        CellStep(get_optimizer("adam"), *arguments, Setting("graph"))()
    assert len(waited) == 2
