"""Identity: the optimizer is what its name and its declaration say."""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import pickle
import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

from tinyms_core.conformance.catalog import ONCE, CheckFailure, CheckSkipped, check
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.composite import configuration
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import Snapshot, Trial, make_arguments, make_step, make_tensor
from tinyms_core.conformance.workload import Member, Workload
from tinyms_core.registry import api
from tinyms_core.registry.errors import UnknownOptimizerError
from tinyms_core.registry.probe import resolve

_OWN_STATE = ("global_step", "learning_rate")


@check("Identity", ONCE, networks=True)
def check_name_resolves(subject: Subject) -> None:
    """Name and aliases, in any spelling, give the same class, whose spec is the registered one."""
    for alias in subject.declared.aliases:
        # An alias that is taken cannot even be registered, which would skip the check.
        with contextlib.suppress(UnknownOptimizerError):
            owner = api.optimizer_info(alias)
            ours = owner.name == subject.declared.name or resolve(owner.implementation) is subject.declared_class
            require(ours, f"the alias {alias!r} is that of another optimizer, {owner.implementation_name}")
    with subject.registered():
        for name in subject.declared.names:
            for spelling in (name, name.upper(), name.replace("_", "-"), name.replace("_", "")):
                found = api.get_optimizer(spelling)
                right = subject.declared_class
                require(found is right, f"{spelling!r} gives {found!r}, not {right!r}")
        require(subject.declared.name in api.list_optimizers(), f"{subject.declared.name!r} is not in the listing")


@check("Identity", ONCE)
def check_metadata_matches_class(subject: Subject) -> None:
    """The spec that the class carries is the spec that is registered."""
    own = getattr(subject.declared_class, "spec", None)
    require(own is not None, f"{subject.declared_class.__name__} has no 'spec'")
    for field in fields(subject.declared):
        if field.name not in ("implementation", "distribution", "kernels"):
            registered, carried = getattr(subject.declared, field.name), getattr(own, field.name)
            require(registered == carried, f"spec.{field.name} is {carried!r} in the class, {registered!r} registered")


@check("Identity", ONCE)
def check_metadata_matches_signature(subject: Subject) -> None:
    """Declared hyperparameters are the constructor's arguments, declared state is what is built, capabilities hold."""
    signature = inspect.signature(subject.optimizer_class).parameters
    declared = {h.name: h for h in subject.spec.hyperparameters}
    arguments = list(signature)[1:]
    names = list(declared)
    require(arguments == names, f"the constructor takes {arguments} after params, declared are {names}")
    for name in arguments:
        default, empty = signature[name].default, inspect.Parameter.empty
        right = empty if declared[name].required else declared[name].default
        same = default is right or (type(default) is type(right) and default == right)
        require(same, f"{name!r}: the constructor's default is {default!r}, the declared one {right!r}")
    _check_arguments_against_capabilities(subject)
    _check_state(subject)
    _check_layerwise(subject)


def _check_arguments_against_capabilities(subject: Subject) -> None:
    spec = subject.spec
    kinds = [h.kind for h in spec.hyperparameters]
    require(kinds.count("rate") == 1, "exactly one hyperparameter must be of kind 'rate'")
    has_decay, can_decay = "decay" in kinds, spec.capabilities.weight_decay != "none"
    require(has_decay == can_decay, f"weight_decay is declared {spec.capabilities.weight_decay!r}, arguments: {kinds}")
    has_scale = any(h.name == "loss_scale" for h in spec.hyperparameters)
    require(
        has_scale == spec.capabilities.loss_scale,
        f"the capability loss_scale is {spec.capabilities.loss_scale}, the argument is "
        f"{'there' if has_scale else 'missing'}",
    )


def _check_state(subject: Subject) -> None:
    """Over all settings the built state is the declared one, with its shapes and first values."""
    slots = {slot.name: slot for slot in subject.spec.state}
    saved = {h.saved_as for h in subject.spec.hyperparameters if h.saved_as}
    seen: set[str] = set()
    for index in range(len(subject.settings)):
        workload = subject.plain(hyperparameters=subject.settings[index])
        trial = subject.trial(workload)
        values = trial.snapshot().state
        expected = set()
        for place in workload.places:
            for slot, held in trial.state_of(place.member.name).items():
                seen.add(slot)
                expected.add(held.name)
                shape = slots[slot].shape_for(place.member.shape, dict(workload.hyperparameters))
                built = tuple(held.shape)
                require(built == shape, f"state {held.name!r} has shape {built}, declared {shape}")
                start = slots[slot].initial
                number = dict(workload.hyperparameters)[start] if isinstance(start, str) else start
                require(
                    abs(values[held.name] - number).max(initial=0.0) <= 1e-7 * abs(number),
                    f"state {held.name!r} starts with {values[held.name].ravel()[:1]}, declared {number!r}",
                )
        extra = [n for n in values if n not in expected | saved and not n.startswith(_OWN_STATE)]
        require(not extra, f"state that is not declared: {extra}; declared: {sorted(s.prefix for s in slots.values())}")
    missing = sorted(set(slots) - seen)
    require(not missing, f"state that is declared and never built: {missing}")


def _check_layerwise(subject: Subject) -> None:
    """One element's gradient changes other elements' steps, with some setting and shape, exactly where declared."""
    coupled = any(
        _is_coupled(subject, subject.plain(Member("w", shape), hyperparameters=setting, steps=3))
        for shape in ((40,), (8, 5))
        for setting in subject.settings
    )
    require(
        coupled == subject.capabilities.layerwise,
        f"the capability layerwise is {subject.capabilities.layerwise}, but another element's gradient "
        f"{'changes' if coupled else 'does not change'} an element's step",
    )


def _is_coupled(subject: Subject, workload: Workload) -> bool:
    results = []
    for factor in (1.0, 3.0):
        trial = subject.trial(workload, mode="pynative")
        for _ in range(3):
            values = workload.gradients(trial.steps)["w"]
            values.flat[0] *= factor
            trial.step([make_tensor(values, subject.parameter_dtype)])
        results.append(trial.snapshot().parameters["w"].ravel()[1:])
    return bool((results[0] != results[1]).any())


@check("Identity", ONCE)
def check_signature_stable(subject: Subject) -> None:
    """`params` is first, every argument works by position and by keyword, and there is no catch-all."""
    signature = inspect.signature(subject.optimizer_class)
    kinds = {p.name: p.kind for p in signature.parameters.values()}
    wrong = [name for name, kind in kinds.items() if kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD]
    require(not wrong, f"these arguments do not work both by position and by keyword: {wrong}")
    require(next(iter(kinds), "") == "params", f"the first argument is {next(iter(kinds), 'missing')!r}, not 'params'")
    workload = subject.plain(loss_scale=4.0 if subject.capabilities.loss_scale else 1.0)
    by_keyword = subject.trial(workload)
    parameters = subject.trial(workload).parameters
    arguments = make_arguments(subject.spec, workload)
    positional = [arguments[h.name] for h in subject.spec.hyperparameters]
    optimizer = subject.optimizer_class(list(parameters.values()), *positional)
    step = make_step(optimizer, "pynative")
    for _ in range(3):
        step(by_keyword.gradients())
        by_keyword.step()
    values = by_keyword.snapshot().parameters
    for name, parameter in parameters.items():
        require_same(parameter.asnumpy(), values[name], f"{name} after 3 steps, arguments by position and by keyword")


@check("Identity", ONCE, networks=True)
def check_listing_is_lazy(subject: Subject) -> None:
    """Listing optimizers and asking for a spec import neither the class, MindSpore nor numba."""
    if not isinstance(subject.declared.implementation, str) or not subject.declared.distribution:
        raise CheckSkipped("it is known to this process alone, not by an installed distribution")
    if subject.declared.distribution == "in-process":
        raise CheckSkipped("it is registered in this process alone")
    module = subject.declared.implementation.partition(":")[0]
    program = (
        "import sys, tinyms_core\n"
        f"assert {subject.declared.name!r} in tinyms_core.list_optimizers(), 'it is not listed'\n"
        f"tinyms_core.optimizer_info({subject.declared.name!r})\n"
        f"loaded = [name for name in ({module!r}, 'mindspore', 'numba') if name in sys.modules]\n"
        "sys.exit('listing it imports ' + ', '.join(loaded) if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    require(done.returncode == 0, f"in a new process: {done.stderr.strip()[-400:]}")


@check("Identity", ONCE)
def check_config_roundtrip(subject: Subject) -> None:
    """`get_config` holds every argument, and builds an optimizer that steps alike, bit for bit."""
    workload = replace(subject.workload(), rate=subject.plain().rate)
    trial = subject.trial(workload)
    config = configuration(subject.spec, trial.optimizer)
    names = {h.name for h in subject.spec.hyperparameters}
    require(set(config) == names, f"get_config() has {sorted(config)}, the constructor takes {sorted(names)}")
    given = make_arguments(subject.spec, workload)
    wrong = {name: config[name] for name in names if config[name] != given[name]}
    require(not wrong, f"get_config() changed {wrong}; given were { ({name: given[name] for name in wrong}) }")
    again = subject.trial(workload, **config)
    require_equal(trial.run(5).snapshot(), again.run(5).snapshot(), "after 5 steps, built from get_config()")


@check("Identity", {"pynative": ("float32", "bfloat16")})
def check_deepcopy_and_pickle(subject: Subject) -> None:
    """Copies continue on the same trajectory and share nothing with the original."""
    for label, duplicate in (("copy.deepcopy", copy.deepcopy), ("pickle", _pickled)):
        workload = replace(subject.workload(), rate=subject.plain().rate)
        original = subject.trial(workload).run(3)
        before = original.snapshot()
        twin = object.__new__(Trial)
        twin.__dict__.update(original.__dict__)
        twin.optimizer = duplicate(original.optimizer)
        twin.parameters = {parameter.name: parameter for parameter in twin.optimizer.parameters}
        twin._step = make_step(twin.optimizer, "pynative")
        require(list(twin.parameters) == list(original.parameters), f"{label} changes the parameters' names or order")
        require_equal(twin.snapshot(), before, f"right after {label}")
        twin.run(3)
        require_equal(original.snapshot(), before, f"the original, after its {label} was stepped")
        require_equal(twin.snapshot(), original.run(3).snapshot(), f"{label}, 3 steps on")


class _ByReference(pickle.Pickler):
    """Pickles the optimizer's class by reference, so that one which cannot be imported by name does as well."""

    def __init__(self, stream: io.BytesIO, optimizer_class: type) -> None:
        super().__init__(stream)
        self._class = optimizer_class

    def persistent_id(self, found: Any) -> str | None:
        return "class" if found is self._class else None


class _Resolving(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, optimizer_class: type) -> None:
        super().__init__(stream)
        self._class = optimizer_class

    def persistent_load(self, identifier: str) -> type:
        if identifier != "class":
            raise CheckFailure(f"the pickle refers to {identifier!r}")
        return self._class


def _pickled(optimizer: Any) -> Any:
    stream = io.BytesIO()
    _ByReference(stream, type(optimizer)).dump(optimizer)
    stream.seek(0)
    return _Resolving(stream, type(optimizer)).load()


def require_equal(actual: Snapshot, expected: Snapshot, what: str) -> None:
    """Require that two snapshots hold the same, bit for bit.

    Raises:
        CheckFailure: a parameter or state differs.
    """
    for name, value in expected.parameters.items():
        require_same(actual.parameters[name], value, f"{name} {what}")
    found, right = sorted(actual.state), sorted(expected.state)
    require(found == right, f"state {what}: {found}, not {right}")
    for name, value in expected.state.items():
        require_same(actual.state[name], value, f"{name} {what}")
