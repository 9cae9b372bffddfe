"""State: its names and its size."""

from __future__ import annotations

from collections import Counter

from mindspore import Parameter, Tensor

from tinyms_core.conformance.catalog import check
from tinyms_core.conformance.cells import Pair
from tinyms_core.conformance.compare import require, require_close, require_same
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import values_of
from tinyms_core.conformance.workload import Member
from tinyms_core.registry.specs import DTYPES

_BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}


@check("State", {"pynative": ("float32",), "graph": ("float32",)})
def check_state_names_unique(subject: Subject) -> None:
    """Names of state are unique in an optimizer, and with two optimizers for one network, which then trains."""
    workload = subject.workload()
    trial = subject.trial(workload)
    names = [parameter.name for parameter in trial.optimizer.get_parameters()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    require(not twice, f"these names are there twice: {twice}")
    require(set(trial.parameters) <= set(names), "the optimizer's Parameters lack the user's own")
    one = subject.trial(subject.plain(Member("generator.weight", (4, 3)), steps=2))
    other = subject.trial(subject.plain(Member("critic.weight", (5,)), steps=2))
    pair = Pair(one.optimizer, other.optimizer)
    both = [parameter.name for parameter in pair.get_parameters()]
    twice = [name for name, count in Counter(both).items() if count > 1]
    require(not twice, f"with two optimizers in one Cell these names are there twice: {twice}")
    for step in range(2):
        pair(tuple(one.gradients(step)), tuple(other.gradients(step)))
    for single in (one, other):
        expected = subject.history(single.workload, "pynative")[-1].parameters
        (name, value), held = next(iter(expected.items())), next(iter(single.parameters.values()))
        if subject.mode == "pynative":
            require_same(values_of(held), value, f"{name} after 2 steps of two optimizers in one Cell")
        else:
            require_close(values_of(held), value, "float32", f"{name} after 2 steps of two optimizers in one Cell")


@check("State", {"pynative": DTYPES})
def check_state_size_declared(subject: Subject) -> None:
    """The bytes of the parameters' state are those that the declaration says, without building an optimizer."""
    names = {slot.parameter_name("w") for slot in subject.spec.state if slot.per_parameter}
    for shape in ((40, 25), (2, 25, 20), (1000,)):
        declared, largest = 0, 0
        for setting in subject.settings:
            # A rule leaves out state that it does not need with a setting, so the largest counts.
            declared = max(declared, subject.spec.state_bytes(shape, subject.dtype, **dict(setting)))
            trial = subject.trial(subject.plain(Member("w", shape), hyperparameters=setting))
            dtypes = trial.snapshot().dtypes
            held = [p for p in trial.kept().values() if p.name in names or p.size >= 1000]
            largest = max(largest, sum(p.size * _BYTES[dtypes[p.name]] for p in held))
        what = f"a parameter of {subject.dtype} of shape {shape}"
        require(largest == declared, f"state takes {largest} bytes for {what}, declared {declared}")


@check("State", {"pynative": ("float32", "bfloat16")})
def check_load_keeps_source(subject: Subject) -> None:
    """Loading copies: what a checkpoint holds in memory is not changed by later steps."""
    import mindspore

    workload = subject.plain(steps=6)
    source = subject.trial(workload).run(3)
    everything = {**source.kept(), **source.parameters}
    loaded = {name: _copied(parameter) for name, parameter in everything.items()}
    before = {name: values_of(parameter) for name, parameter in loaded.items()}
    trial = subject.trial(workload)
    missing, _ = mindspore.load_param_into_net(trial.optimizer, loaded)
    require(not missing, f"not loaded: {missing}")
    trial.run(3)
    for name, parameter in loaded.items():
        require_same(values_of(parameter), before[name], f"{name} in the checkpoint, after the optimizer stepped on")


def _copied(parameter: Parameter) -> Parameter:
    return Parameter(Tensor(values_of(parameter)).astype(parameter.dtype), name=parameter.name)
