"""`compare`: where values are looked for, how they are chosen, what is reported, and real comparisons."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from mindspore import Tensor, nn

from tinyms_core.cli.commands import compare
from tinyms_core.cli.compare import runs, tuning
from tinyms_core.cli.compare.comparison import Contestant, Settings, against_best_other, plan, trainings
from tinyms_core.cli.compare.runs import Run, train_until
from tinyms_core.cli.compare.spaces import SPACES, Decades, OneOf, space_of, spread
from tinyms_core.cli.compare.tables import rows
from tinyms_core.cli.compare.tasks import TASKS, Part, batches, load_data
from tinyms_core.cli.compare.tuning import Trial, tune
from tinyms_core.cli.errors import CommandError
from tinyms_core.cli.train.configuration import of_kind
from tinyms_core.optimizer.create import create_optimizer
from tinyms_core.registry.api import optimizer_info

INFINITE = float("inf")


def run_of(name: str, *accuracies: float, seed: int = 1, target: float = 0.9) -> Run:
    steps = tuple(2 * (k + 1) for k in range(len(accuracies)))
    return Run(name, seed, steps, accuracies, tuple(step / 100 for step in steps), target)


def test_each_hyperparameter_is_spread_evenly():
    trials = spread({"learning_rate": Decades(1e-4, 1.0), "nesterov": OneOf((False, True))}, 16, 3)
    rates = sorted(trial["learning_rate"] for trial in trials)
    parts = [int(np.log10(rate / 1e-4) * 4) for rate in rates]
    assert parts == list(range(16)), "one rate in each sixteenth of the range"
    assert sum(trial["nesterov"] for trial in trials) == 8
    assert trials == spread({"learning_rate": Decades(1e-4, 1.0), "nesterov": OneOf((False, True))}, 16, 3)


def test_an_optimizer_without_a_space_is_looked_at_around_its_default():
    spec = optimizer_info("ftrl")
    (rate,) = space_of(spec, {}).values()
    assert (rate.low, rate.high) == pytest.approx(
        (spec.defaults["learning_rate"] / 30, spec.defaults["learning_rate"] * 30)
    )


def test_what_is_given_is_not_looked_for():
    assert set(space_of(optimizer_info("adam"), {"beta1": 0.5})) == {"learning_rate", "beta2"}


@pytest.mark.parametrize(
    ("names", "rates", "given", "message"),
    [
        (["adam"], [], {"beta3": 0.5}, "none of adam has a hyperparameter 'beta3'"),
        (["rmsprop"], [], {"learning_rate": 0.1}, "nothing is left to look for"),
    ],
)
def test_what_cannot_be_planned_is_named(names, rates, given, message):
    with pytest.raises(CommandError, match=message):
        plan(names, rates, given)


def test_a_missing_value_is_named(monkeypatch):
    monkeypatch.setattr("tinyms_core.cli.compare.spaces.SPACES", {})
    with pytest.raises(CommandError, match=r"'momentum' has no default of 'learning_rate'.*--set learning_rate=VALUE"):
        space_of(optimizer_info("momentum"), {})


def test_rates_are_rows_of_their_own():
    entries = plan(["momentum", "adam"], [0.1, 0.2], {"momentum": 0.5})
    assert [entry.label for entry in entries] == ["momentum 0.1", "momentum 0.2", "adam 0.1", "adam 0.2"]
    assert entries[0].given["momentum"] == 0.5
    assert "momentum" not in entries[2].given, "a value goes to those that have it"
    assert trainings(entries, Settings("pynative", 1, 3)) == 12


def test_whole_numbers_become_ints_where_ints_are_wanted():
    assert of_kind(optimizer_info("thor"), {"frequency": 10.0, "momentum": 1.0}) == {"frequency": 10, "momentum": 1.0}
    assert isinstance(of_kind(optimizer_info("thor"), {"frequency": 10.0})["frequency"], int)


def test_the_parts_share_no_image():
    data = load_data()
    seen = [{image.tobytes() for image in part.images} for part in (data.train, data.validation, data.test)]
    assert [len(part.labels) for part in (data.train, data.validation, data.test)] == [1149, 288, 360]
    assert len(seen[0] | seen[1] | seen[2]) == sum(map(len, seen))


def test_batches_are_whole_and_the_same_for_a_seed():
    part = Part(np.zeros((10, 1, 8, 8), np.float32), np.arange(10, dtype=np.int32))
    first = [next(source)[1].asnumpy() for source in [batches(part, 4, 7)] for _ in range(5)]
    again = [next(source)[1].asnumpy() for source in [batches(part, 4, 7)] for _ in range(5)]
    assert np.array_equal(first, again)
    assert {len(labels) for labels in first} == {4}
    assert len(set(np.concatenate(first[:2]))) == 8, "an image comes once in an epoch"


def test_every_optimizer_gets_as_many_trainings(monkeypatch):
    asked: list[tuple[int, float, int | None]] = []

    def trained(task, train, judge, optimizer, values, seed, mode, limit=None):
        asked.append((seed, values["learning_rate"], limit))
        # The nearer to 0.1, the sooner.
        steps = int(2 * (1 + 20 * abs(np.log10(values["learning_rate"] / 0.1))))
        reached = steps <= (limit or task.limit)
        return Run(optimizer, seed, (steps,), (1.0 if reached else 0.5,), (0.1,), task.target)

    monkeypatch.setattr(tuning, "train_until", trained)
    advanced: list[int] = []
    task = TASKS["digits"]
    found = tune(
        task, load_data(), "adam", {"learning_rate": Decades(1e-3, 10.0)}, {}, 8, "graph", lambda: advanced.append(1)
    )
    assert len(asked) == len(advanced) == tuning.trainings(8) == 8 + 2 * 3
    assert len(found) == 8
    assert found[0].hyperparameters["learning_rate"] == min((t[1] for t in asked), key=lambda r: abs(np.log10(r / 0.1)))
    assert [len(trial.steps) for trial in found] == [3, 3, 3, 1, 1, 1, 1, 1]
    limits = [limit for seed, _, limit in asked if seed == asked[0][0]]
    assert limits[0] == task.limit
    assert min(limits) < task.limit, "a trial that cannot be chosen is given up"


@pytest.mark.parametrize(("trials", "expected"), [(1, 1), (2, 6), (3, 9), (24, 30)])
def test_the_number_of_trainings_is_known_beforehand(monkeypatch, trials, expected):
    def trained(task, train, judge, optimizer, values, seed, mode, limit=None):
        return Run(optimizer, seed, (2,), (0.5,), (0.1,), task.target)

    monkeypatch.setattr(tuning, "train_until", trained)
    advanced: list[int] = []
    space = {"learning_rate": Decades(1e-3, 10.0)}
    tune(TASKS["digits"], load_data(), "adam", space, {}, trials, "graph", lambda: advanced.append(1))
    assert len(advanced) == tuning.trainings(trials) == expected


def test_the_command_offers_every_task():
    assert set(compare._TASKS) == set(TASKS)


def test_the_reported_seeds_are_not_those_of_tuning():
    assert not set(range(1, 1001)) & set(tuning._SEEDS)


def test_medians_and_ratios():
    fast = Contestant("fast", (Trial({"learning_rate": 0.1}, (), ()),), (run_of("fast", 0.5, 0.95),) * 3)
    slow = Contestant(
        "slow",
        (Trial({"learning_rate": 0.2}, (), ()),),
        (run_of("slow", 0.1, 0.2, 0.3, 0.95), run_of("slow", 0.1, 0.2, 0.3, 0.91), run_of("slow", 0.1)),
    )
    never = Contestant("never", (Trial({}, (), ()),), (run_of("never", 0.1, 0.2),))
    everyone = [fast, slow, never]
    assert (fast.steps, slow.steps, never.steps) == (4.0, 8.0, INFINITE)
    assert against_best_other(everyone, fast, "steps") == 0.5
    assert against_best_other(everyone, slow, "steps") == 2.0
    assert against_best_other(everyone, fast, "seconds") == pytest.approx(0.5)
    assert against_best_other(everyone, never, "steps") is None
    cells = rows(everyone)
    assert cells[0][:4] == ("fast", "4", "4 4 4", "0.50")
    assert cells[2][1:4] == ("not reached", "not reached", "-")
    assert never.to_dict()["median_steps"] is None


@pytest.mark.parametrize("mode", ["pynative", "graph"])
@pytest.mark.parametrize("name", ["adam", "thor"])
def test_warming_up_leaves_no_trace(monkeypatch, name, mode):
    task = replace(TASKS["deep-digits"], target=2.0, limit=4, interval=2)
    data = load_data()
    values = {**{k: v.at(0.5) for k, v in SPACES[name].items()}, **({"frequency": 2} if name == "thor" else {})}
    warm = train_until(task, data.train, data.test, name, values, 5, mode)
    monkeypatch.setattr(runs, "_warm_up", lambda *_: None)
    cold = train_until(task, data.train, data.test, name, values, 5, mode)
    assert warm.steps == cold.steps == (2, 4)
    assert warm.accuracies == cold.accuracies


def test_create_optimizer_makes_tensors_for_an_optimizer_of_a_network():
    optimizer = create_optimizer("thor", nn.Dense(3, 2), learning_rate=[0.1, 0.2], damping=0.5, momentum=0.9)
    assert optimizer.rate_limit == 2
    assert float(optimizer.damping.asnumpy()) == 0.5
    optimizer.detach()
    given = Tensor(np.float32(0.25))
    optimizer = create_optimizer("thor", nn.Dense(3, 2), learning_rate=0.1, damping=given, momentum=0.9)
    assert float(optimizer.damping.asnumpy()) == 0.25
    optimizer.detach()
    with pytest.raises(TypeError, match="'damping' must be a Tensor"):
        create_optimizer("thor", nn.Dense(3, 2), learning_rate=0.1, damping="much", momentum=0.9)


def test_a_comparison_gives_tables_pictures_a_page_and_data(run, tmp_path):
    path = tmp_path / "compare.json"
    options = ["--task", "deep-digits", "--trials", "2", "--seeds", "2", "--limit", "10", "--target", "0.05"]
    result = run("compare", "adam", "thor", *options, "--output", str(tmp_path / "out"), "--json", str(path))
    assert result.exit_code == 0, result.output
    (task,) = json.loads(path.read_text())["tasks"]
    assert (task["name"], task["target"], task["limit"]) == ("deep-digits", 0.05, 10)
    for entry in task["optimizers"]:
        assert [r["seed"] for r in entry["runs"]] == [1, 2]
        assert len(entry["trials"]) == 2
        assert entry["median_steps"] == 5, "a target below chance is reached at the first look"
        assert entry["optimizer"] in result.stdout
    assert (tmp_path / "out" / "deep-digits.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "data:image/png;base64," in page
    assert page.count("<tr>") == 3
    assert "$" not in page, "every place of the template is filled"
    assert "://" not in page, "it needs no other file"
    assert page.count("src=") == page.count('src="data:image/png;base64,') == 1


def test_a_rate_that_is_given_twice_is_one_row():
    entries = plan(["adam", "lion"], [0.1, 0.1, 0.10000001], {})
    assert [entry.label for entry in entries] == ["adam 0.1", "adam 0.10000001", "lion 0.1", "lion 0.10000001"]


def test_what_is_built_around_another_is_refused(run, tmp_path):
    result = run("compare", "lars", "--output", str(tmp_path))
    assert result.exit_code == 2
    assert "'lars' is built around another optimizer" in result.stderr
