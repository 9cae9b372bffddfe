"""`WrappingOptimizer`: the base class of optimizers around another one."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mindspore import Parameter, Tensor, nn, ops

from tinyms_core.kernels.factor import analyse_factor
from tinyms_core.kernels.rule import Rule
from tinyms_core.kernels.traced_gradients import check_gradient, decayed, is_dense, refuse, scaled
from tinyms_core.optimizer.base import Optimizer
from tinyms_core.optimizer.flat_step import positional
from tinyms_core.optimizer.graph_step import graph_operator
from tinyms_core.optimizer.host_factors import HostFactors
from tinyms_core.optimizer.host_gradients import HostGradients
from tinyms_core.optimizer.kernel_choice import HOST_DEVICES, choose_kernel
from tinyms_core.optimizer.mindspore_groups import MindsporeGroups
from tinyms_core.optimizer.modes import in_graph_mode
from tinyms_core.optimizer.step import HostStep, check_gradients
from tinyms_core.optimizer.traced_blocks import TracedBlocks
from tinyms_core.optimizer.traced_factor import TracedFactor
from tinyms_core.optimizer.views import undecayed
from tinyms_core.optimizer.wrapped_scalars import arithmetic_types, storage_kinds, wrapped_scalars
from tinyms_core.registry.arguments import checked_hyperparameters
from tinyms_core.registry.specs import OptimizerSpec
from tinyms_core.registry.validation import describe

# What MindSpore's training loops and wrappers read of an optimizer; the wrapped one's, the same objects.
_SHARED = (
    "parameters", "_parameters", "param_length", "global_step", "learning_rate", "loss_scale", "reciprocal_scale",
    "need_scale", "is_group", "is_group_lr", "dynamic_lr", "dynamic_weight_decay", "decay_flags",
    "exec_weight_decay", "grad_centralization", "optim_filter", "use_parallel", "enable_tuple_broaden",
)  # fmt: skip

# Optimizers of MindSpore that take decay in a way of their own, which no flag for a parameter turns off.
_OWN_DECAY = (nn.AdaFactor,)


class WrappingOptimizer(TracedBlocks, nn.Optimizer):  # type: ignore[misc]
    r"""Base class of optimizers around another one, which give it each gradient times a factor.

    For a chosen parameter the update of the wrapped optimizer sees

    .. math::
        \lambda \, (g + \delta w)

    where :math:`g` is the gradient without the loss scale, :math:`\delta` the weight decay that the wrapped
    optimizer has for the parameter at this step, and :math:`\lambda` the factor. Decay and scale are then done:
    the wrapped optimizer applies neither again, wherever it otherwise would. Centralization stays its own.
    Parameters that are not chosen take the wrapped optimizer's ordinary path.

    A subclass states the class attribute ``factor``, a `tinyms_core.rule` without state that returns
    :math:`\lambda` for a whole tensor instead of a new ``w``; ``spec``, whose capabilities say
    ``wraps_optimizer``; and a constructor. On the host a step is one pass that sums and the wrapped optimizer's
    own kernel; around an optimizer without a kernel a second pass writes new gradients for it. In a graph the same runs
    as one operator where the wrapped optimizer's step does; on other devices it is made of MindSpore operators.

    Parameters, state, rates, step, device and checkpoints are those of the wrapped optimizer, which works as before,
    also between the steps of this one.

    Arguments:
        optimizer: an optimizer of this library or of `mindspore.nn`.
        hyperparameters: value of each hyperparameter that ``spec`` declares.
        chosen_by: the name of the hyperparameter that is called with each Parameter and returns True where the
            factor applies; empty where it applies to all.

    Raises:
        TypeError: ``optimizer`` is no optimizer, or one around another; what chooses parameters cannot be called,
            or returns something else than a bool; a hyperparameter of a wrong type.
        ValueError: a hyperparameter out of range, or an optimizer of MindSpore whose decay cannot be left out for
            a single parameter.

    Example:
        >>> from mindspore import nn
        >>> from tinyms_core.examples import UnitGradient, parameter, tensor
        >>> w = parameter("w", [1.0, 1.0])
        >>> optimizer = UnitGradient(nn.SGD([w], learning_rate=0.5))
        >>> _ = optimizer((tensor([30.0, 40.0]),))
        >>> print(w.asnumpy().round(4))
        [0.7 0.6]
    """

    spec: ClassVar[OptimizerSpec | None] = None
    factor: ClassVar[Rule]
    #: A wrapping optimizer refuses sparse gradients: a factor is for whole tensors.
    sparse: ClassVar[str] = "none"

    def __init__(
        self,
        optimizer: nn.Optimizer,
        *,
        hyperparameters: Mapping[str, Any] | None = None,
        chosen_by: str = "",
    ) -> None:
        # Everything is checked before the first attribute is set.
        name = self.name
        _check_optimizer(name, optimizer)
        values = self._checked(hyperparameters or {})
        flags = _chosen(name, chosen_by, values.get(chosen_by), optimizer.parameters)
        if any(flags) and isinstance(optimizer, _OWN_DECAY) and optimizer.exec_weight_decay:
            raise ValueError(
                f"{name}: 'optimizer' has weight decay, which {type(optimizer).__name__} of mindspore.nn cannot leave "
                "out for a single parameter; build it with weight_decay=0"
            )
        nn.Cell.__init__(self, auto_prefix=False)
        self.optimizer = optimizer
        self.hyperparameters = values
        self._given = {"optimizer": optimizer, **values}
        self.chosen_flags = flags
        for attribute in _SHARED:
            if hasattr(optimizer, attribute):
                setattr(self, attribute, getattr(optimizer, attribute))
        self._user_parameters.extend(parameter.name for parameter in self.parameters)
        self.add_flags(skip_auto_parallel_compile=True)
        self.view = undecayed(optimizer, flags)
        self._set_traced_factors()
        self._host_step: HostStep | None = None
        self._host_target = ""

    def _checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        declared = self.spec.hyperparameters if self.spec is not None else ()
        plain = {h.name: given.get(h.name, h.default) for h in declared if h.free}
        checked = tuple(h for h in declared if not h.free)
        return {
            **checked_hyperparameters(self.name, checked, {k: v for k, v in given.items() if k not in plain}),
            **plain,
        }

    def _set_traced_factors(self) -> None:
        numbers = {name: value for name, value in self.hyperparameters.items() if not callable(value)}
        self.analysed = analyse_factor(type(self).factor, numbers)
        optimizer = self.optimizer
        own = isinstance(optimizer, Optimizer)
        kinds = storage_kinds(optimizer)
        storages = list(dict.fromkeys(kinds))
        self.wrapped_scalars = wrapped_scalars(optimizer)
        self.place_of = self.wrapped_scalars.place_of
        self.wide_type = self.wrapped_scalars.wide_type
        self.factors = nn.CellList(
            [TracedFactor(self.analysed, numbers, kind, self.wide_type) for kind in storages],
            auto_prefix=False,
        )
        self.factor_of = tuple(storages.index(kind) for kind in kinds)
        self.arithmetic = arithmetic_types(kinds)
        self.scale_wide = Tensor(float(optimizer.loss_scale), self.wide_type)
        self.reciprocal_wide = Tensor(1.0 / float(optimizer.loss_scale), self.wide_type)
        self.unscales = bool(optimizer.need_scale) and (not own or optimizer.scales_gradient)
        # MindSpore's own updates take a gradient in the parameter's dtype alone.
        self.keeps_dtype = not own
        self.rate_limit = optimizer.rate_limit if own else 0
        self.rate_limit_message = optimizer.rate_limit_message if own else ""
        self.traced_names = tuple(f"{self.name}: the gradient of {p.name!r}" for p in self.parameters)
        self._set_traced_blocks()
        kernels = isinstance(self.view, Optimizer) and not self.view._classic and self.view._program is not None
        found = graph_operator(self.view, self._host_factors) if kernels else None
        self.traced_operator: Any = None if found is None else found.operator
        self.traced_who: Any = None if found is None else found.who
        self._graph_step: Any = None if found is None else found.step

    # -- description ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The optimizer's name, as errors show it: the spec's, or the class's."""
        return self.spec.name if self.spec is not None else type(self).__name__

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the wrapped optimizer among them.

        Returns:
            A dict; ``type(optimizer)(**optimizer.get_config())`` is around the same optimizer.
        """
        accepted = inspect.signature(type(self).__init__).parameters
        return {name: value for name, value in self._given.items() if name in accepted}

    def __deepcopy__(self, memo: dict[int, Any]) -> WrappingOptimizer:
        return _rebuild(type(self), {name: copy.deepcopy(value, memo) for name, value in self.get_config().items()})

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.get_config())

    # -- what is the wrapped optimizer's ----------------------------------------------------------

    @property
    def target(self) -> str:
        """The device whose kernel updates the parameters: the wrapped optimizer's, which refuses what it cannot."""
        return str(self.optimizer.target)

    @target.setter
    def target(self, value: str) -> None:
        self.optimizer.target = value
        self.view.target = value

    @property
    def unique(self) -> bool:
        """The wrapped optimizer's ``unique``."""
        return bool(self.optimizer.unique)

    @unique.setter
    def unique(self, value: bool) -> None:
        self.optimizer.unique = value

    def get_lr(self) -> Any:
        """The wrapped optimizer's learning rate of the current step."""
        return self.optimizer.get_lr()

    def get_lr_parameter(self, param: Any) -> Any:
        """What holds the learning rate of a parameter; see `tinyms_core.Optimizer.get_lr_parameter`."""
        return self.optimizer.get_lr_parameter(param)

    def get_weight_decay(self) -> Any:
        """The wrapped optimizer's weight decay of the current step, times the loss scale."""
        return self.optimizer.get_weight_decay()

    def decay_weight(self, gradients: Any) -> Any:
        """Add weight decay as the wrapped optimizer does on its ordinary path."""
        return self.optimizer.decay_weight(gradients)

    def gradients_centralization(self, gradients: Any) -> Any:
        """Centralize gradients as the wrapped optimizer does."""
        return self.optimizer.gradients_centralization(gradients)

    def scale_grad(self, gradients: Any) -> Any:
        """Divide gradients by the loss scale as the wrapped optimizer does on its ordinary path."""
        return self.optimizer.scale_grad(gradients)

    def broadcast_params(self, optim_result: Any) -> Any:
        """Broadcast parameters as the wrapped optimizer does."""
        return self.optimizer.broadcast_params(optim_result)

    # -- stepping ---------------------------------------------------------------------------------

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        arguments, named = positional(arguments, named)
        if len(arguments) != 1 or named:
            return super().__call__(*arguments, **named)
        on_host = self.view.target in HOST_DEVICES and not in_graph_mode()
        step = self._ready_host_step() if on_host and not self._hooked() else None
        if step is not None:
            with self.optimizer._step_lock:
                step(arguments[0])
            return self.optimizer._done
        self._check_eagerly(arguments[0])
        if not on_host or self._hooked():
            return super().__call__(tuple(arguments[0]))
        return self.view(self._host_gradients(arguments[0], int(self.global_step.asnumpy()[0])))

    def _check_eagerly(self, gradients: Any) -> None:
        shapes = [parameter.shape for parameter in self.parameters]
        owner: Any = self
        check_gradients(owner, gradients, shapes)
        if self.rate_limit and int(self.global_step.asnumpy()[0]) >= self.rate_limit:
            raise ValueError(self.rate_limit_message)

    def _ready_host_step(self) -> HostStep | None:
        """The step in kernels, built anew for another target; None around an optimizer without kernels."""
        view = self.view
        if not isinstance(view, Optimizer) or view._classic or view._program is None:
            return None
        if self._host_target != view.target:
            self._host_step = HostStep(view, view._program, choose_kernel(view), self._host_factors, owner=self)
            self._host_target = view.target
        return self._host_step

    @functools.cached_property
    def _host_factors(self) -> HostFactors:
        own = isinstance(self.optimizer, Optimizer)
        optimizer = self.optimizer if own else MindsporeGroups(self.optimizer)
        return HostFactors(self.analysed, self.hyperparameters, optimizer, self.chosen_flags)

    @functools.cached_property
    def _host_gradients(self) -> HostGradients:
        return HostGradients(self._host_factors, self.parameters, self.chosen_flags, self.keeps_dtype)

    def _hooked(self) -> bool:
        return any((self._forward_pre_hook, self._forward_hook, self._backward_pre_hook, self._backward_hook))

    def construct(self, gradients: Any) -> Any:
        """One step as operators."""
        if isinstance(gradients, list):
            # A custom operator takes the elements of a tuple alone.
            gradients = tuple(gradients)
        if len(gradients) != self.param_length:
            raise ValueError(f"got {len(gradients)} gradient(s) for {self.param_length} parameter(s)")
        if self.rate_limit > 0:
            refuse(self.global_step[0] >= self.rate_limit, self.rate_limit_message)
        dense = 1
        for i, j, k, m, n, o, p, q in self.traced_eights:
            dense = dense * is_dense(gradients[i]) * is_dense(gradients[j]) * is_dense(gradients[k])
            dense = dense * is_dense(gradients[m]) * is_dense(gradients[n]) * is_dense(gradients[o])
            dense = dense * is_dense(gradients[p]) * is_dense(gradients[q])
        if dense == 0:
            for i in range(self.param_length):
                check_gradient(self.parameters[i], gradients[i], self.traced_names[i], False)
        fit = self.traced_operator is not None
        for first, last in self.traced_blocks:
            fit = self._traced_check(gradients, first, last) and fit
        pairs = self.wrapped_scalars()
        if fit:
            more: Any = ()
            for rate, decay in pairs:
                more += (rate, decay)
            return self.view._traced_result(
                self.view._traced_host_step(gradients, self.traced_operator, self.traced_who, more)
            )
        seen: Any = ()
        for first, last in self.traced_blocks:
            seen += self._traced_block(gradients, pairs, first, last)
        return self.view(seen)

    def _traced_block(self, gradients: Any, pairs: Any, first: int, last: int) -> Any:
        """What the wrapped optimizer is given for the parameters of a block."""
        step = ops.cast(self.global_step, self.wide_type).reshape(()) + 1
        seen: Any = ()
        for i in range(first, last):
            gradient = gradients[i]
            if self.chosen_flags[i]:
                rate, decay = pairs[self.place_of[i]]
                gradient = self._multiplied(i, gradient, (rate, step, decay))
            seen += (gradient,)
        return seen

    def _multiplied(self, i: int, gradient: Any, supplied: Any) -> Any:
        """What the wrapped optimizer is given: the decayed gradient times the factor, still with the loss scale."""
        parameter = self.parameters[i]
        wide = ops.cast(gradient, self.arithmetic[i])
        unscaled = wide
        decay = supplied[2]
        if self.unscales:
            unscaled = scaled(wide, self.reciprocal_wide)
            decay = self.scale_wide * decay
        factor = self.factors[self.factor_of[i]](parameter, unscaled, supplied)
        result = factor * decayed(wide, parameter, decay)
        if self.keeps_dtype:
            result = ops.cast(result, gradient.dtype)
        return result


def _rebuild(cls: type, config: dict[str, Any]) -> WrappingOptimizer:
    optimizer: WrappingOptimizer = cls(**config)
    return optimizer


def _check_optimizer(owner: str, optimizer: Any) -> None:
    if isinstance(optimizer, type) and issubclass(optimizer, nn.Optimizer):
        raise TypeError(
            f"{owner}: 'optimizer' must be an optimizer that has been built, got the class {optimizer.__name__}"
        )
    if not isinstance(optimizer, nn.Optimizer):
        raise TypeError(
            f"{owner}: 'optimizer' must be an optimizer of tinyms_core or of mindspore.nn, got {describe(optimizer)}"
        )
    if isinstance(optimizer, WrappingOptimizer | nn.LARS):
        raise TypeError(
            f"{owner}: 'optimizer' must be one that is not around another optimizer, got {type(optimizer).__name__}"
        )
    if getattr(optimizer, "is_sharded", False):
        raise TypeError(
            f"{owner}: 'optimizer' must have its state whole, got one whose state is divided among processes; divide "
            f"the two together: shard_state({owner!r}, params, around={optimizer.name!r})"
        )
    _refuse_of_network(owner, optimizer)


def _refuse_of_network(owner: str, optimizer: Any) -> None:
    """Refuse an optimizer of a network: it changes the gradients itself, after which a factor means nothing."""
    spec = getattr(optimizer, "spec", None)
    if spec is not None and spec.capabilities.consumes_network:
        raise TypeError(
            f"{owner}: 'optimizer' must be one of parameters; {type(optimizer).__name__} is built from a network and "
            "gives its update other gradients than it is given"
        )


def _chosen(owner: str, argument: str, chosen: Any, parameters: Sequence[Parameter]) -> tuple[bool, ...]:
    """For each parameter whether the factor applies."""
    if not argument:
        return (True,) * len(parameters)
    if not callable(chosen):
        raise TypeError(
            f"{owner}: {argument!r} must be a function of a Parameter that returns a bool, got {describe(chosen)}"
        )
    flags = tuple(chosen(parameter) for parameter in parameters)
    for flag, parameter in zip(flags, parameters, strict=True):
        if not isinstance(flag, bool):
            raise TypeError(
                f"{owner}: {argument!r} must return True or False, got {describe(flag)} for {parameter.name!r}"
            )
    return flags
