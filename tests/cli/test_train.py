"""`train`: configurations, the form of results, and real training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinyms_core.cli.around import together
from tinyms_core.cli.errors import CommandError
from tinyms_core.cli.train.configuration import TUNED, configure
from tinyms_core.cli.train.data import RandomShift, load
from tinyms_core.registry.api import optimizer_info
from tinyms_core.registry.specs import Capabilities

_GOAL = 0.97


def test_the_tuned_values_are_used():
    chosen = configure("momentum", optimizer_info("momentum"))
    assert chosen.learning_rate == TUNED["momentum"].learning_rate
    assert chosen.hyperparameters == {"momentum": 0.9}
    assert "momentum=0.9" in chosen.describe()


def test_what_the_user_gives_is_stronger():
    spec = optimizer_info("adam")
    chosen = configure("adam", spec, learning_rate=0.5, weight_decay=0.25, hyperparameters={"beta1": 0.8})
    assert (chosen.learning_rate, chosen.weight_decay, chosen.hyperparameters["beta1"]) == (0.5, 0.25, 0.8)


def test_an_optimizer_without_tuned_values_has_its_own_defaults():
    chosen = configure("adam", optimizer_info("adam"), tuned={})
    assert (chosen.learning_rate, chosen.weight_decay, dict(chosen.hyperparameters)) == (1e-3, 0.0, {})


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("lamb", {}, "give --learning-rate"),
        ("momentum", {"learning_rate": 0.1}, "give --set momentum=VALUE"),
        ("adam", {"hyperparameters": {"beta3": 0.5}}, "no hyperparameter 'beta3'; it has learning_rate, beta1"),
    ],
)
def test_what_is_missing_or_unknown_is_named(name, given, message):
    with pytest.raises(CommandError, match=message):
        configure(name, optimizer_info(name), tuned={}, **given)


def test_capabilities_decide_about_the_schedule():
    spec = optimizer_info("adam")
    fixed = replace(spec, capabilities=Capabilities(dynamic_rates=False))
    assert configure("adam", fixed).schedule == "constant"


def test_one_epoch_gives_a_table_a_picture_and_data(run, tmp_path):
    path = tmp_path / "train.json"
    arguments = ["--mode", "graph", "--epochs", "1", "--batch-size", "256", "--output", str(tmp_path / "out")]
    result = run("train", "adam", *arguments, "--json", str(path))
    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    (entry,) = report["results"]
    assert len(entry["losses"]) == entry["steps_per_epoch"] == 5
    assert 0 <= entry["accuracy"] <= 1
    assert entry["step_time"]["milliseconds"] > 0
    assert "graph" in entry["step_time"]["how"]
    assert report["settings"] == {"mode": "graph", "seed": 1, "epochs": 1, "batch_size": 256}
    assert Path(report["loss_curves"]).read_bytes().startswith(b"\x89PNG")
    assert "learning_rate=" in result.stdout
    assert f"{entry['accuracy']:.2%}" in result.stdout


def test_an_optimizer_of_a_network_trains_and_has_no_step_apart(run, tmp_path):
    path = tmp_path / "train.json"
    arguments = ["--epochs", "2", "--set", "frequency=20", "--output", str(tmp_path), "--json", str(path)]
    result = run("train", "thor", *arguments)
    assert result.exit_code == 0, result.output
    (entry,) = json.loads(path.read_text())["results"]
    assert entry["accuracy"] > 0.9
    assert entry["step_time"] is None
    assert entry["configuration"]["hyperparameters"]["frequency"] == 20
    assert "no step apart" in result.stdout


def test_a_missed_goal_is_exit_status_1(run, tmp_path):
    arguments = ["--mode", "graph", "--epochs", "1", "--batch-size", "1000", "--output", str(tmp_path), "--goal", "1"]
    result = run("train", "adam", *arguments)
    assert result.exit_code == 1
    assert "the goal is 100.00%" in result.stderr


def test_missing_extras_say_what_to_install(run, monkeypatch):
    monkeypatch.setattr("tinyms_core.cli.training_options.find_spec", lambda name: None)
    result = run("train", "adam")
    assert result.exit_code == 2
    assert 'scikit-learn and matplotlib: pip install "tinyms-core[train]"' in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["adam", "--set", "beta1"], "'beta1' is not NAME=NUMBER"),
        (["adam", "--set", "beta1=2.0"], "beta1"),
        (["adam", "--epochs", "0"], "0 is not in the range"),
    ],
)
def test_bad_values_are_refused(run, tmp_path, arguments, message):
    result = run("train", *arguments, "--mode", "graph", "--output", str(tmp_path))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_the_three_optimizers_reach_the_goal_in_graph_mode(tmp_path):
    path = tmp_path / "train.json"
    command = [sys.executable, "-c", "from tinyms_core.cli.main import main; main()", "train", "momentum", "adam"]
    command += ["lamb", "--mode", "graph", "--goal", str(_GOAL), "--output", str(tmp_path), "--json", str(path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert min(entry["accuracy"] for entry in json.loads(path.read_text())["results"]) >= _GOAL


def test_moved_images_are_the_same_images_elsewhere():
    images = np.full((200, 1, 8, 8), -1, np.float32)
    images[:, 0, 3, 4] = 1
    moved = RandomShift(0)(images)
    assert moved.shape == images.shape
    assert moved.dtype == np.float32
    assert np.array_equal((moved == 1).sum(axis=(1, 2, 3)), np.ones(200))
    assert set(zip(*np.nonzero(moved[:, 0] == 1)[1:], strict=True)) == {(r, c) for r in (2, 3, 4) for c in (3, 4, 5)}


def test_digits_are_split_by_class():
    digits = load()
    assert len(digits.train_labels) + len(digits.test_labels) == 1797
    assert digits.train_images.shape[1:] == (1, 8, 8)
    assert (digits.train_images.min(), digits.train_images.max()) == (-1, 1)
    shares = np.bincount(digits.test_labels) / np.bincount(digits.train_labels)
    assert np.allclose(shares, 0.25, atol=0.01)


def test_an_optimizer_around_another_one_takes_the_arguments_of_both():
    configuration = configure(
        "lars", together("lars", "momentum"), around="momentum", hyperparameters={"use_clip": True}
    )
    assert {"momentum", "use_clip"} <= set(configuration.hyperparameters)
    assert configuration.describe().startswith("around momentum, learning_rate=")
    with pytest.raises(CommandError, match="no hyperparameter 'beta1'"):
        configure("lars", together("lars", "momentum"), around="momentum", hyperparameters={"beta1": 0.5})
    assert "momentum" not in configure("lars", together("lars", "adam"), around="adam").hyperparameters
