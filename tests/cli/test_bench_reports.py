"""`bench`: goals, pictures, memory, starts and growing sizes; the form of results, but no speed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinyms_core.cli.bench.cold_start import PHASES
from tinyms_core.cli.bench.memory import measure_memory
from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.shapes import SHAPE_SETS, ShapeSet
from tinyms_core.cli.bench.sizes import sizes, thread_counts
from tinyms_core.cli.bench.thresholds import METRICS, goals_report, judge, read_goals
from tinyms_core.cli.errors import CommandError
from tinyms_core.registry.api import list_optimizers, optimizer_info

EXAMPLE = Path(__file__).parents[1] / "benchmarks" / "thresholds.toml"
PNG = b"\x89PNG\r\n"


def _row(optimizer="adam", shapes="large", *, possible=0.95, torch=1.2, memory=0.001, centralize=False):
    return {
        "optimizer": optimizer,
        "shapes": shapes,
        "mode": "pynative",
        "dtype": "float32",
        "centralize": centralize,
        "median_ms": 2.0,
        "microseconds_per_tensor": 1.0,
        "roofline": {"of_possible": {"median": possible}} if possible else None,
        "peers": {"torch": {"ratio_to_ours": {"median": torch} if torch else None}},
        "memory": {"fraction": memory},
    }  # fmt: skip


def _goals(tmp_path, text):
    file = tmp_path / "goals.toml"
    file.write_text(text)
    return read_goals(file)


def test_a_goal_is_missed_below_its_minimum_and_above_its_maximum(tmp_path):
    goals = _goals(
        tmp_path,
        """
        [[goal]]
        optimizer = ["ada*", "lamb"]
        shapes = "large"
        metric = "of_possible"
        minimum = 0.9
        [[goal]]
        metric = "microseconds_per_tensor"
        maximum = 0.5
        """,
    )
    rows = [_row(), _row("lamb", possible=0.8), _row("sgd", possible=0.1), _row("adam", "small", possible=0.1)]
    verdicts = judge(goals, rows)
    missed = [(v.row["optimizer"], v.goal.metric) for v in verdicts if v.violated]
    assert missed == [("lamb", "of_possible"), *((row["optimizer"], "microseconds_per_tensor") for row in rows)]
    assert verdicts[1].to_dict() == {
        "optimizer": "lamb", "shapes": "large", "mode": "pynative", "dtype": "float32", "centralize": False,
        "metric": "of_possible", "minimum": 0.9, "maximum": None, "value": 0.8, "violated": True,
    }  # fmt: skip


def test_a_goal_may_be_about_centralized_gradients_alone_or_about_all_others(tmp_path):
    goals = _goals(
        tmp_path,
        """
        [[goal]]
        centralize = true
        metric = "of_possible"
        minimum = 0.8
        [[goal]]
        centralize = false
        metric = "of_possible"
        minimum = 0.9
        [[goal]]
        metric = "of_possible"
        minimum = 0.7
        """,
    )
    minima = [{v.goal.minimum for v in judge(goals, [_row(centralize=chosen)])} for chosen in (True, False)]
    assert minima == [{0.7, 0.8}, {0.7, 0.9}]


def test_what_was_not_measured_misses_no_goal_and_is_told_of(tmp_path):
    goals = _goals(
        tmp_path, '[[goal]]\nmetric = "torch/tinyms"\nminimum = 3\n[[goal]]\nmetric = "of_possible"\nminimum = 0'
    )
    verdicts = judge(goals, [_row(torch=None)])
    assert not any(verdict.violated for verdict in verdicts)
    (summary,) = goals_report(goals, verdicts)
    assert str(summary) == "1 of 1 measured values meet their goals; of 1 goal(s) nothing was measured"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("[[goal]", "cannot be read"),
        ("goals = 1", "[[goal]] tables and nothing else"),
        ('[[goal]]\nmetric = "speed"\nminimum = 1', "'metric' must be one of of_possible, torch/tinyms"),
        ('[[goal]]\nmetric = "of_possible"', "goal 1 of"),
        ('[[goal]]\nmetric = "of_possible"\nminimum = "a"', "'minimum' must be a number, got 'a'"),
        ('[[goal]]\nmetric = "of_possible"\nminimum = 1\nname = "adam"', "the unknown key 'name'"),
        ('[[goal]]\nmetric = "of_possible"\nminimum = 1\nshapes = 3', "'shapes' must be a wildcard"),
        ('[[goal]]\nmetric = "of_possible"\nminimum = 1\ncentralize = 1', "'centralize' must be true or false, got 1"),
    ],
)
def test_a_wrong_goal_is_an_error_that_says_what_is_right(tmp_path, text, right):
    with pytest.raises(CommandError) as caught:
        _goals(tmp_path, text)
    assert right in str(caught.value)
    assert "--thresholds" in str(caught.value)


def test_the_goals_of_this_project_concern_every_optimizer_as_it_works():
    goals = read_goals(EXAMPLE)
    assert {goal.metric for goal in goals} <= set(METRICS)
    plain = [name for name in list_optimizers() if not optimizer_info(name).capabilities.consumes_network]
    for name in plain:
        rows = [_row(f"{name} around momentum" if name == "lars" else name)]
        found = [verdict.goal for verdict in judge(goals, rows)]
        # Products of matrices take Muon's time, and need memory for their results.
        metrics = [goal.metric for goal in found]
        assert metrics.count("of_possible") == metrics.count("temporaries") == (name != "muon"), name
        rows = [_row(rows[0]["optimizer"], "conv", centralize=True)]
        found = [verdict.goal.metric for verdict in judge(goals, rows)]
        centralizing = name != "muon" and optimizer_info(name).capabilities.centralization
        assert not centralizing or found.count("of_possible") == 1, name


@pytest.mark.usefixtures("tiny_shapes")
def test_a_missed_goal_is_the_exit_status(run, tmp_path):
    goals = tmp_path / "goals.toml"
    options = ("bench", "adam", "--shapes", "small", "--steps", "1", "--against", "none")
    for limit, status in ((1e9, 0), (0, 1)):
        goals.write_text(f'[[goal]]\noptimizer = "adam"\nmetric = "milliseconds"\nmaximum = {limit}\n')
        result = run(*options, "--thresholds", str(goals), "--json", str(tmp_path / "bench.json"))
        assert result.exit_code == status, result.output
        verdicts = json.loads((tmp_path / "bench.json").read_text())["goals"]
        assert [verdict["violated"] for verdict in verdicts] == [bool(status)]
    assert "at most 0" in result.stdout


@pytest.mark.usefixtures("tiny_shapes")
def test_pictures_are_drawn_of_what_was_timed(run, tmp_path):
    folder = tmp_path / "made" / "pictures"
    options = ("--steps", "1", "--against", "mindspore", "--mode", "pynative,jit")
    result = run("bench", "adam", "lamb", *options, "--plots", str(folder))
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in folder.iterdir()) == ["mindspore.png", "of-possible.png"]
    assert all(path.read_bytes().startswith(PNG) for path in folder.iterdir())
    assert f"picture: {folder / 'of-possible.png'}" in result.stdout


def test_pictures_need_a_library(run, monkeypatch, tmp_path):
    monkeypatch.setattr("tinyms_core.cli.bench.plots.find_spec", lambda name: None)
    result = run("bench", "adam", "--plots", str(tmp_path))
    assert result.exit_code == 2
    assert 'pip install "tinyms-core[train]"' in result.stderr


def test_a_step_that_makes_copies_is_seen_to_need_memory():
    shapes = ShapeSet("matrix", ((2048, 1024),))
    frugal, lavish = (measure_memory(name, shapes, "momentum", Setting()) for name in ("adam", "muon"))
    if frugal is None or lavish is None:
        pytest.skip("this system does not tell the peak of resident memory")
    assert frugal.parameter_bytes == 8 * 2**20
    assert frugal.fraction < 0.05
    # Products of matrices as large as the parameter, and its copy.
    assert lavish.fraction > 0.5


@pytest.mark.usefixtures("tiny_shapes")
def test_memory_is_a_column(run, monkeypatch):
    from tinyms_core.cli.bench.memory import Memory

    monkeypatch.setattr("tinyms_core.cli.bench.memory.measure_memory", lambda *_: Memory(3, 200))
    options = ("bench", "adam", "--shapes", "small", "--steps", "1", "--against", "none", "--memory")
    assert "1.50%" in run(*options).stdout
    row = json.loads(run(*options, "--json", "-").stdout)["results"][0]
    assert row["memory"] == {"peak_bytes": 3, "parameter_bytes": 200, "fraction": 0.015}


def test_a_start_is_faster_with_compiled_kernels(run):
    result = run("bench", "sgd", "--cold-start", "--json", "-")
    assert result.exit_code == 0, result.output
    (start,) = json.loads(result.stdout)["cold_starts"]
    assert start["compiled_files"] > 0
    assert start["added_files"] == 0
    assert set(start["empty_seconds"]) == {*PHASES, "total"}
    assert start["empty_seconds"]["total"] == pytest.approx(sum(start["empty_seconds"][phase] for phase in PHASES))
    assert len(start["warm_starts_seconds"]) == 3
    assert start["numba"] == {"empty": True, "warm": False}


def test_sizes_grow_by_tens_and_threads_by_twos():
    assert [thread_counts(most) for most in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]
    found = [(shapes.elements, len(shapes.shapes)) for shapes in sizes(100_000)]
    assert found == [(elements, tensors) for elements in (10**4, 10**5) for tensors in (1, 100, 10_000)]


def test_scaling_has_a_point_for_each_size_and_number_of_threads(run, tmp_path):
    result = run(
        "bench", "momentum", "--scaling", "--largest", "10000", "--steps", "1", "--threads", "2", "--plots",
        str(tmp_path), "--json", str(tmp_path / "scaling.json"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    scaling = json.loads((tmp_path / "scaling.json").read_text())["scaling"]
    assert [(p["elements"], p["tensors"], p["threads"]) for p in scaling["points"]] == [
        (10_000, tensors, threads) for tensors in (1, 100, 10_000) for threads in (1, 2)
    ]
    assert all(point["nanoseconds_per_element"] > 0 for point in scaling["points"])
    assert scaling["stops"] == []
    assert (tmp_path / "scaling.png").read_bytes().startswith(PNG)


def test_scaling_of_several_comes_from_processes_of_their_own(run, tmp_path, monkeypatch):
    # Memory that one of them holds is none that the next could use; this process itself times nothing.
    monkeypatch.setattr("tinyms_core.cli.bench.scaling.measure_scaling.__code__", (lambda *given: 1 / 0).__code__)
    result = run(
        "bench", "momentum", "sgd", "--scaling", "--largest", "10000", "--steps", "1", "--threads", "1", "--json",
        str(tmp_path / "scaling.json"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    scaling = json.loads((tmp_path / "scaling.json").read_text())["scaling"]
    assert [(p["optimizer"], p["tensors"]) for p in scaling["points"]] == [
        (name, tensors) for name in ("momentum", "sgd") for tensors in (1, 100, 10_000)
    ]


def test_scaling_stops_where_memory_ends_and_says_so(run, monkeypatch):
    monkeypatch.setattr("tinyms_core.cli.bench.room.available_bytes", lambda: 150_000)
    result = run("bench", "momentum", "--scaling", "--largest", "10000", "--steps", "1", "--threads", "1")
    assert result.exit_code == 0, result.output
    assert "momentum: stopped before 10,000 elements in 1 tensor(s), which need 0.0 GiB" in result.stdout


def test_tables_of_their_own_are_asked_for_one_at_a_time(run, tmp_path):
    assert "one at a time" in run("bench", "adam", "--scaling", "--cold-start").stderr
    assert "goals of the table of steps" in run("bench", "adam", "--scaling", "--thresholds", str(EXAMPLE)).stderr


def test_graphs_of_very_many_tensors_are_left_out_and_named(run, monkeypatch):
    monkeypatch.setitem(SHAPE_SETS, "tiny", lambda: ShapeSet("tiny", ((2,), (2,))))
    monkeypatch.setattr("tinyms_core.cli.commands.bench.MOST_TRACED", 1)
    options = ("--shapes", "tiny", "--mode", "pynative,jit", "--steps", "1", "--against", "none", "--json", "-")
    report = json.loads(run("bench", "sgd", "momentum", *options).stdout)
    assert [row["mode"] for row in report["results"]] == ["pynative", "pynative"]
    assert "tiny is left out in mode jit" in report["left_out"][0]
