"""What a plugin states about its optimizers and kernels, without importing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal

from tinyms_core.registry import checks
from tinyms_core.registry.errors import InvalidSpecError
from tinyms_core.registry.hyperparameters import REQUIRED as REQUIRED
from tinyms_core.registry.hyperparameters import Hyperparameter as Hyperparameter
from tinyms_core.registry.plain import PlainFields, implementation_name
from tinyms_core.registry.slots import StateSlot as StateSlot

CONTRACT_VERSION: Final = "1.0"
"""The contract between this library and its plugins: a plugin with another major number is refused."""

Device = Literal["CPU", "GPU", "Ascend"]

DEVICES: Final = ("CPU", "GPU", "Ascend")
DTYPES: Final = ("float32", "float16", "bfloat16", "float64")
MODES: Final = ("pynative", "jit", "graph")

# State is kept in float32 for every narrower parameter: sums of squares overflow or vanish in 16 bits.
_STATE_BYTES: Final = MappingProxyType({"float32": 4, "float16": 4, "bfloat16": 4, "float64": 8})


def _freeze(spec: object, name: str, check: Callable[[str, object], None], *, empty: bool = True) -> None:
    values = checks.check_tuple(f"{type(spec).__name__}.{name}", getattr(spec, name), check, empty=empty)
    object.__setattr__(spec, name, values)


@dataclass(frozen=True)
class Capabilities(PlainFields):
    """What an optimizer can do; the conformance kit checks that each claim is true.

    Arguments:
        sparse: How rows of a sparse gradient are applied: ``"exact"`` as the dense step would, ``"lazy"``
            only to the rows that occur, ``"none"`` not at all.
        grouped_rates: Whether groups of parameters may have their own learning rates.
        dynamic_rates: Whether a learning rate may be a schedule.
        weight_decay: Where decay enters: the ``"gradient"``, the ``"update"`` (decoupled), or ``"none"``.
        loss_scale: Whether gradients of a scaled loss are divided by the scale.
        centralization: Whether gradients may be centralized.
        dtypes: The parameters' dtypes that are taken.
        modes: The ways of running that work.
        wraps_optimizer: Whether it is built around another optimizer; state, decay, scale and centralization are then
            that one's, and claims about them hold as far as it makes them too.
        consumes_network: Whether it is built from a network rather than from parameters.
        layerwise: Whether a step needs a number computed over a whole tensor.
        decay_filter: Which ungrouped parameters weight decay applies to: ``"names"`` spares those with ``beta`` or
            ``gamma`` in their names, ``"all"`` spares none.
        workspace: Whether a step needs memory of a parameter's size while it runs, as products of matrices do.
        group_options: Hyperparameters that a group may have values of its own for, under their names. The optimizer's
            algorithm has to be an `Update`.
        offload: Whether state is in the host's memory unless something else is asked for. The algorithm has to be a
            rule without norms; every such rule can be asked to, declared or not.

    Raises:
        InvalidSpecError: If a field cannot be; the message names it.
    """

    sparse: Literal["exact", "lazy", "none"] = "none"
    grouped_rates: bool = True
    dynamic_rates: bool = True
    weight_decay: Literal["gradient", "update", "none"] = "gradient"
    loss_scale: bool = True
    centralization: bool = True
    dtypes: tuple[str, ...] = DTYPES
    modes: tuple[str, ...] = MODES
    wraps_optimizer: bool = False
    consumes_network: bool = False
    layerwise: bool = False
    decay_filter: Literal["names", "all"] = "names"
    workspace: bool = False
    group_options: tuple[str, ...] = ()
    offload: bool = False

    def __post_init__(self) -> None:
        checks.check_choice("Capabilities.sparse", self.sparse, ("exact", "lazy", "none"))
        checks.check_choice("Capabilities.weight_decay", self.weight_decay, ("gradient", "update", "none"))
        checks.check_choice("Capabilities.decay_filter", self.decay_filter, ("names", "all"))
        for name in (
            "grouped_rates",
            "dynamic_rates",
            "loss_scale",
            "centralization",
            "wraps_optimizer",
            "consumes_network",
            "layerwise",
            "workspace",
            "offload",
        ):
            checks.check_flag(f"Capabilities.{name}", getattr(self, name))
        if self.layerwise and self.sparse != "none":
            raise checks.refuse(
                "Capabilities.sparse", self.sparse, "'none' for a layerwise optimizer: rows are no layer"
            )
        if self.offload and (self.layerwise or self.workspace):
            raise checks.refuse("Capabilities.offload", True, "False where a step is not of single elements")
        for name, choices in (("dtypes", DTYPES), ("modes", MODES)):
            _freeze(self, name, partial(checks.check_choice, choices=choices), empty=False)
        _freeze(self, "group_options", checks.check_identifier)


@dataclass(frozen=True)
class KernelSpec(PlainFields):
    """One way to run one optimizer on one device.

    Arguments:
        optimizer: The optimizer's name or alias, also one of another distribution; ``distribution:name``
            chooses where two distributions own the name.
        device: ``"CPU"``, ``"GPU"`` or ``"Ascend"``.
        implementation: ``"module:qualified_name"``, imported when the kernel is used, or the object itself.
        dtypes: The parameters' dtypes that the kernel takes.
        priority: Of the available kernels of a device, the highest is used.
        requires: Modules that must be installed; they are looked for without being imported.
        distribution: Filled in by the registry.

    Raises:
        InvalidSpecError: If a field cannot be; the message names it.

    Example:
        >>> KernelSpec("adam", "CPU", "fast_adam.kernels:adam_cpu", priority=10, requires=("numba",)).device
        'CPU'
    """

    optimizer: str
    device: Device
    implementation: str | Callable[..., Any]
    dtypes: tuple[str, ...] = DTYPES
    priority: int = 0
    requires: tuple[str, ...] = ()
    distribution: str = ""

    def __post_init__(self) -> None:
        checks.check_qualified_name("KernelSpec.optimizer", self.optimizer)
        checks.check_choice("KernelSpec.device", self.device, DEVICES)
        if not callable(self.implementation) and not checks.is_import_string(self.implementation):
            raise checks.refuse(
                "KernelSpec.implementation", self.implementation, "'module:qualified_name' or a callable"
            )
        _freeze(self, "dtypes", partial(checks.check_choice, choices=DTYPES), empty=False)
        checks.check_whole("KernelSpec.priority", self.priority)
        _freeze(self, "requires", checks.check_dotted)
        checks.check_text("KernelSpec.distribution", self.distribution)

    @property
    def implementation_name(self) -> str:
        """The implementation as text."""
        return implementation_name(self.implementation)


@dataclass(frozen=True)
class KernelStatus(PlainFields):
    """Whether a kernel can be used here, and why not.

    Arguments:
        spec: The kernel.
        available: Whether its modules are installed, and of use here.
        reason: Why it is not available; empty where it is.
    """

    spec: KernelSpec
    available: bool
    reason: str = ""


@dataclass(frozen=True)
class OptimizerSpec(PlainFields):
    """One optimizer: enough to list it and to know its memory, without importing its class.

    Arguments:
        name: Its name. Case, ``_`` and ``-`` do not count when it is asked for.
        implementation: ``"module:qualified_name"`` of its class, imported when the optimizer is asked for; or
            the class itself, for registrations in this process. For an optimizer that is built from a network, as its
            capabilities say, it may be a function that returns one.
        summary: One line on what it does.
        reference: Where the algorithm comes from.
        aliases: Other names that it answers to.
        hyperparameters: Its keyword arguments, beside the parameters.
        state: What it keeps from step to step.
        capabilities: What it can do.
        oracle: One step of the algorithm in float64 numpy, independent of the rule, which the conformance kit
            compares with: ``"module:function"`` of ``reference(w, g, state, *, lr, t, weight_decay,
            **hyperparameters) -> (w, state)``, or the function itself. For one that wraps an optimizer:
            ``reference(w, g, *, lr, t, weight_decay, name, **hyperparameters)``, which returns the gradient that the
            other optimizer's update sees, for a gradient without the loss scale and a parameter's name, or None
            where the parameter takes the other optimizer's ordinary path.
        contract: The version of the contract that it was written for.
        distribution: Filled in by the registry.
        kernels: Filled in by ``optimizer_info``.
        refused: Values that its arguments may not have: ``"module:TABLE"`` of a tuple of
            ``tinyms_core.conformance.Refused``, which the conformance kit reads; empty where there is none.
        accepted: Likewise, arguments that are taken: a tuple of dicts. Of an optimizer that is built from a network the
            first has good values for what has no default and no declared interval.
        peers: Likewise, options and whether ``mindspore.nn`` is right with them: a tuple of
            ``tinyms_core.conformance.PeerOptions``.

    Raises:
        InvalidSpecError: If a field cannot be; the message names it.

    Example:
        >>> spec = OptimizerSpec(
        ...     "adam",
        ...     "tinyms_adam.optimizer:Adam",
        ...     hyperparameters=(Hyperparameter("learning_rate", 1e-3, kind="rate"), Hyperparameter("beta1", 0.9)),
        ...     state=(StateSlot("m", "moment1"), StateSlot("v", "moment2")),
        ... )
        >>> spec.state_bytes_per_element("float16")
        8.0
    """

    name: str
    implementation: str | Callable[..., Any]
    summary: str = ""
    reference: str = ""
    aliases: tuple[str, ...] = ()
    hyperparameters: tuple[Hyperparameter, ...] = ()
    state: tuple[StateSlot, ...] = ()
    capabilities: Capabilities = Capabilities()
    oracle: str | Callable[..., Any] = ""
    contract: str = CONTRACT_VERSION
    distribution: str = ""
    # What is available here is not part of what the optimizer is, so it does not count in comparisons.
    kernels: tuple[KernelStatus, ...] = field(default=(), compare=False)
    refused: str = ""
    accepted: str = ""
    peers: str = ""

    def __post_init__(self) -> None:
        checks.check_name("OptimizerSpec.name", self.name)
        checks.check_instance(Capabilities)("OptimizerSpec.capabilities", self.capabilities)
        wanted = wrong_implementation(self.implementation, self.capabilities)
        if wanted and not checks.is_import_string(self.implementation):
            raise checks.refuse(
                "OptimizerSpec.implementation", self.implementation, f"'module:qualified_name' or {wanted}"
            )
        for name in ("summary", "reference", "distribution"):
            checks.check_text(f"OptimizerSpec.{name}", getattr(self, name))
        _freeze(self, "aliases", checks.check_name)
        _freeze(self, "hyperparameters", checks.check_instance(Hyperparameter))
        _freeze(self, "state", checks.check_instance(StateSlot))
        for subject, values in (
            ("hyperparameters names", [item.name for item in self.hyperparameters]),
            ("state names", [slot.name for slot in self.state]),
            ("state prefixes", [slot.prefix for slot in self.state]),
        ):
            checks.check_tuple(f"OptimizerSpec.{subject}", values, checks.check_text)
        for slot in self.state:
            for field_name in ("initial", "given", "halved", "shaped_with"):
                named = getattr(slot, field_name)
                if isinstance(named, str) and named:
                    # Memory is laid out once: of what groups decide, only shapes may depend on it.
                    allowed = self.defaults if field_name == "shaped_with" else self._of_all_groups
                    checks.check_choice(f"StateSlot.{field_name} of {slot.name!r}", named, allowed)
        # Rates and decays are a group's in any case; the loss has one scale.
        own = [h for h in self.hyperparameters if h.kind not in ("rate", "decay", "any") and not h.saved_as]
        for option in self.capabilities.group_options:
            allowed = tuple(h.name for h in own if h.name != "loss_scale")
            checks.check_choice("Capabilities.group_options", option, allowed)
        for item in self.hyperparameters:
            if item.only_with:
                flags = [other.name for other in self.hyperparameters if other.kind == "flag"]
                checks.check_choice(f"Hyperparameter.only_with of {item.name!r}", item.only_with_flag, flags)
        if not callable(self.oracle) and self.oracle != "" and not checks.is_import_string(self.oracle):
            raise checks.refuse("OptimizerSpec.oracle", self.oracle, "'module:function' or a function")
        for name in ("refused", "accepted", "peers"):
            place = getattr(self, name)
            if place != "" and not checks.is_import_string(place):
                raise checks.refuse(f"OptimizerSpec.{name}", place, "'module:TABLE', or empty")
        checks.check_contract("OptimizerSpec.contract", self.contract)
        _freeze(self, "kernels", checks.check_instance(KernelStatus))

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Each hyperparameter's default value, or ``REQUIRED``, by its name."""
        return MappingProxyType({item.name: item.default for item in self.hyperparameters})

    @property
    def _of_all_groups(self) -> tuple[str, ...]:
        """The hyperparameters that are the same for all groups."""
        return tuple(name for name in self.defaults if name not in self.capabilities.group_options)

    @property
    def names(self) -> tuple[str, ...]:
        """The name, then the aliases."""
        return (self.name, *self.aliases)

    @property
    def implementation_name(self) -> str:
        """The implementation as text."""
        return implementation_name(self.implementation)

    def state_bytes_per_element(self, dtype: str = "float32") -> float:
        """Return the bytes of state that one element of a parameter needs, whatever the parameter's shape.

        Arguments:
            dtype: The parameter's dtype.

        Returns:
            The bytes. What the whole optimizer shares is not counted, nor is state whose size is not the
            parameter's, or that is kept only where an argument is given: `state_bytes` counts these.

        Raises:
            InvalidSpecError: If ``dtype`` is not one that parameters may have.
        """
        checks.check_choice("dtype", dtype, tuple(_STATE_BYTES))
        return float(_STATE_BYTES[dtype] * sum(slot.shape == "like" and not slot.given for slot in self.state))

    def state_bytes(self, shape: tuple[int, ...], dtype: str = "float32", **hyperparameters: Any) -> int:
        """Return the bytes of state that a parameter needs.

        Arguments:
            shape: The parameter's shape.
            dtype: The parameter's dtype.
            hyperparameters: Those that are not at their defaults, by name.

        Returns:
            The bytes; numbers that the whole optimizer shares are not counted.

        Raises:
            InvalidSpecError: If ``dtype`` is not one that parameters may have, or a hyperparameter is unknown.

        Example:
            >>> rows = StateSlot("rows", "mean_of_rows", shape="rows")
            >>> OptimizerSpec("row_scaled", "my_plugin:RowScaled", state=(rows,)).state_bytes((4096, 4096))
            16384
        """
        checks.check_choice("dtype", dtype, tuple(_STATE_BYTES))
        for name in hyperparameters:
            checks.check_choice("hyperparameter", name, self.defaults)
        values = {**self.defaults, **hyperparameters}
        return sum(slot.bytes_for(shape, dtype, values) for slot in self.state if slot.per_parameter)


def wrong_implementation(found: object, capabilities: Capabilities) -> str:
    """Say what an optimizer's implementation should be; empty where the object at hand is that.

    It is a class; one that is built from a network may also be a function that returns the optimizer.
    """
    if isinstance(found, type) or (capabilities.consumes_network and callable(found)):
        return ""
    return "a function or a class" if capabilities.consumes_network else "a class"


def require_contract(spec: OptimizerSpec) -> None:
    """Refuse a specification that was written for another major version of the contract.

    Raises:
        InvalidSpecError: If the major numbers differ; the message names both.
    """
    if spec.contract.partition(".")[0] != CONTRACT_VERSION.partition(".")[0]:
        raise InvalidSpecError(
            f"OptimizerSpec.contract of {spec.name!r} is {spec.contract!r}, and this tinyms-core has "
            f"contract {CONTRACT_VERSION!r}: the major numbers must be equal. Install the plugin's release "
            f"for contract {CONTRACT_VERSION!r}, or the tinyms-core that it was written for."
        )
