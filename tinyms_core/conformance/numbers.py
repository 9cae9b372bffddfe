"""Numbers: parameters and state, elementwise, against the float64 oracle."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinyms_core.conformance.catalog import CheckSkipped, check
from tinyms_core.conformance.combinations import without_options
from tinyms_core.conformance.compare import require, require_parameter
from tinyms_core.conformance.conditioning import Conditioning
from tinyms_core.conformance.oracle import Oracle
from tinyms_core.conformance.precision import note
from tinyms_core.conformance.rounding import NARROW, rounded
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import Snapshot
from tinyms_core.conformance.workload import Place, Workload
from tinyms_core.kernels.trampoline import withheld
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import DTYPES, MODES, OptimizerSpec

_GOLDEN = {
    "pynative": DTYPES,
    "jit": ("float32", "bfloat16"),
    "graph": ("float32", "float16", "float64"),
}


# As many as a bias correction and a second state need to show.
_OPERATOR_STEPS = 6


@check("Numbers", _GOLDEN)
def check_golden_trajectory(subject: Subject) -> None:
    """Parameters follow the float64 oracle for 20 steps, with every option on and in both settings of each flag."""
    for workload in _workloads(subject):
        require_golden(subject, workload, state=False)


@check("Numbers", _GOLDEN)
def check_golden_state(subject: Subject) -> None:
    """State follows the float64 oracle for 20 steps, with every option on and in both settings of each flag."""
    for workload in _workloads(subject):
        require_golden(subject, workload, parameters=False)


@check("Numbers", {"jit": ("bfloat16",), "graph": ("float32", "float16", "float64")})
def check_operators_follow_oracle(subject: Subject) -> None:
    """Where no kernel can run in a graph, the step of MindSpore's operators follows the float64 oracle too.

    Rates are also listed here, beside scheduled and fixed ones.
    """
    workload = subject.with_listed_rates(subject.workload(steps=_OPERATOR_STEPS))
    with withheld():
        trial = subject.trial(workload)
    history = [trial.snapshot()]
    for _ in range(workload.steps):
        trial.step()
        history.append(trial.snapshot())
    oracle = subject.oracle(workload)
    conditioning = Conditioning(subject, workload, tuple(history))
    for snapshot in history[1:]:
        oracle.step()
        compare_with_oracle(subject.spec, oracle, workload, snapshot, True, True, conditioning)


def _workloads(subject: Subject) -> list[Workload]:
    """One for each setting; in compiled modes only float32 is run in more than the last."""
    every = subject.mode == "pynative" or subject.dtype == "float32"
    chosen = range(len(subject.settings)) if every else [-1]
    return [subject.workload(index) for index in chosen]


def require_golden(subject: Subject, workload: Workload, parameters: bool = True, state: bool = True) -> None:
    """Require that an optimizer follows the oracle.

    Arguments:
        subject: the optimizer, in a mode.
        workload: what to step.
        parameters: whether to compare parameters.
        state: whether to compare state.

    Raises:
        CheckFailure: a value is off by more than its dtype's tolerance, and than rounding can explain.
    """
    oracle = subject.oracle(workload)
    history = subject.history(workload)
    conditioning = Conditioning(subject, workload, history)
    for snapshot in history[1:]:
        oracle.step()
        compare_with_oracle(subject.spec, oracle, workload, snapshot, parameters, state, conditioning)


def compare_with_oracle(
    spec: OptimizerSpec,
    oracle: Oracle,
    workload: Workload,
    snapshot: Snapshot,
    parameters: bool,
    state: bool,
    conditioning: Conditioning | None = None,
) -> None:
    """Compare one step's values with the oracle's, and let it go on from 16-bit values as they were rounded.

    Arguments:
        spec: the optimizer's declaration.
        oracle: after the step.
        workload: what is stepped.
        snapshot: what the optimizer holds after the step.
        parameters: whether to compare parameters.
        state: whether to compare state.
        conditioning: how far rounding can move the workload's numbers; left out, the tolerance is all that is allowed.

    Raises:
        CheckFailure: a value is off by more than its dtype's tolerance.
    """
    options = ", ".join(f"{name}={value!r}" for name, value in workload.hyperparameters)
    when = f"after step {oracle.steps} ({options or 'no options'})"
    for place in workload.places:
        name, dtype = place.member.name, place.member.dtype
        allowance = None if conditioning is None else partial(conditioning.allowance, oracle.steps, name)
        if parameters:
            what = f"{name} of {dtype} {when}"
            if dtype not in NARROW:
                note(snapshot.parameters[name], oracle.parameters[name], dtype)
            require_parameter(snapshot.parameters[name], oracle.parameters[name], dtype, what, allowance)
        for slot in spec.state if state else ():
            full = slot.parameter_name(name)
            if full in snapshot.state and slot.name in oracle.state[name]:
                actual, expected = snapshot.state[full], oracle.state[name][slot.name]
                expected = expected if slot.per_parameter else np.full(actual.shape, expected)
                kind = oracle.state_dtype(slot, place)
                if slot.per_parameter and kind not in NARROW:
                    note(actual, expected, dtype)
                own = None if allowance is None else partial(allowance, slot.name)
                require_parameter(actual, expected, kind, f"state {full} {when}", own)
        if dtype in NARROW:
            oracle.parameters[name] = np.array(snapshot.parameters[name])
        _follow_rounding(spec, oracle, place, snapshot)


def _follow_rounding(spec: OptimizerSpec, oracle: Oracle, place: Place, snapshot: Snapshot) -> None:
    """Let the oracle go on from 16-bit state as it was rounded."""
    name = place.member.name
    for slot in spec.state:
        if slot.name in oracle.state[name] and oracle.state_dtype(slot, place) in NARROW:
            oracle.state[name][slot.name] = np.array(snapshot.state[slot.parameter_name(name)])


@check("Numbers", {mode: DTYPES if mode == "pynative" else _GOLDEN[mode] for mode in MODES})
def check_dtype_preserved(subject: Subject) -> None:
    """Parameters keep their dtype and shape."""
    workload = subject.workload()
    for step, snapshot in enumerate(subject.history(workload)):
        for place in workload.places:
            name, dtype = place.member.name, place.member.dtype
            found = snapshot.dtypes[name]
            require(found == dtype, f"after step {step} {name} is of {found}, was {dtype}")
            shape, right = snapshot.parameters[name].shape, place.member.shape
            require(shape == right, f"after step {step} {name} has shape {shape}, was {right}")


@check("Numbers", {mode: DTYPES if mode == "pynative" else _GOLDEN[mode] for mode in MODES})
def check_state_dtype_stable(subject: Subject) -> None:
    """State is float32, for parameters in float64 float64, or what a flag makes of it, and stays it."""
    workload = subject.workload()
    values = {**subject.spec.defaults, **dict(workload.hyperparameters)}
    for step, snapshot in enumerate(subject.history(workload)):
        for place in workload.places:
            own = {**values, **dict(place.options)}
            for slot in subject.spec.state:
                full = slot.parameter_name(place.member.name)
                right = slot.dtype_for(place.member.shape, place.member.dtype, own)
                found = snapshot.dtypes.get(full, right)
                require(found == right, f"after step {step} the state {full} is of {found}, not {right}")


@check("Numbers", {"pynative": DTYPES})
def check_kernel_parity(subject: Subject) -> None:
    """Each registered kernel for this device, called directly, follows the float64 oracle."""
    from tinyms_core.kernels.cpu import STORAGE_TYPES, CpuKernel
    from tinyms_core.kernels.program import analyse
    from tinyms_core.kernels.rule import Rule
    from tinyms_core.kernels.update import Update
    from tinyms_core.registry import api

    rule = getattr(subject.optimizer_class, "rule", None)
    update: Any = getattr(subject.optimizer_class, "update", None)
    if rule is None and (update is None or update.host is None):
        raise CheckSkipped("the optimizer has neither a rule nor an update with a kernel, so there is no kernel of it")
    kernels: list[tuple[str, Any]] = [("the rule's own kernel", rule)] if rule else [("the update's own", update)]
    with subject.registered() as name:
        for status in api.kernels_for(name, subject.device):
            if status.available and subject.dtype in status.spec.dtypes:
                kernels.append((status.spec.implementation_name, resolve(status.spec.implementation)))
    saved = frozenset(h.name for h in subject.spec.hyperparameters if h.saved_as)
    for index, setting in enumerate(subject.settings):
        workload = without_options(subject.workload(index))
        for label, implementation in kernels:
            program: Any
            make: Any
            if rule is None:
                program = subject.trial(workload).optimizer._program
                make = implementation.host if isinstance(implementation, Update) else implementation
            else:
                source = implementation if isinstance(implementation, Rule) else rule
                program = analyse(source, dict(setting), saved)
                make = CpuKernel if isinstance(implementation, Rule) else implementation
            for gradient in STORAGE_TYPES if subject.dtype == "float32" else (subject.dtype,):
                kernel = make(program, subject.dtype, gradient)
                _compare_kernel(subject, workload, program, kernel, gradient, f"{label}, gradients of {gradient}")


def _compare_kernel(
    subject: Subject, workload: Workload, program: Any, kernel: Any, gradient_dtype: str, label: str
) -> None:
    """Step numpy arrays with a kernel, and the oracle beside it."""
    from tinyms_core.kernels.batch import make_batch
    from tinyms_core.kernels.host import host_function

    dtype, places = subject.dtype, workload.places
    oracle = subject.oracle(workload)
    slots = {slot.name: slot for slot in subject.spec.state}
    host = host_function(program)
    memory = {"w": [_stored(oracle.parameters[p.member.name], dtype) for p in places]}
    for slot in program.state:
        kinds = [oracle.state_dtype(slots[slot], p) for p in places]
        memory[slot] = [_stored(oracle.state[p.member.name][slot], k) for p, k in zip(places, kinds, strict=True)]
    rows = [int(np.prod(p.member.shape[1:])) if p.centralize else 0 for p in places]
    shapes = [p.member.shape for p in places]
    batch = make_batch([int(np.prod(shape)) for shape in shapes], rows, shapes=shapes)
    for step in range(5):
        gradients = {n: rounded(v, gradient_dtype) for n, v in workload.gradients(step).items()}
        memory["g"] = [_stored(gradients[p.member.name], gradient_dtype) for p in places]
        table = [_scalars(subject, oracle, workload, place, step, host, program, kernel) for place in places]
        addresses = np.array([[array.ctypes.data for array in memory[tensor]] for tensor in program.tensors])
        kernel(batch, addresses, np.arange(len(places)), np.array(table, np.float64))
        oracle.step(gradients)
        for index, place in enumerate(places):
            name = place.member.name
            what = f"{label}: {name} of {dtype} after step {step + 1}"
            values = _loaded(memory["w"][index], dtype).reshape(place.member.shape)
            require_parameter(values, oracle.parameters[name], dtype, what)
            for slot in program.state:
                kind = oracle.state_dtype(slots[slot], place)
                held = _loaded(memory[slot][index], kind).reshape(oracle.state_shape(slots[slot], place))
                full = f"{label}: state {slots[slot].parameter_name(name)} after step {step + 1}"
                require_parameter(held, oracle.state[name][slot], kind, full)
                if kind in NARROW:
                    oracle.state[name][slot] = held
            if dtype in NARROW:
                oracle.parameters[name] = values


def _scalars(
    subject: Subject, oracle: Oracle, workload: Workload, place: Any, step: int, host: Any, program: Any, kernel: Any
) -> list[float]:
    """A row of a kernel's table of scalars, made by the host part of its program."""
    can = subject.capabilities
    decay = place.decay_at(step)
    named = {**oracle.hyperparameters_for(place.member.dtype)}
    named.update(lr=place.rate.at(step, place.member.dtype), t=step + 1)
    named["weight_decay"] = decay
    slots = dict(zip(program.slots, host(**{name: named[name] for name in program.scalars}), strict=False))
    scale = workload.loss_scale if can.loss_scale else 1.0
    first = (decay * scale if can.weight_decay == "gradient" else 0.0, 1.0 / scale)
    return [*first, *({**named, **slots}[name] for name in kernel.scalars)]


def _stored(values: Any, dtype: str) -> Any:
    """An array as a kernel sees its memory; bfloat16, which numpy lacks, as the upper halves of float32."""
    if dtype != "bfloat16":
        return np.ascontiguousarray(np.asarray(values).astype(dtype).ravel())
    return np.ascontiguousarray((np.asarray(values, np.float32).ravel().view(np.uint32) >> 16).astype(np.uint16))


def _loaded(stored: Any, dtype: str) -> Any:
    if dtype != "bfloat16":
        return stored.astype(np.float64)
    return (stored.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
