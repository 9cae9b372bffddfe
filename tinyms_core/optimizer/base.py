"""`Optimizer`: the base class, everything of an optimizer that is not its rule."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import mindspore
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, context, nn, ops
from mindspore.nn.layer.container import CellList

from tinyms_core.kernels.program import Program, analyse
from tinyms_core.kernels.rule import SUPPLIED_SCALARS, Rule
from tinyms_core.kernels.update import Plan, Update
from tinyms_core.optimizer.addresses import GradientReader, address_of
from tinyms_core.optimizer.copying import copy_optimizer, rebuild_optimizer, snapshot
from tinyms_core.optimizer.distributed import broadcast_parameters
from tinyms_core.optimizer.dtypes import DTYPES, dtype_name, wide_name
from tinyms_core.optimizer.flat_step import DenseStep, FlatStep, flattened, positional
from tinyms_core.optimizer.gradient_methods import GradientMethods
from tinyms_core.optimizer.groups import Grouping, Options, Take, make_grouping, require_capabilities
from tinyms_core.optimizer.kernel_choice import check_target, choose_kernel
from tinyms_core.optimizer.modes import in_graph_mode
from tinyms_core.optimizer.offload import Offloading
from tinyms_core.optimizer.rate_methods import RateMethods
from tinyms_core.optimizer.rates import FixedRate, NoRate, exhausted
from tinyms_core.optimizer.sparse import is_sparse, parts, read_sparse
from tinyms_core.optimizer.state import make_scalar_states, make_states
from tinyms_core.optimizer.step import HostStep, check_gradients
from tinyms_core.optimizer.step_scalars import ScalarGroup
from tinyms_core.optimizer.traced_step import TracedStep
from tinyms_core.registry.arguments import checked_hyperparameters, contradiction, require_together, taken_as
from tinyms_core.registry.errors import InvalidSpecError
from tinyms_core.registry.specs import Hyperparameter, OptimizerSpec, StateSlot
from tinyms_core.registry.validation import flag, number

# Checked by the base itself, not by a declaration.
_OWN_ARGUMENTS = ("learning_rate", "weight_decay", "loss_scale")


class Optimizer(GradientMethods, RateMethods, Offloading, TracedStep, nn.Optimizer):
    r"""Base class of all optimizers: groups, rates, decay, scaling, centralization, state and stepping.

    A subclass states its algorithm in one of three ways.

    *A rule* (preferred): the class attribute ``rule``, declared with `tinyms_core.rule`, and ``spec``, an
    `OptimizerSpec` that names the state and the hyperparameters. The base class compiles the rule for
    each device and mode and needs nothing else but a constructor.

    *An update written out*, for what is no rule on one element: the class attribute ``update``, an `Update`, and
    ``spec``. The base class does all that is not the update, as for a rule.

    *A classic* ``construct(self, gradients)``, as for `mindspore.nn.Optimizer`, which calls
    `decay_weight`, `gradients_centralization`, `scale_grad` and `get_lr` and updates the parameters with
    operators; it ends with ``self.next_step()``.

    A dense gradient is preprocessed in this order, each where it applies:

    .. math::
        g \leftarrow \big(g + S\lambda w - \operatorname{mean}_{1..n-1}(g + S\lambda w)\big) / S

    with :math:`S` the loss scale and :math:`\lambda` the weight decay; the mean is taken only where a
    group asks for ``grad_centralization``.

    Arguments:
        learning_rate: a float or int >= 0, a 0-d Tensor, a 1-D Tensor or iterable (the i-th value at
            the i-th step, from 0), or a LearningRateSchedule, called with the 0-based step.
        parameters: an iterable of Parameters (float32, float16, bfloat16 or float64), or of group dicts with
            ``params`` (required), ``lr``, ``weight_decay``, ``grad_centralization``; one dict may hold
            ``order_params`` alone. It is read once and never changed.
        weight_decay: a float or int >= 0, or a Cell that is called with the step. Ungrouped, it applies
            to parameters with neither ``beta`` nor ``gamma`` in their names; in groups, to all.
        loss_scale: a float or int > 0 that gradients are divided by.
        hyperparameters: value of each hyperparameter that ``spec`` declares.
        offload: whether state is in the host's memory and updated there, for a rule on single elements; as ``spec``
            declares when None. It can be asked and set later as ``use_offload``.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range, or arguments or groups that contradict each other.
        MissingKernelError: state is to be offloaded, and MindSpore's device is not the CPU.
        InvalidGroupError: a group with unknown keys, or without ``params``.

    Example:
        >>> import numpy as np
        >>> from mindspore import Parameter, Tensor
        >>> from tinyms_core import Optimizer, OptimizerSpec, Hyperparameter, rule
        >>> from tinyms_core.examples import SignDescent
        >>> w = Parameter(Tensor(np.array([1.0, -2.0], np.float32)), name="w")
        >>> optimizer = SignDescent([w], learning_rate=0.5)
        >>> _ = optimizer((Tensor(np.array([3.0, -0.1], np.float32)),))
        >>> w.asnumpy().tolist()
        [0.5, -1.5]
    """

    spec: ClassVar[OptimizerSpec | None] = None
    rule: ClassVar[Rule | None] = None
    update: ClassVar[Update | None] = None
    #: What a step returns: a tuple of True for each parameter, one Tensor True, or the parameters.
    returns: ClassVar[str] = "each"
    # Where the parameters are parts of larger ones: what makes sums over them those of the wholes.
    divided_sums: Any = None

    def __init__(
        self,
        learning_rate: Any,
        parameters: Any,
        weight_decay: Any = 0.0,
        loss_scale: Any = 1.0,
        *,
        hyperparameters: Mapping[str, Any] | None = None,
        offload: bool | None = None,
    ) -> None:
        # Everything is checked before the first attribute is set or Parameter made.
        name = self.name
        values = checked_hyperparameters(name, self._declared(), hyperparameters or {})
        scale = number(name, "loss_scale", loss_scale, "(0, inf)")
        rate = _checked_rate(name, self.spec, learning_rate, values)
        grouping = make_grouping(name, parameters, rate, weight_decay, self.decays, self._group_options())
        for options in {setting.options for setting in grouping.settings}:
            require_together(name, self._declared(), {**values, **dict(options)})
        if self.spec is not None:
            require_capabilities(name, grouping, self.spec.capabilities)
        nn.Cell.__init__(self, auto_prefix=False)
        self.loss_scale = scale
        self.reciprocal_scale = Tensor(1.0 / scale, mindspore.float32)
        self.need_scale = scale != 1.0
        given_rate = grouping.default_rate.argument
        self._given = {"learning_rate": given_rate, "weight_decay": weight_decay, "loss_scale": scale, **values}
        self._source = grouping.source
        self._target = context.get_context("device_target")
        self.wide_type = DTYPES[wide_name(self._target)]
        self._unique = not any(s.parameter.unique for s in grouping.settings)
        self._set_groups(grouping)
        self._set_state(values)
        self.use_offload = self._declares_offload if offload is None else offload
        self._set_execution()

    # -- construction -----------------------------------------------------------------------------

    def _set_groups(self, grouping: Grouping) -> None:
        settings = grouping.settings
        self.settings = settings
        self.parameters = ParameterTuple([s.parameter for s in settings])
        self._parameters = self.parameters
        self._user_parameters.extend(s.parameter.name for s in settings)
        self.param_length = len(settings)
        self.is_group = grouping.grouped
        self.is_group_lr = grouping.grouped_rates
        self._parameter_kinds = tuple(dtype_name(s.parameter.dtype) or "" for s in settings)
        self._set_rates(grouping)
        self._set_decays()
        self.grad_centralization_flags = tuple(s.centralize for s in settings)
        self.grad_centralization = any(self.grad_centralization_flags)
        # What MindSpore's own wrappers read.
        self.optim_filter = (True,) * self.param_length
        self.use_parallel = False
        self.enable_tuple_broaden = True
        self.add_flags(skip_auto_parallel_compile=True)

    def _set_rates(self, grouping: Grouping) -> None:
        settings = grouping.settings
        rates = list({id(s.rate): s.rate for s in settings}.values())
        self.rates = CellList(rates, auto_prefix=False)
        self.rate_index = tuple(next(i for i, r in enumerate(rates) if r is s.rate) for s in settings)
        self.dynamic_lr = any(not isinstance(rate, FixedRate) for rate in rates)
        limits = [(rate.length, rate.learning_rate.name) for rate in rates if rate.length]
        self.rate_limit, limited = min(limits, default=(0, ""))
        self.rate_limit_message = exhausted(self.rate_limit, limited)
        if not grouping.grouped_rates:
            self.learning_rate = rates[0].public
        elif self.dynamic_lr:
            self.learning_rate = CellList([s.rate for s in settings], auto_prefix=False)
        else:
            self.learning_rate = ParameterTuple([s.rate.public for s in settings])

    def _set_decays(self) -> None:
        settings = self.settings
        cells = list({id(s.decay): s.decay for s in settings if isinstance(s.decay, nn.Cell)}.values())
        self.dynamic_weight_decay = bool(cells)
        self.decay_cells = CellList(cells, auto_prefix=False)
        self.decay_flags = tuple(s.decays for s in settings)
        self.exec_weight_decay = any(self.decay_flags)
        # Which of the cells gives a parameter's decay; -1 for a decay that is a number.
        self.decay_cell_index = tuple(
            next((i for i, c in enumerate(cells) if c is s.decay), -1) if s.decays else -1 for s in settings
        )
        numbers = [s.decay if s.decays and not isinstance(s.decay, nn.Cell) else 0.0 for s in settings]
        self.fixed_decays = tuple(Tensor(value, self.wide_type) for value in numbers)
        self.loss_scale_wide = Tensor(self.loss_scale, self.wide_type)
        self.reciprocal_scale_wide = Tensor(1.0 / self.loss_scale, self.wide_type)

    def _set_state(self, values: dict[str, Any]) -> None:
        self.global_step = Parameter(Tensor(np.zeros(1, np.int32)), name="global_step", requires_grad=False)
        self.global_step_increase_tensor = Tensor([1], mindspore.int32)
        self.hyperparameters: dict[str, Any] = dict(values)
        self.saved_hyperparameters: tuple[str, ...] = ()
        for declared in self._declared():
            if declared.saved_as:
                held = FixedRate(values[declared.name], declared.saved_as)
                setattr(self, f"held_{declared.name}", held)
                setattr(self, declared.name, held.learning_rate)
                self.saved_hyperparameters += (declared.name,)
        self.states: dict[str, ParameterTuple] = {}
        self.scalar_states: dict[str, Parameter] = {}
        program = self._program
        if program is None:
            return
        if self.sparse != "none" and (isinstance(program, Plan) or program.reductions):
            raise InvalidSpecError(
                f"{self.name}: the spec says sparse={self.sparse!r}, but a step needs whole tensors, which rows are "
                "not; 'none' is right"
            )
        slots = _slots_of(self.name, self.spec, program.state, program.scalar_state, isinstance(program, Plan))
        self.states = make_states(self.settings, [slots[name] for name in program.state], values)
        self.scalar_states = make_scalar_states([slots[name] for name in program.scalar_state], values)
        for name, held_state in (*self.states.items(), *self.scalar_states.items()):
            setattr(self, slots[name].attribute, held_state)

    def _set_execution(self) -> None:
        written = [*self.parameters, self.global_step, *self.scalar_states.values()]
        written += [parameter for row in self.states.values() for parameter in row]
        self.built_addresses = {id(parameter): address_of(parameter) for parameter in written}
        self._gradient_reader = GradientReader([tuple(s.parameter.shape) for s in self.settings])
        results = {"each": (True,) * self.param_length, "parameters": self.parameters}
        self._done = results.get(self.returns, Tensor(True))
        # Two threads that step one optimizer take turns.
        self._step_lock = threading.Lock()
        self._flat_steps: dict[Any, nn.Cell] = {}
        self._host_step: HostStep | None = None
        self._host_ready = False
        if self._program is not None and not self._classic:
            self._set_traced_step(self._program)

    def scalar_groups(self) -> tuple[list[int], list[ScalarGroup]]:
        """Parameters for which every scalar of a step is the same.

        Returns:
            The group of each parameter, and the groups.
        """
        found: dict[tuple[Any, ...], int] = {}
        groups: list[ScalarGroup] = []
        members: list[int] = []
        for index, (setting, kind) in enumerate(zip(self.settings, self._parameter_kinds, strict=True)):
            decay = id(setting.decay) if isinstance(setting.decay, nn.Cell) else setting.decay
            key = (id(setting.rate), decay, setting.decays, kind, setting.options)
            if key not in found:
                found[key] = len(groups)
                rate_index = self.rate_index[index]
                groups.append(
                    ScalarGroup(setting.rate, rate_index, setting.decay, setting.decays, kind, index, setting.options)
                )
            members.append(found[key])
        return members, groups

    @functools.cached_property
    def _program(self) -> Program | Plan | None:
        """What kernels are made from: the rule's program, or the written-out update's plan."""
        if self.rule is not None and self.update is not None:
            raise InvalidSpecError(f"{self.name}: it has both a 'rule' and an 'update'; an optimizer has one of them")
        source = self.rule or self.update
        if source is None:
            return None
        unknown = sorted(set(source.scalars) - set(self.hyperparameters) - set(SUPPLIED_SCALARS))
        if unknown:
            raise InvalidSpecError(
                f"{self.name}: the {'rule' if self.update is None else 'update'} reads {unknown}, which are neither "
                f"hyperparameters of the spec {sorted(self.hyperparameters)} nor supplied {list(SUPPLIED_SCALARS)}"
            )
        steps = frozenset(self.saved_hyperparameters)
        if isinstance(source, Rule):
            return analyse(source, self.hyperparameters, steps)
        slots = _slots_of(self.name, self.spec, source.state, source.counters, True).values()
        kept = [s for s in slots if s.per_parameter and s.kept_with(self.hyperparameters)]
        return Plan(source, tuple(kept), self.hyperparameters, steps)

    def program_for(self, options: Options) -> Program | Plan:
        """What kernels are made from, for parameters whose group has hyperparameters of its own."""
        program = self._program
        assert program is not None
        if not options or not isinstance(program, Plan):
            return program
        return replace(program, hyperparameters={**program.hyperparameters, **dict(options)})

    @property
    def _classic(self) -> bool:
        """Whether the class writes its own ``construct``."""
        return type(self).construct is not TracedStep.construct

    @classmethod
    def _declared(cls) -> tuple[Hyperparameter, ...]:
        if cls.spec is None:
            return ()
        return tuple(h for h in cls.spec.hyperparameters if h.name not in _OWN_ARGUMENTS)

    @classmethod
    def _group_options(cls) -> dict[str, Take]:
        """What takes a group's own value, for each hyperparameter that may have one.

        Raises:
            InvalidSpecError: there are such, but the algorithm is no update.
        """
        if cls.spec is None or not cls.spec.capabilities.group_options:
            return {}
        owner, names = cls.spec.name, cls.spec.capabilities.group_options
        if cls.update is None:
            raise InvalidSpecError(
                f"{owner}: the spec's capabilities have group_options={names}, which needs an 'update'; "
                "hyperparameters of a rule are the same for all groups"
            )
        return {h.name: functools.partial(taken_as, owner, h) for h in cls._declared() if h.name in names}

    # -- description ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The optimizer's name, as errors show it: the spec's, or the class's."""
        return self.spec.name if self.spec is not None else type(self).__name__

    def decays(self, parameter: Parameter) -> bool:
        """Whether ``weight_decay`` applies to a parameter that is in no group; override to choose otherwise."""
        if self.spec is not None and self.spec.capabilities.decay_filter == "all":
            return True
        return "beta" not in parameter.name and "gamma" not in parameter.name

    @property
    def decays_gradient(self) -> bool:
        """Whether weight decay is added to the gradient, not applied in the optimizer's own update."""
        return self.spec is None or self.spec.capabilities.weight_decay == "gradient"

    @property
    def scales_gradient(self) -> bool:
        """Whether gradients are divided by the loss scale."""
        return self.spec is None or self.spec.capabilities.loss_scale

    @property
    def preconditions(self) -> bool:
        """Whether the rule sees something in place of the gradients."""
        own = type(self)
        return (own.precondition, own.precondition_on_host) != (Optimizer.precondition, Optimizer.precondition_on_host)

    @property
    def _declares_offload(self) -> bool:
        return self.spec is not None and self.spec.capabilities.offload

    @property
    def sparse(self) -> str:
        """How rows of a sparse gradient are applied: 'exact', 'lazy', or 'none' where they are refused."""
        return self.spec.capabilities.sparse if self.spec is not None else "none"

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments other than the parameters.

        Returns:
            A dict; ``type(optimizer)(params, **optimizer.get_config())`` builds the same optimizer anew.
        """
        accepted = inspect.signature(type(self).__init__).parameters
        return {name: value for name, value in self._given.items() if name in accepted}

    def __deepcopy__(self, memo: dict[int, Any]) -> Optimizer:
        return copy_optimizer(self, memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild_optimizer, snapshot(self)

    def precondition(self, gradients: Any) -> Any:
        """What the rule or update sees in place of the gradients, in a graph; override for a method of second order.

        Decay, centralization and division by the loss scale come after it.

        Arguments:
            gradients: tuple of Tensors, one for each parameter, of the parameter's shape, checked.

        Returns:
            A tuple of as many, of the same shapes.
        """
        return gradients

    def precondition_on_host(self, gradients: Any, step: int) -> Any:
        """The same as `precondition` for a step in PyNative on the host, when all queued work is done.

        Arguments:
            gradients: a sequence of Tensors, one for each parameter, of the parameter's shape, checked.
            step: the number of steps that were done.

        Returns:
            A sequence of as many, of the same shapes and dtypes; the step reads them.
        """
        return gradients

    def broadcast_params(self, optim_result: Any) -> bool:
        """Make the parameters of all processes those of the process that owns them, in the order of the update.

        With one process there is nothing to do.

        Arguments:
            optim_result: what the update returned; the broadcast comes after it.

        Returns:
            True.
        """
        return broadcast_parameters(self.parameters, optim_result)

    # MindSpore operators that a classic construct may expect; made when asked for, since they cannot be copied.

    @property
    def assignadd(self) -> Any:
        """``assignadd(parameter, value)``, as `mindspore.nn.Optimizer` has it."""
        return ops.AssignAdd()

    @property
    def map_(self) -> Any:
        """``map_(function, *tuples)``, as `mindspore.nn.Optimizer` has it."""
        return ops.Map()

    @property
    def hyper_map(self) -> Any:
        """``hyper_map(function, *tuples)``, as `mindspore.nn.Optimizer` has it."""
        return ops.HyperMap()

    @property
    def target(self) -> str:
        """The device whose kernel updates the parameters: 'CPU', 'GPU' or 'Ascend'.

        Raises:
            TypeError: set to something that is not a str.
            ValueError: set to another name.
            MissingKernelError: set to a device that is not present or has no kernel; the message lists
                the kernels that exist.
        """
        return str(self._target)

    @target.setter
    def target(self, value: str) -> None:
        check_target(self, value)
        self._target = value
        self._host_ready = False

    @property
    def unique(self) -> bool:
        """Whether duplicate indices of sparse gradients are summed by the optimizer.

        Raises:
            TypeError: set to something that is not a bool.
        """
        return bool(self._unique)

    @unique.setter
    def unique(self, value: bool) -> None:
        self._unique = flag(self.name, "unique", value)

    # -- stepping ---------------------------------------------------------------------------------

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if named and not self._classic:
            arguments, named = positional(arguments, named)
        step = self._ready_host_step() if len(arguments) == 1 and not named else None
        graph = in_graph_mode()
        if step is None or graph or self._hooked():
            if not self._classic and len(arguments) == 1:
                dense = self._check_eagerly(arguments[0])
                if graph and not self._hooked():
                    shapes, tensors = (None, arguments[0]) if dense else flattened(arguments[0])
                    return self._flat_step_for(shapes)(*tensors)
                arguments = (tuple(parts(g) if is_sparse(g) else g for g in arguments[0]),)
            return super().__call__(*arguments, **named)
        with self._step_lock:
            step(arguments[0])
        return self._done

    def _ready_host_step(self) -> HostStep | None:
        if not self._host_ready:
            self._host_step = None if self._classic or self._program is None else self._build_host_step()
            self._host_ready = True
        return self._host_step

    def _build_host_step(self) -> HostStep | None:
        factory = choose_kernel(self)
        assert self._program is not None
        return None if factory is None else HostStep(self, self._program, factory)

    def _hooked(self) -> bool:
        # Asked at every step, so not by way of the properties, which make tables of what there is none of.
        before, after = self._lazy_forward_pre_hook, self._lazy_forward_hook
        return bool(before or after or self._lazy_backward_pre_hook or self._lazy_backward_hook)

    def _check_eagerly(self, gradients: Any) -> bool:
        """Refuse what does not fit before a graph is compiled; say whether all gradients are dense."""
        dense = self._gradient_reader.dense(gradients) is not None
        if not dense:
            shapes = [s.parameter.shape for s in self.settings]
            sparse = [i for i, kind in enumerate(check_gradients(self, gradients, shapes)) if kind is None]
            for index in sparse:
                read_sparse(self.name, gradients[index], self.settings[index].parameter, self.unique)
            dense = not sparse
        if self.rate_limit and int(self.global_step.asnumpy()[0]) >= self.rate_limit:
            raise ValueError(self.rate_limit_message)
        return dense

    def _flat_step_for(self, shapes: tuple[tuple[int, ...] | None, ...] | None) -> nn.Cell:
        if shapes not in self._flat_steps:
            self._flat_steps[shapes] = DenseStep(self) if shapes is None else FlatStep(self, shapes)
        return self._flat_steps[shapes]


def _slots_of(
    owner: str, spec: OptimizerSpec | None, state: Iterable[str], scalar_state: Iterable[str], written_out: bool
) -> dict[str, StateSlot]:
    """The declared slots that a rule or an update uses, those of the parameters first.

    Raises:
        InvalidSpecError: there is state that the spec does not declare, or of another shape.
    """
    slots = {slot.name: slot for slot in spec.state} if spec is not None else {}
    what = "update" if written_out else "rule"
    own, shared = tuple(state), tuple(scalar_state)
    for name in (*own, *shared):
        if name not in slots:
            raise InvalidSpecError(f"{owner}: the {what}'s state {name!r} is not in the spec's 'state' {sorted(slots)}")
        slot = slots[name]
        # A rule is about one element, so its state has one number for each.
        fits = slot.per_parameter and (written_out or slot.shape == "like")
        if fits != (name in own):
            kinds = ("each parameter's" if written_out else "elementwise", "one number for the optimizer")
            raise InvalidSpecError(
                f"{owner}: in the {what} the state {name!r} is {kinds[name in shared]}, but its slot has shape "
                f"{slot.shape!r}"
            )
    return {name: slots[name] for name in (*own, *shared)}


def _checked_rate(owner: str, spec: OptimizerSpec | None, rate: Any, values: Mapping[str, Any]) -> Any:
    """The rate as it was given, or none where the declaration says that there must be none.

    Raises:
        ValueError: a rate beside a flag that takes its place, or neither.
    """
    declared = next((h for h in spec.hyperparameters if h.kind == "rate"), None) if spec is not None else None
    if declared is None or not declared.only_with:
        return rate
    flag_name = declared.only_with_flag
    if declared.goes_with(values):
        if rate is None:
            raise ValueError(
                f"{owner}: '{declared.name}' must be given with {flag_name}={values[flag_name]}; there is no other rate"
            )
        return rate
    if rate is not None:
        raise contradiction(owner, declared, rate, values)
    return NoRate("learning_rate")
