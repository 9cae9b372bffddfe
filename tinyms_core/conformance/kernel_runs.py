"""Plain arrays on a device, stepped by `ArrayOptimizer` beside the float64 oracle; nothing here needs MindSpore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyms_core.conformance.combinations import fitting, on_side, sides
from tinyms_core.conformance.compare import require, require_parameter
from tinyms_core.conformance.composite import CompositeOracle, Parts
from tinyms_core.conformance.oracle import Oracle
from tinyms_core.conformance.precision import note
from tinyms_core.conformance.rounding import NARROW, Array
from tinyms_core.conformance.rows import Rows, SparseOracle
from tinyms_core.conformance.values import default_value, of_optimizer, other_value
from tinyms_core.conformance.workload import Group, Member, Rate, Workload
from tinyms_core.kernels import ArrayFactor, ArrayOptimizer
from tinyms_core.kernels.buffers import GPU
from tinyms_core.kernels.on_arrays import loaded, storable
from tinyms_core.registry.specs import OptimizerSpec

Setting = tuple[tuple[str, Any], ...]

# A rate and a decay that float32 holds exactly, and others for a second group.
RATE, OTHER_RATE, DECAY, OTHER_DECAY = 0.015625, 0.03125, 0.0625, 0.015625
SCALE = 16.0
# What lies around an array within larger memory.
_FRAME = 7.0
# Elements of a simulated chunk are few: these have tails, whole chunks, several chunks, and nothing.
MEMBERS = (
    Member("whole", (8, 8)),
    Member("tail", (7,)),
    Member("none", (0, 3)),
    Member("one", ()),
    Member("deep", (2, 3, 5)),
)
LARGER = (Member("matrix", (12, 13)), Member("over", (65,)))


def put(values: Any, dtype: str, device: str) -> Any:
    """An array on a device.

    Arguments:
        values: its numbers.
        dtype: its storage type.
        device: ``"CPU"`` or ``"GPU"``.
    """
    if device == GPU:
        from tinyms_core.kernels.gpu_device import DeviceArray

        made = DeviceArray(np.shape(values), dtype)
        made.write(values)
        return made
    if dtype == "bfloat16":
        # Known to kernels by the name of its type alone, as what other libraries add to numpy.
        return storable(np.asarray(values, np.float32), dtype).view(np.dtype("V2"))
    return np.array(values, dtype, order="C")


class Held:
    """An array on a device.

    Arguments:
        values: its numbers.
        dtype: its storage type.
        device: ``"CPU"`` or ``"GPU"``.
        framed: whether it lies within larger memory, one element from its beginning, so that its address is no
            multiple of four elements.
    """

    def __init__(self, values: Any, dtype: str, device: str, framed: bool = False) -> None:
        self._shape = np.shape(values)
        self._framed = framed
        flat = np.asarray(values, np.float64).reshape(-1)
        self._memory = put(np.concatenate(([_FRAME], flat, [_FRAME])) if framed else np.asarray(values), dtype, device)
        self.array = self._memory
        if framed and device == GPU:
            self.array = _View(self._memory, self._shape)
        elif framed:
            self.array = self._memory[1:-1].reshape(self._shape)

    def numbers(self) -> Array:
        """Its numbers, in float64."""
        found = take(self._memory)
        return found[1:-1].reshape(self._shape) if self._framed else found

    def frame_holds(self) -> bool:
        """Whether nothing was written around it."""
        return not self._framed or bool((take(self._memory)[[0, -1]] == _FRAME).all())


class _View:
    """Part of an array of a GPU, without its first and last element."""

    def __init__(self, memory: Any, shape: tuple[int, ...]) -> None:
        interface = dict(memory.__cuda_array_interface__)
        address, read_only = interface["data"]
        itemsize = int(interface["typestr"][2:])
        self.__cuda_array_interface__ = {**interface, "shape": shape, "data": (address + itemsize, read_only)}
        self._memory = memory


def take(array: Any) -> Array:
    """An array's numbers, in float64."""
    if not isinstance(array, np.ndarray):
        return np.asarray(array.copy_to_host(), np.float64)
    if array.dtype.kind == "V":
        return np.asarray(loaded(array.view(np.uint16), "bfloat16"), np.float64)
    return np.asarray(array, np.float64)


def settings_of(spec: OptimizerSpec) -> list[Setting]:
    """Values of the hyperparameters: none a default where another is allowed, with each flag off and on."""
    own = [h for h in of_optimizer(spec.hyperparameters) if h.kind not in ("any", "listed")]
    found: list[Setting] = []
    for side in sides(spec):
        plain = {h.name: default_value(h) for h in own}
        others = {h.name: plain[h.name] if h.kind == "flag" else other_value(h) for h in own}
        flags = [h for h in own if h.kind == "flag" and not h.inert and h.name not in _rate_flags(spec)]
        for flag in (None, *flags):
            changed = others if flag is None else {**others, flag.name: not plain[flag.name]}
            chosen = on_side(spec, side, {**plain, **changed})
            setting = tuple(chosen.items())
            if setting not in found:
                found.append(setting)
    return found


def _rate_flags(spec: OptimizerSpec) -> tuple[str, ...]:
    """The flag that decides whether there is a rate, which `on_side` sets."""
    return tuple(h.only_with_flag for h in spec.hyperparameters if h.kind == "rate" and h.only_with)


def workload_of(
    spec: OptimizerSpec,
    setting: Setting,
    dtype: str,
    members: Sequence[Member] = MEMBERS,
    centralize: bool = True,
    decays: bool = True,
) -> Workload:
    """Two groups with all that an optimizer declares: rates and decays of their own, a scale, centralization.

    Arguments:
        spec: the optimizer's declaration.
        setting: its hyperparameters.
        dtype: the dtype of the arrays.
        members: the arrays of the first group; the second has `LARGER`.
        centralize: whether the second group's gradients are centralized, where that is declared.
        decays: whether there is weight decay, where that is declared.
    """
    can = spec.capabilities
    decays = decays and can.weight_decay != "none"
    groups = (
        Group(tuple(members), decay=(DECAY,) if decays else (0.0,)),
        Group(
            LARGER,
            rate=Rate((OTHER_RATE,)) if can.grouped_rates else None,
            decay=(OTHER_DECAY,) if decays else (0.0,),
            centralize=centralize and can.centralization,
        ),
    )
    workload = Workload(
        groups,
        rate=Rate((RATE,)),
        loss_scale=SCALE if can.loss_scale else 1.0,
        hyperparameters=setting,
        dtype=dtype,
    )
    return fitting(spec, workload)


class KernelRun:
    """A workload's arrays on a device, and the same workload in float64.

    Arguments:
        spec: the optimizer's declaration.
        workload: what to step.
        device: ``"CPU"`` or ``"GPU"``.
        around: an optimizer that goes around it, with its hyperparameters, or None.
        framed: whether arrays and gradients lie within larger memory.
        offload: whether state is in the host's memory.
    """

    def __init__(
        self,
        spec: OptimizerSpec,
        workload: Workload,
        device: str,
        around: tuple[OptimizerSpec, Mapping[str, Any]] | None = None,
        framed: bool = False,
        offload: bool = False,
    ) -> None:
        self.spec, self.workload, self.device, self.framed = spec, workload, device, framed
        self.oracle: Oracle
        factor = None
        if around is None:
            self.oracle = SparseOracle(spec, workload)
        else:
            wrapping, given = around
            values = {**wrapping.defaults, **given}
            self.oracle = CompositeOracle(Parts(wrapping, spec), workload.with_hyperparameters(values))
            names = [place.member.name for place in workload.places]
            chosen = [values["lars_filter"](_Named(name)) for name in names] if "lars_filter" in values else None
            own = {name: value for name, value in given.items() if name != "lars_filter"}
            factor = ArrayFactor(wrapping.name, chosen=chosen, **own)
        self.arrays = {
            name: Held(values, place.member.dtype, device, framed)
            for place, (name, values) in zip(workload.places, workload.initial().items(), strict=True)
        }
        groups = []
        for group in workload.groups:
            made: dict[str, Any] = {"params": [self.arrays[member.name].array for member in group.members]}
            if group.rate is not None:
                made["lr"] = group.rate.values[0]
            if group.decay is not None:
                made["weight_decay"] = group.decay[0]
            made["grad_centralization"] = group.centralize
            groups.append(made)
        self.optimizer = ArrayOptimizer(
            spec.name,
            groups,
            learning_rate=workload.rate.values[0] if workload.rate.values else None,
            loss_scale=workload.loss_scale,
            factor=factor,
            offload=offload,
            **dict(workload.hyperparameters),
        )

    def gradients(self) -> dict[str, Array]:
        """The gradients of the next step, in float64; each is rounded to its dtype."""
        return self.workload.gradients(self.oracle.steps)

    def hold(self, step: int | None = None) -> list[Held]:
        """The gradients of a step, the next one unless told, as arrays on the device."""
        gradients = self.gradients() if step is None else self.workload.gradients(step)
        members = [place.member for place in self.workload.places]
        return [Held(gradients[m.name], m.gradient_dtype, self.device, self.framed) for m in members]

    def step(self, rows: Mapping[str, Rows] | None = None) -> None:
        """Do one step on both sides, with some gradients given as rows."""
        sparse = dict(rows or {})
        held = {place.member.name: one for place, one in zip(self.workload.places, self.hold(), strict=True)}
        given: list[Any] = []
        for place in self.workload.places:
            member = place.member
            if member.name in sparse:
                values = sparse[member.name].values
                indices = put(np.array(sparse[member.name].indices), "int32", self.device)
                given.append((indices, put(values, member.gradient_dtype, self.device), member.shape))
            else:
                given.append(held[member.name].array)
        self.optimizer.step(given)
        dense = {name: numbers for name, numbers in self.gradients().items() if name not in sparse}
        if isinstance(self.oracle, SparseOracle):
            self.oracle.step_rows(sparse, dense)
        else:
            self.oracle.step(dense)

    def compare(self, what: str) -> None:
        """Compare parameters and state with the oracle.

        Raises:
            CheckFailure: an element differs; the message says which.
        """
        oracle, slots = self.oracle, {slot.name: slot for slot in self.spec.state}
        for index, place in enumerate(self.workload.places):
            name, dtype = place.member.name, place.member.dtype
            where = f"{what}: {name} of {dtype} after step {oracle.steps}"
            values = self.arrays[name].numbers()
            require(self.arrays[name].frame_holds(), f"{where}: something was written beyond its memory")
            require_parameter(values, oracle.parameters[name], dtype, where)
            if dtype not in NARROW:
                note(values, oracle.parameters[name], dtype)
            for slot, arrays in self.optimizer.state.items():
                kind = oracle.state_dtype(slots[slot], place)
                held = take(arrays[index])
                require_parameter(held, oracle.state[name][slot], kind, f"{where}, state {slot}")
                if kind in NARROW:
                    oracle.state[name][slot] = held
            for slot, value in self.optimizer.scalar_state.items():
                require_parameter(value, oracle.state[name][slot], "float64", f"{where}, state {slot}")
            if dtype in NARROW:
                oracle.parameters[name] = values

    def run(self, steps: int, what: str) -> KernelRun:
        """Step and compare after each step; returns itself."""
        for _ in range(steps):
            self.step()
            self.compare(what)
        return self

    def values(self) -> list[Array]:
        """All parameters and states, in float64."""
        state = [take(array) for arrays in self.optimizer.state.values() for array in arrays]
        return [held.numbers() for held in self.arrays.values()] + state


@dataclass(frozen=True)
class _Named:
    """Stands for a Parameter where only its name is asked for."""

    name: str
