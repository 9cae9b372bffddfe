"""`gallery`: the functions and their gradients, what is chosen, what is drawn, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn
from PIL import Image

from tinyms_core.cli.gallery import exhibition, learning, page, paths
from tinyms_core.cli.gallery.functions import FUNCTIONS
from tinyms_core.cli.gallery.rates import COARSE, FINE, arguments, best
from tinyms_core.cli.gallery.text import ALPHABET, load_text, windows
from tinyms_core.cli.gallery.transformer import CharacterTransformer

BY_NAME = {function.name: function for function in FUNCTIONS}


@pytest.fixture
def few_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths with two rates, which take no time."""
    monkeypatch.setattr(paths, "FINE", (0.001, 0.002))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_gradients_are_those_of_the_functions(function):
    for x, y in (function.start, (0.3, -0.7), (-1.1, 1.9)):
        near = 1e-6
        slopes = (
            (function.value(x + near, y) - function.value(x - near, y)) / (2 * near),
            (function.value(x, y + near) - function.value(x, y - near)) / (2 * near),
        )
        assert function.gradient(x, y) == pytest.approx(slopes, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_the_minimum_is_zero_and_in_the_picture(function):
    assert function.value(*function.minimum) == pytest.approx(0, abs=1e-12)
    assert function.gradient(*function.minimum) == pytest.approx((0, 0), abs=1e-12)
    left, right, bottom, top = function.window
    for x, y in (function.start, function.minimum):
        assert left < x < right
        assert bottom < y < top


def test_rates_rise_evenly():
    for rates, step in ((FINE, 1 / 4), (COARSE, 1 / 2)):
        assert np.diff(np.log10(rates)) == pytest.approx(step, abs=0.01)


def test_the_best_is_the_first_of_the_least_numbers():
    assert best([3.0, float("nan"), 1.0, float("inf")], lambda value: value) == 1.0
    assert best(["b", "a"], lambda _: float("inf")) == "b"


def test_a_path_follows_the_optimizer():
    function = BY_NAME["beale"]
    path = paths.descend(function, "sgd", 0.001, {})
    assert len(path.points) == len(path.values) == paths.STEPS + 1
    point = np.array(function.start, np.float32)
    for place in path.points[1:6]:
        point -= np.float32(0.001) * np.array(function.gradient(*point.tolist()), np.float32)
        assert place == pytest.approx(point.tolist(), rel=1e-6)
    assert path.values[-1] < path.values[0]


def test_a_path_that_is_lost_is_no_choice():
    path = paths.descend(BY_NAME["rosenbrock"], "sgd", 1.0, {})
    assert len(path.points) < paths.STEPS
    assert path.score == float("inf")


def test_optimizers_get_what_they_need():
    assert arguments("momentum", "momentum") == {"momentum": 0.9}
    assert arguments("lars", "sgd")["around"] == "sgd"
    assert arguments("adafactor", "momentum") == {"relative_step": False}


def test_pieces_of_the_text_come_with_their_successors():
    text = load_text()
    assert text.min() >= 0
    assert text.max() < len(ALPHABET)
    pieces, successors = next(windows(text, 8, 4, 3))
    assert pieces.shape == (4, 8)
    assert (pieces.asnumpy()[:, 1:] == successors.asnumpy().reshape(4, 8)[:, :-1]).all()
    again, _ = next(windows(text, 8, 4, 3))
    assert (pieces.asnumpy() == again.asnumpy()).all()


def test_the_transformer_looks_back_only():
    network = CharacterTransformer(5, 6, width=8, heads=2, blocks=1)
    before = np.array([[0, 1, 2, 3, 4, 0]], np.int32)
    after = before.copy()
    after[0, 4] = 1
    one, other = (network(Tensor(piece)).asnumpy() for piece in (before, after))
    assert np.allclose(one[:4], other[:4], atol=1e-6)
    assert not np.allclose(one[4:], other[4:], atol=1e-3)


def _lesson(rates: tuple[float, ...]) -> learning.Lesson:
    x = Tensor(np.eye(4, dtype=np.float32))
    y = Tensor(np.arange(4, dtype=np.int32))
    return learning.Lesson("digits", lambda: nn.Dense(4, 4), lambda: iter([(x, y)] * 100), rates, 12, 20)


def test_every_rate_is_tried_and_the_best_is_shown():
    done = []
    course = learning.learn(_lesson((1e-4, 1.0, 1e38)), "sgd", {}, lambda: done.append(1))
    assert course.learning_rate == 1.0
    assert course.trials[1.0] < course.trials[1e-4]
    assert len(course.losses) == 20
    assert len(done) == learning.trainings(_lesson((1e-4, 1.0, 1e38))) == 6
    again = learning.train(_lesson(()), "sgd", 1.0, {}, 20)
    assert again == pytest.approx(course.losses, rel=1e-5)
    assert json.dumps(course.to_dict())


def test_a_network_that_was_looked_at_is_let_go(monkeypatch):
    let_go = []
    monkeypatch.setattr(learning, "let_go", let_go.append)
    learning.train(_lesson((0.1,)), "thor", 0.1, arguments("thor", ""), 3)
    assert [optimizer.attached for optimizer in let_go] == [True]
    let_go[0].detach()


def test_the_command_draws_the_same_each_time(run, few_rates, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        done = run(
            "gallery", "sgd", "lars", "--part", "paths", "--output", str(folder), "--json", str(folder) + ".json"
        )
        assert done.exit_code == 0, done.output
        assert "pictures: 6" in done.output
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == sorted(["index.md", *(f"{n}-{f}.png" for n in ("sgd", "lars") for f in BY_NAME)])
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    report = json.loads(Path(f"{folders[0]}.json").read_text())
    assert [one["name"] for one in report["optimizers"]] == ["sgd", "lars"]
    text = (folders[0] / "index.md").read_text()
    assert "[![SGD: rosenbrock](sgd-rosenbrock.png)](#sgd)" in text
    assert "around momentum" in text
    assert "Characters" not in text
    assert "the best of 19 from" in text


def test_an_optimizer_of_a_network_has_no_path(run, tmp_path):
    done = run("gallery", "thor", "--part", "paths", "--output", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["index.md"]
    assert "It is built from a network, so it has no path" in (tmp_path / "index.md").read_text()


def test_an_unknown_part_is_refused(run, tmp_path):
    done = run("gallery", "sgd", "--part", "music", "--output", str(tmp_path))
    assert done.exit_code == 2
    assert "'music' is none of paths, digits, text, all" in done.output


def test_losses_are_drawn_before_others(tmp_path):
    course = learning.Course("digits", {0.1: 1.0, 1.0: float("inf")}, 0.1, (2.0, 1.5, 1.0))
    one = exhibition.Exhibit("sgd", "SGD", "", False, (), (course,))
    other = exhibition.Exhibit("adam", "Adam", "", False, (), (course,))
    files = exhibition.draw([one, other], tmp_path)
    assert [file.name for file in files] == [f"{n}-digits{k}.png" for n in ("sgd", "adam") for k in ("", "-by-rate")]
    with Image.open(files[0]) as picture:
        assert picture.size == (420, 360)
    text = page.gallery_page([one, other], ["digits"])
    assert "60 steps of 128 images" in text
    assert "Both numbers" not in text
