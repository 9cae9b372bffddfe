"""Training of an optimizer that is built from a network: numbers, modes, rates, checkpoints."""

from __future__ import annotations

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, ops
from mindspore.dataset import NumpySlicesDataset

from tinyms_core.conformance.catalog import PYNATIVE, check
from tinyms_core.conformance.checkpoints import transfer
from tinyms_core.conformance.compare import require, require_close, require_same
from tinyms_core.conformance.construction import refusal
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.networks import (
    NEEDS,
    STEPS,
    NetworkLoss,
    NetworkTrial,
    SmallNetwork,
    arrays,
    batch,
    network_arguments,
    network_check,
    network_history,
)
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import Snapshot, scratch_folder, values_of
from tinyms_core.registry.specs import Capabilities

_EAGER_AND_GRAPH = {"pynative": ("float32",), "graph": ("float32",)}
_SCALE = 1024.0
# Inverses of matrices lie between gradients and steps, and make rounding larger.
_TOLERANCE = 2e-4


def _scaled(can: Capabilities) -> bool:
    return can.consumes_network and can.loss_scale


def _varying(can: Capabilities) -> bool:
    return can.consumes_network and can.dynamic_rates


@check("Groups and rates", _EAGER_AND_GRAPH, requirement=_varying, needs=f"{NEEDS} and dynamic_rates", networks=True)
def check_network_rates_by_step(subject: Subject) -> None:
    """A Tensor lists a rate for each step; past its end an error says so and leaves everything as it was."""
    rate = next(h.name for h in subject.spec.hyperparameters if h.kind == "rate")
    given = network_arguments(subject.spec)[rate]
    usual = float(given.asnumpy() if isinstance(given, Tensor) else given)
    listed = NetworkTrial(subject, **{rate: Tensor(np.asarray([usual, usual, 0.0], np.float32))})
    listed.run(2)
    second = listed.snapshot()
    for name, value in network_history(subject)[2].parameters.items():
        require_close(second.parameters[name], value, "float32", f"{name} after 2 steps of listed rates", _TOLERANCE)
    listed.step()
    before = listed.snapshot()
    for name, value in second.parameters.items():
        require_same(before.parameters[name], value, f"{name} after a third step at a rate of 0")
    with scratch_folder():
        message = refusal(listed.step, (ValueError, RuntimeError), "a fourth step with three listed rates")
    require("3" in message, f"the message does not say that there were 3 rates: {message[:200]!r}")
    require_equal(listed.snapshot(), before, "after a step past the last rate was refused")


@network_check("Groups and rates", PYNATIVE)
def check_network_step_advances_once(subject: Subject) -> None:
    """Each step counts one, and asking for the rate counts none."""
    trial = NetworkTrial(subject)
    for count in range(3):
        found = trial.count()
        require(found == count, f"after {count} step(s) global_step is {found}")
        trial.optimizer.get_lr()
        require(trial.count() == count, "get_lr() changes global_step")
        trial.step()


@check("Numbers", PYNATIVE, requirement=_scaled, needs=f"{NEEDS} and loss_scale", networks=True)
def check_network_loss_scale_invariance(subject: Subject) -> None:
    """A scaled loss with the same loss scale gives the same steps, with decay."""
    expected = network_history(subject)[STEPS].parameters
    found = NetworkTrial(subject, scale=_SCALE).run(STEPS).snapshot().parameters
    for name, value in expected.items():
        require_close(found[name], value, "float32", f"{name} after {STEPS} steps, loss scale {_SCALE}", _TOLERANCE)


@network_check("Numbers", PYNATIVE)
def check_network_overflow_forgotten(subject: Subject) -> None:
    """A backward pass of a loss that overflowed, after which no step is done, spoils no later step."""
    trial = NetworkTrial(subject)
    before = trial.mean_loss()
    _gradients(trial, NetworkLoss(trial.network, float("inf")))
    held = trial.run(STEPS).snapshot()
    wrong = [name for name, value in {**held.parameters, **held.state}.items() if not np.isfinite(value).all()]
    require(not wrong, f"after a backward pass that overflowed and {STEPS} steps, not finite are {wrong}")
    after = trial.mean_loss()
    require(after < before, f"after a backward pass that overflowed the loss goes from {before:.4f} to {after:.4f}")


@network_check("Numbers", PYNATIVE)
def check_network_converges(subject: Subject) -> None:
    """The small network learns its batch: in 40 steps the loss falls to less than a half."""
    trial = NetworkTrial(subject)
    before = trial.mean_loss()
    after = trial.run(40).mean_loss()
    require(np.isfinite(after) and after < 0.5 * before, f"the loss went from {before:.4f} to {after:.4f} in 40 steps")


@network_check("Execution", {"graph": ("float32",)})
def check_network_graph_equals_eager(subject: Subject) -> None:
    """Graph mode gives PyNative's numbers, parameters and state, with all options."""
    _compare(network_history(subject, full=True), network_history(subject, "pynative", True), "graph")


@network_check("Execution", {"jit": ("float32",)})
def check_network_jit_equals_eager(subject: Subject) -> None:
    """A function under ``ms.jit`` gives PyNative's numbers, parameters and state, with all options."""
    _compare(network_history(subject, full=True), network_history(subject, "pynative", True), "jit")


def _compare(found: tuple[Snapshot, ...], expected: tuple[Snapshot, ...], mode: str) -> None:
    for step, (one, other) in enumerate(zip(found, expected, strict=True)):
        when = f"after step {step} in {mode} and in pynative"
        require(one.global_step == other.global_step, f"global_step differs {when}")
        require(set(one.state) == set(other.state), f"the state in {mode} is {sorted(one.state)}")
        for name, value in {**other.parameters, **other.state}.items():
            got = one.parameters.get(name, one.state.get(name))
            require_close(got, value, "float32", f"{name} {when}", _TOLERANCE)


@network_check("Execution", _EAGER_AND_GRAPH)
def check_network_model_train(subject: Subject) -> None:
    """MindSpore's ``Model`` gives the training of a plain loop."""
    trial = NetworkTrial(subject)
    model = mindspore.Model(NetworkLoss(trial.network), optimizer=trial.optimizer)
    data = NumpySlicesDataset(arrays(), shuffle=False).batch(len(arrays()[0]))
    model.train(STEPS, data, dataset_sink_mode=False)
    require(trial.count() == STEPS, f"after {STEPS} steps global_step is {trial.count()}")
    for name, value in network_history(subject, "pynative")[STEPS].parameters.items():
        found = trial.snapshot().parameters[name]
        require_close(found, value, "float32", f"{name}, by Model and in a loop", _TOLERANCE)


@network_check("Execution", PYNATIVE)
def check_network_bad_gradients_leave_state_untouched(subject: Subject) -> None:
    """Gradients of a wrong count, shape or type are refused before anything changes, also the curvature."""
    trial = NetworkTrial(subject).run(1)
    before = trial.snapshot()
    good = [Tensor(np.ones(p.shape, np.float32)) for p in trial.optimizer.parameters]
    turned = Tensor(np.ones((1, *good[-1].shape), np.float32))
    cases: list[tuple[str, Any]] = [
        ("too few gradients", tuple(good[:-1])),
        ("too many gradients", (*good, good[0])),
        ("a gradient of another shape", (*good[:-1], turned)),
        ("None as a gradient", (*good[:-1], None)),
        ("one Tensor without a tuple", good[0]),
    ]
    for what, gradients in cases:
        refusal(partial(trial.optimizer, gradients), (TypeError, ValueError), what)
        require_equal(trial.snapshot(), before, f"after {what} was refused")


@network_check("Execution", _EAGER_AND_GRAPH)
def check_network_frozen_untouched(subject: Subject) -> None:
    """Frozen parameters of the network stay as they are and have no state; the others are trained."""
    trained = {parameter.name for parameter in SmallNetwork(frozen=True).trainable_params()}
    trial = NetworkTrial(subject, frozen=True)
    before = trial.snapshot()
    after = trial.run(3).snapshot()
    for name, value in before.parameters.items():
        if name in trained:
            require((after.parameters[name] != value).any(), f"{name} was not trained")
        else:
            require_same(after.parameters[name], value, f"the frozen {name} after 3 steps")
            kept = [held for held in trial.kept() if held.endswith(name)]
            require(not kept, f"state for a frozen parameter: {kept}")


@network_check("Execution", _EAGER_AND_GRAPH)
def check_network_survives_rebinding(subject: Subject) -> None:
    """What is loaded between steps, into network and optimizer, is what the next steps go on from."""
    trial = NetworkTrial(subject)
    everything = {p.name: p for p in trial.network.get_parameters()} | trial.kept()
    first = {name: mindspore.Parameter(Tensor(p.asnumpy().copy()), name=name) for name, p in everything.items()}
    start = trial.snapshot()
    expected = trial.run(3).snapshot()
    for cell in (trial.network, trial.optimizer):
        mindspore.load_param_into_net(cell, first)
    require_equal(trial.snapshot(), start, "right after loading")
    again = trial.run(3).snapshot()
    require(any((value != start.parameters[n]).any() for n, value in again.parameters.items()), "nothing moved")
    require_equal(again, expected, "after 3 steps from what was loaded")


@network_check("State", _EAGER_AND_GRAPH)
def check_network_checkpoint_resume(subject: Subject) -> None:
    """Training resumes from checkpoints of network and optimizer bit for bit, with all options."""
    expected = network_history(subject, full=True)[STEPS]
    first, resumed = NetworkTrial(subject, full=True).run(3), NetworkTrial(subject, full=True)
    with tempfile.TemporaryDirectory(prefix="tinyms_conformance_") as folder:
        transfer(first.network, resumed.network, Path(folder))
        transfer(first.optimizer, resumed.optimizer, Path(folder))
    require_equal(resumed.snapshot(), first.snapshot(), "right after loading")
    require_equal(resumed.run(STEPS - 3).snapshot(), expected, f"after 3 steps, a checkpoint, and {STEPS - 3} more")


@network_check("State", PYNATIVE)
def check_network_state_size_declared(subject: Subject) -> None:
    """Each trained parameter has the declared state, of the declared bytes; what is kept of layers comes on top."""
    trial = NetworkTrial(subject)
    kept = trial.kept()
    for parameter in trial.optimizer.parameters:
        names = [slot.parameter_name(parameter.name) for slot in subject.spec.state if slot.per_parameter]
        held = sum(kept[name].asnumpy().nbytes for name in names if name in kept)
        declared = subject.spec.state_bytes(tuple(parameter.shape))
        require(held == declared, f"the state of {parameter.name} takes {held} bytes, declared {declared}")


@network_check("State", PYNATIVE)
def check_network_two_at_once(subject: Subject) -> None:
    """Names of state are unique, and optimizers of two networks that take turns give what each gives alone."""
    expected = network_history(subject)[3]
    one, other = NetworkTrial(subject), NetworkTrial(subject, frozen=True)
    names = [parameter.name for parameter in one.optimizer.get_parameters()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    require(not twice, f"these names are there twice: {twice}")
    for _ in range(3):
        other.step()
        one.step()
    require_equal(one.snapshot(), expected, "after 3 steps, with another network's between them")
    alone = NetworkTrial(subject, frozen=True).run(3).snapshot()
    require_equal(other.snapshot(), alone, "after 3 steps of the other, with the first one's between them")


@network_check("State", PYNATIVE)
def check_network_gradients_of_its_own(subject: Subject) -> None:
    """The loss's gradients are those of the network without the optimizer, bit for bit."""
    seen, plain = NetworkTrial(subject), NetworkTrial(subject)
    plain.release()
    found, expected = (_gradients(trial, trial.loss) for trial in (seen, plain))
    for parameter, one, other in zip(seen.optimizer.parameters, found, expected, strict=True):
        require_same(values_of(one), values_of(other), f"the gradient of {parameter.name}, looked at and not")


def _gradients(trial: NetworkTrial, loss: Any) -> Any:
    return ops.GradOperation(get_by_list=True)(loss, trial.optimizer.parameters)(*batch())
