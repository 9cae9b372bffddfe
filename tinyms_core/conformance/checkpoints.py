"""State: checkpoints resume, and are those of MindSpore's own optimizers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import mindspore
import numpy as np

from tinyms_core.conformance.catalog import CheckFailure, check
from tinyms_core.conformance.compare import require, require_close
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.peers import UNNAMED, build_peer, compare_layout, peer_class
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.workload import Member, Workload
from tinyms_core.registry.specs import DTYPES

_FORMATS = ("ckpt", "safetensors")


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
        missing, surplus = [[n for n in names if not UNNAMED.fullmatch(n)] for names in (missing, surplus)]
    require(not missing, f"the checkpoint lacks {missing}")
    require(not surplus, f"the checkpoint has {surplus}, which the optimizer lacks")


@check("State", {"pynative": ("float32",)})
def check_checkpoint_interchange(subject: Subject) -> None:
    """Checkpoints are those of MindSpore's optimizer of the same class name: names, shapes, dtypes, and numbers.

    Numbers are compared where MindSpore's own are right, which one step against the oracle decides.
    """
    theirs = peer_class(subject)
    compared, reasons = 0, []
    for setting in (subject.defaults, *subject.settings):
        workload = subject.plain(Member("a.weight", (16, 9)), Member("b.bias", (21,)), hyperparameters=setting)
        other = build_peer(theirs, subject, workload)
        ours = subject.trial(workload)
        compare_layout(ours.optimizer, other.optimizer)
        wrong = _wrong(subject, theirs, workload)
        if wrong:
            reasons.append(wrong)
            continue
        compared += 1
        _compare_trajectories(subject, theirs, workload)
    if not compared and not reasons:
        raise CheckFailure("no setting was compared")


def _wrong(subject: Subject, theirs: Any, workload: Workload) -> str:
    """Why MindSpore's own optimizer cannot be compared with; empty where it can."""
    other = build_peer(theirs, subject, workload)
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
            ("mindspore.nn's checkpoint", build_peer(theirs, subject, workload), subject.trial(workload)),
            ("a checkpoint in mindspore.nn", subject.trial(workload), build_peer(theirs, subject, workload)),
        ):
            first.run(3)
            transfer(first.optimizer, second.optimizer, Path(folder), unnamed=False)
            second.steps = 3
            for name, value in second.run(3).snapshot().parameters.items():
                require_close(value, expected[name], "float32", f"{name}, continued from {what}", 1e-5)
