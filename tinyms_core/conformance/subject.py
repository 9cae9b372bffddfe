"""The subject of a check: the optimizer under test, in one mode, with parameters of one dtype."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import Any

from tinyms_core.conformance.catalog import CheckFailure
from tinyms_core.conformance.combinations import fitting, on_side, own_options, sides
from tinyms_core.conformance.composite import make_oracle
from tinyms_core.conformance.oracle import Oracle
from tinyms_core.conformance.results import ANY
from tinyms_core.conformance.runs import Feed, Runs
from tinyms_core.conformance.trial import Snapshot, Trial
from tinyms_core.conformance.values import default_value, of_optimizer, other_value
from tinyms_core.conformance.workload import Group, Member, Rate, Workload
from tinyms_core.registry import api
from tinyms_core.registry.errors import TinymsOptimError
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import Capabilities, OptimizerSpec

Setting = tuple[tuple[str, Any], ...]

STEPS = 20
# Rates and decays that no default has; the rates differ from step to step.
_RATES = tuple(0.02 + 0.001 * (step % 7) for step in range(STEPS + 5))
_OTHER_RATES = tuple(0.03 - 0.002 * (step % 5) for step in range(STEPS + 5))


@dataclass(frozen=True)
class Subject:
    """The optimizer under test.

    Attributes:
        spec: its declaration; for an optimizer around another one, that of a composite.
        mode: how it is run; ``"any"`` counts as PyNative.
        dtype: the dtype of parameters; ``"any"`` counts as the first that is declared.
        device: the device.
        own: the declaration of the optimizer itself, where that is another.
        runs: what its checks share.
    """

    spec: OptimizerSpec
    mode: str = "pynative"
    dtype: str = "float32"
    device: str = "CPU"
    own: OptimizerSpec | None = None
    runs: Runs = field(default_factory=Runs, compare=False, repr=False)

    @property
    def declared(self) -> OptimizerSpec:
        """The declaration of the optimizer itself."""
        return self.spec if self.own is None else self.own

    @property
    def declared_class(self) -> Any:
        """The class of the optimizer itself, imported now if it was not before."""
        return resolve(self.declared.implementation)

    @property
    def capabilities(self) -> Capabilities:
        """What the optimizer declares."""
        return self.spec.capabilities

    @property
    def optimizer_class(self) -> Any:
        """The class, imported now if it was not before."""
        return resolve(self.spec.implementation)

    @property
    def parameter_dtype(self) -> str:
        """The dtype of parameters, also where it makes no difference."""
        dtypes = self.capabilities.dtypes
        return self.dtype if self.dtype != ANY else "float32" if "float32" in dtypes else dtypes[0]

    # -- settings of the hyperparameters ----------------------------------------------------------

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Values of the optimizer's own hyperparameters, none a default where another is allowed.

        The first has all flags at their defaults, the last all of them the other way (before it each by itself
        where the constructor refuses that); without flags that do anything there is one. Where a flag takes the
        place of the learning rate, these have it such that there is a rate, and settings without one stand
        between them; in the first of those, what may be None is.
        """
        return _settings(self.spec, self.parameter_dtype)

    @property
    def defaults(self) -> Setting:
        """The defaults, and good values for what has none."""
        return tuple((h.name, default_value(h)) for h in of_optimizer(self.spec.hyperparameters))

    @property
    def _eager(self) -> bool:
        return self.mode in (ANY, "pynative")

    # -- workloads --------------------------------------------------------------------------------

    def workload(self, setting: int = -1, **changes: Any) -> Workload:
        """The full workload: three groups with rates and decays of their own, as far as these are declared.

        The first group's rates are listed. Not in compiled modes: there a step with listed rates may be made of
        MindSpore's operators where others are a kernel's, and kernels are what most steps run. Listed rates in
        graphs are those of `with_listed_rates`.

        Arguments:
            setting: which of `settings`; the last one, with the flags on, unless told.
            changes: other values for the workload's fields.
        """
        can = self.capabilities
        decays = can.weight_decay != "none"
        convolution = Group(
            (Member("conv.weight", (4, 3, 3, 2)), Member("conv.bias", (4,))),
            Rate(_OTHER_RATES, "list" if self._eager else "schedule")
            if can.grouped_rates and can.dynamic_rates
            else None,
            (0.02,) if decays else None,
            can.centralization,
        )
        dense = Group(
            (Member("dense.weight", (9, 7)), Member("norm.gamma", (7,)), Member("temperature", ())),
            Rate((0.015,)) if can.grouped_rates else None,
            (0.0,) if decays else None,
        )
        options = own_options(self.spec, dict(self.settings[setting]))
        plain = Group((Member("last.weight", (3, 5)), Member("last.beta", (11,))), options=options)
        full = Workload(
            (convolution, dense, plain),
            rate=Rate(_RATES, "schedule") if can.dynamic_rates else Rate((0.02,)),
            decay=(0.05,) if decays else (0.0,),
            loss_scale=16.0 if can.loss_scale else 1.0,
            hyperparameters=self.settings[setting],
            order=(
                "last.beta", "conv.bias", "dense.weight", "temperature", "conv.weight", "last.weight", "norm.gamma",
            ),
            dtype=self.parameter_dtype,
            filtered=self.capabilities.decay_filter == "names",
        )  # fmt: skip
        return fitting(self.spec, replace(full, **changes))

    def with_listed_rates(self, workload: Workload) -> Workload:
        """The same with the first group's rates as a list, where these are declared."""
        first, *others = workload.groups
        if first.rate is None or not first.rate.varies:
            return workload
        return replace(workload, groups=(replace(first, rate=replace(first.rate, form="list")), *others))

    def plain(self, *members: Member, **changes: Any) -> Workload:
        """A workload of some parameters without groups, with a fixed rate and a decay where declared."""
        chosen = members or (Member("first.weight", (6, 5)), Member("first.bias", (9,)))
        simple = Workload(
            (Group(chosen),),
            grouped=False,
            rate=Rate((0.02,)),
            decay=(0.05,) if self.capabilities.weight_decay != "none" else (0.0,),
            hyperparameters=self.settings[-1],
            dtype=self.parameter_dtype,
            filtered=self.capabilities.decay_filter == "names",
        )
        return fitting(self.spec, replace(simple, **changes))

    # -- running ----------------------------------------------------------------------------------

    def trial(self, workload: Workload, mode: str = "", **more: Any) -> Trial:
        """Build the optimizer for a workload; by default in the subject's own mode."""
        chosen = mode or self.mode
        return Trial(self.optimizer_class, self.spec, workload, "pynative" if chosen == ANY else chosen, **more)

    def oracle(self, workload: Workload) -> Oracle:
        """The float64 side of a workload."""
        return make_oracle(self.spec, workload)

    def history(self, workload: Workload, mode: str = "", feed: Feed | None = None) -> tuple[Snapshot, ...]:
        """What an optimizer holds at first and after each step of a workload; stepped once for all checks."""
        return self.runs.history(self.spec, workload, mode or self.mode, feed)

    @contextlib.contextmanager
    def registered(self) -> Iterator[str]:
        """The name under which the optimizer can be asked for, inside the ``with`` block.

        Raises:
            CheckFailure: another optimizer has one of its names, or it cannot be registered.
        """
        try:
            known = api.optimizer_info(self.spec.name)
        except LookupError:
            known = None
        if known is not None:
            if resolve(known.implementation) is not self.declared_class:
                raise CheckFailure(f"{self.spec.name!r} is the name of another optimizer, {known.implementation_name}")
            yield self.spec.name
            return
        try:
            api.register(replace(self.declared, distribution="", kernels=()))
        except TinymsOptimError as error:
            raise CheckFailure(f"it cannot be registered: {error}") from error
        try:
            yield self.spec.name
        finally:
            api.unregister(self.spec.name)


@functools.lru_cache(maxsize=64)
def _settings(spec: OptimizerSpec, dtype: str) -> tuple[Setting, ...]:
    with_rate, *without = (_settings_of(spec, dtype, side) for side in sides(spec))
    return (with_rate[0], *chain.from_iterable(without), *with_rate[1:])


def _settings_of(spec: OptimizerSpec, dtype: str, rate: bool) -> tuple[Setting, ...]:
    own = of_optimizer(spec.hyperparameters)
    plain = on_side(spec, rate, {h.name: default_value(h) for h in own})
    others = on_side(spec, rate, {h.name: other_value(h) for h in own})
    flags = [h.name for h in own if h.kind == "flag" and not h.inert and others[h.name] != plain[h.name]]
    if not rate:
        others.update((h.name, None) for h in own if h.default is None)
    off = _accepted(spec, dtype, {**others, **{h.name: plain[h.name] for h in own if h.kind == "flag"}}, plain, ())
    if not flags:
        return (off,)
    flipped = {**dict(off), **{name: others[name] for name in flags}}
    try:
        return off, _accepted(spec, dtype, flipped, plain, tuple(flags))
    except CheckFailure:
        if len(flags) == 1:
            raise
    single = [_accepted(spec, dtype, {**dict(off), flag: others[flag]}, plain, (flag,)) for flag in flags]
    return (off, *single)


def _accepted(
    spec: OptimizerSpec, dtype: str, wanted: dict[str, Any], plain: dict[str, Any], keep: tuple[str, ...]
) -> Setting:
    """The wanted values, or as many of them as the constructor takes together; those of ``keep`` stay."""
    workload = Workload((Group((Member("w", (2,)),)),), grouped=False, dtype=dtype)
    reasons = []
    free = [name for name in wanted if name not in keep]
    # Fewest defaults first: what two values contradict, others need not give up.
    for chosen in chain.from_iterable(combinations(free, count) for count in range(len(free) + 1)):
        tried = {**wanted, **{name: plain[name] for name in chosen}}
        try:
            built = fitting(spec, workload.with_hyperparameters(tried))
            Trial(resolve(spec.implementation), spec, built, "pynative")
        except ValueError as error:
            # Two values may contradict each other, which no declaration of either says.
            reasons.append(str(error))
            continue
        return tuple(tried.items())
    raise CheckFailure(f"{spec.name} refuses values that its declaration allows: {wanted}: {reasons[0]}")
