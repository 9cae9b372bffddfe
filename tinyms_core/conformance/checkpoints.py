"""State: checkpoints resume, and are those of MindSpore's own optimizers."""

from __future__ import annotations

import inspect
import re
import tempfile
from pathlib import Path
from typing import Any

import mindspore
import numpy as np
from mindspore import nn

from tinyms_core.conformance.catalog import CheckFailure, CheckSkipped, check
from tinyms_core.conformance.compare import require, require_close
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import Trial, make_arguments, make_parameters
from tinyms_core.conformance.workload import Member, Workload
from tinyms_core.registry.specs import DTYPES

_FORMATS = ("ckpt", "safetensors")
# What MindSpore calls a Parameter without a name; some of its optimizers hold such, which mean nothing.
_UNNAMED = re.compile(r"Parameter\$\d+")


@check("State", {"pynative": DTYPES, "graph": ("float32",)})
def check_checkpoint_resume(subject: Subject) -> None:
    """Training resumes from a checkpoint bit for bit, in either of MindSpore's formats."""
    workload = subject.workload(steps=8)
    expected = subject.history(workload)[-1]
    first = subject.trial(workload, mode="pynative" if subject.mode == "pynative" else "").run(4)
    for kind in _FORMATS if subject.mode == "pynative" else _FORMATS[:1]:
        resumed = subject.trial(workload)
        with tempfile.TemporaryDirectory(prefix="tinyms_conformance_") as folder:
            transfer(first.optimizer, resumed.optimizer, Path(folder), kind)
        require_equal(resumed.snapshot(), first.snapshot(), f"right after loading a {kind}")
        resumed.steps = first.steps
        require_equal(resumed.run(4).snapshot(), expected, f"after 4 steps, a {kind} checkpoint, and 4 more")


def transfer(source: Any, target: Any, folder: Path, kind: str = "ckpt", unnamed: bool = True) -> None:
    """Save one optimizer to a file and load the file into another.

    Arguments:
        source: whose Parameters are saved.
        target: what they are loaded into.
        folder: where the file is written.
        kind: the file's format.
        unnamed: whether Parameters count that were given no name.

    Raises:
        CheckFailure: a Parameter of either has no match in the other.
    """
    saved = mindspore.save_checkpoint(source, str(folder / f"saved.{kind}"), format=kind)
    require(saved is None, "save_checkpoint returned something")
    loaded = mindspore.load_checkpoint(str(folder / f"saved.{kind}"), format=kind)
    missing, surplus = mindspore.load_param_into_net(target, loaded, strict_load=True)
    if not unnamed:
        missing, surplus = [[n for n in names if not _UNNAMED.fullmatch(n)] for names in (missing, surplus)]
    require(not missing, f"the checkpoint lacks {missing}")
    require(not surplus, f"the checkpoint has {surplus}, which the optimizer lacks")


@check("State", {"pynative": ("float32",)})
def check_checkpoint_interchange(subject: Subject) -> None:
    """Checkpoints are those of MindSpore's optimizer of the same class name: names, shapes, dtypes, and numbers.

    Numbers are compared where MindSpore's own are right, which one step against the oracle decides.
    """
    theirs = getattr(nn, subject.optimizer_class.__name__, None)
    if not (inspect.isclass(theirs) and issubclass(theirs, nn.Optimizer)):
        raise CheckSkipped(f"mindspore.nn has no optimizer named {subject.optimizer_class.__name__}")
    compared, reasons = 0, []
    for setting in (subject.defaults, *subject.settings):
        workload = subject.plain(Member("a.weight", (16, 9)), Member("b.bias", (21,)), hyperparameters=setting)
        other = _build(theirs, subject, workload)
        ours = subject.trial(workload)
        _compare_layout(ours.optimizer, other.optimizer)
        wrong = _wrong(subject, theirs, workload)
        if wrong:
            reasons.append(wrong)
            continue
        compared += 1
        _compare_trajectories(subject, theirs, workload)
    if not compared and not reasons:
        raise CheckFailure("no setting was compared")


def _build(optimizer_class: Any, subject: Subject, workload: Workload) -> Trial:
    """Another class with the same arguments, as far as it has them, in a trial of its own."""
    trial = subject.trial(workload)
    # MindSpore's decorators hide the signature; what is left of it takes anything.
    accepted = inspect.signature(inspect.unwrap(optimizer_class.__init__)).parameters
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in accepted.values())
    given = make_arguments(subject.spec, workload)
    trial.parameters = make_parameters(workload)
    trial.optimizer = optimizer_class(
        list(trial.parameters.values()), **{k: v for k, v in given.items() if anything or k in accepted}
    )
    trial._step = lambda gradients: trial.optimizer(tuple(gradients))
    return trial


def _compare_layout(ours: Any, theirs: Any) -> None:
    def layout(optimizer: Any) -> dict[str, tuple[Any, ...]]:
        return {p.name: (tuple(p.shape), str(p.dtype)) for p in optimizer.get_parameters()}

    found = layout(ours)
    expected = {name: value for name, value in layout(theirs).items() if not _UNNAMED.fullmatch(name)}
    missing, surplus = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    require(not missing and not surplus, f"against mindspore.nn's state, missing: {missing}, more: {surplus}")
    for name, value in expected.items():
        require(found[name] == value, f"{name} has shape and dtype {found[name]}, in mindspore.nn {value}")


def _wrong(subject: Subject, theirs: Any, workload: Workload) -> str:
    """Why MindSpore's own optimizer cannot be compared with; empty where it can."""
    other = _build(theirs, subject, workload)
    oracle = subject.oracle(workload)
    for _ in range(2):
        oracle.step()
        try:
            other.step()
        except (RuntimeError, TypeError, ValueError) as error:
            return f"mindspore.nn's fails on this device: {type(error).__name__}"
    for name, value in other.snapshot().parameters.items():
        if not np.allclose(value, oracle.parameters[name], rtol=1e-4, atol=1e-5):
            return f"mindspore.nn's computes something else for {name}"
    return ""


def _compare_trajectories(subject: Subject, theirs: Any, workload: Workload) -> None:
    """Three steps of either, then three of the other from its checkpoint, against six of ours."""
    expected = subject.trial(workload).run(6).snapshot().parameters
    with tempfile.TemporaryDirectory(prefix="tinyms_conformance_") as folder:
        for what, first, second in (
            ("mindspore.nn's checkpoint", _build(theirs, subject, workload), subject.trial(workload)),
            ("a checkpoint in mindspore.nn", subject.trial(workload), _build(theirs, subject, workload)),
        ):
            first.run(3)
            transfer(first.optimizer, second.optimizer, Path(folder), unnamed=False)
            second.steps = 3
            for name, value in second.run(3).snapshot().parameters.items():
                require_close(value, expected[name], "float32", f"{name}, continued from {what}", 1e-5)
