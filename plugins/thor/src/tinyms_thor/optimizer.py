"""The THOR optimizer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import mindspore
from mindspore import Parameter, Tensor, nn

from tinyms_core import Optimizer
from tinyms_core.distributed import rank_count
from tinyms_thor import SPEC, every_parameter
from tinyms_thor.arguments import checked_arguments
from tinyms_thor.blocks import LARGEST, Blocks
from tinyms_thor.curvature import Curvature, Options
from tinyms_thor.kernels import thor as thor_rule
from tinyms_thor.layers import Layer, find_layers, find_normalized
from tinyms_thor.memory import LayerMemory, memory_of
from tinyms_thor.operators import Conditioner, Curved, as_values
from tinyms_thor.ranks import averaging, layer_groups, told


class Thor(Optimizer):
    """What `thor` returns: an optimizer of a network's parameters that looks at the network's backward passes.

    Build it with `thor`, which describes the arguments.
    """

    spec = SPEC
    rule = thor_rule

    def __init__(self, net: nn.Cell, **arguments: Any) -> None:
        checked_arguments(self.name, net, arguments)
        layers = find_layers(self.name, net)
        super().__init__(
            arguments["learning_rate"],
            _groups(net, arguments),
            arguments["weight_decay"],
            arguments["loss_scale"],
            hyperparameters={key: value for key, value in arguments.items() if key in _HYPERPARAMETERS},
        )
        self._arguments = dict(arguments)
        self._set_damping(arguments["damping"])
        options = Options(
            frequency=int(arguments["frequency"]),
            loss_scale=float(arguments["loss_scale"]),
            trace_thresholds=arguments["trace_thresholds"],
            factor_decay=arguments["factor_decay"],
            damping_balance=arguments["damping_balance"],
            batch_size=int(arguments["batch_size"]),
        )
        _tell_of_blocks(self.name, layers)
        self._memory = memory_of(layers, options)
        normalized = find_normalized(net)
        # The first layer tells of a wrong batch size, where that is read at all.
        self.curvatures = {
            layer.name: Curvature(layer.weight.name, layer.kind, options, bool(normalized) and layer is layers[0])
            for layer in layers
        }
        places = {id(parameter): i for i, parameter in enumerate(self.parameters)}
        self.conditioner = Conditioner(
            self.parameters,
            [Curved(places[id(layer.weight)], layer.weight, self.curvatures[layer.name]) for layer in layers],
            [i for i, parameter in enumerate(self.parameters) if id(parameter) in normalized],
            options,
            layer_groups(len(layers), arguments["split_indices"]),
        )
        # Last, since from here on the network is looked at.
        self._restore = [layer.place.attach(self.curvatures[layer.name], self.global_step) for layer in layers]

    def _set_damping(self, damping: Tensor) -> None:
        self.damping = Parameter(damping.astype(mindspore.float32), name="damping", requires_grad=False)
        count = damping.size if damping.ndim else 0
        if count and (not self.rate_limit or count < self.rate_limit):
            self.rate_limit = count
            self.rate_limit_message = (
                f"{self.name}: damping lists {count} value(s), one for each step, and all have been used; give more. "
                "Nothing was changed"
            )

    # -- the network ------------------------------------------------------------------------------

    @property
    def attached(self) -> bool:
        """Whether the network's backward passes are looked at."""
        return bool(self._restore)

    def detach(self) -> None:
        """Stop looking at the network: its layers get their own operators back. The optimizer steps no more.

        Functions that were compiled before keep looking, so compile anew what is used afterwards. A second call does
        nothing.
        """
        for restore in self._restore:
            restore()
        self._restore = []

    def memory_by_layer(self) -> tuple[LayerMemory, ...]:
        r"""What the curvature of each layer takes in memory, beside the momentum of each parameter.

        .. math::
            4\, c\, (b_A e_A^2 + b_G e_G^2) \text{ bytes}

        for :math:`b` blocks of :math:`e` rows, where :math:`c` is 2 with ``factor_decay`` and else 1; 8 more with
        ``trace_thresholds``. An Embedding has as many numbers as ids in place of :math:`b_A e_A^2`.

        Returns:
            A row for each layer, in the network's order: name, class, shapes of the factors, blocks and bytes.

        Example:
            >>> import tinyms_core
            >>> from mindspore import Tensor, nn
            >>> thor = tinyms_core.get_optimizer("thor")
            >>> optimizer = thor(nn.Dense(20, 10), Tensor(0.1), Tensor(0.1), momentum=0.9)
            >>> print(*optimizer.memory_by_layer(), sep="\n")
            the network: Dense, 1 x 20 x 20 and 1 x 10 x 10, 2 blocks, 2000 bytes
        """
        return self._memory

    def get_config(self) -> dict[str, Any]:
        """The arguments beside the network.

        Returns:
            A dict; ``thor(net, **optimizer.get_config())`` builds the same optimizer anew, after `detach`.
        """
        return dict(self._arguments)

    def __deepcopy__(self, memo: dict[int, Any]) -> Optimizer:
        raise TypeError(
            f"{self.name}: it belongs to its network and cannot be copied; build one for the copy of the network, "
            "and load the state with load_param_into_net"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            f"{self.name}: it belongs to its network and cannot be pickled; save its state with save_checkpoint"
        )

    # -- stepping ---------------------------------------------------------------------------------

    def precondition_on_host(self, gradients: Any, step: int) -> Any:
        """The gradients that the rule sees, in PyNative."""
        self._require_attached()
        if self.rate_limit and step >= self.rate_limit:
            raise ValueError(self.rate_limit_message)
        return self.conditioner.on_host(gradients, step, as_values(self.damping))

    def precondition(self, gradients: Any) -> Any:
        """The gradients that the rule sees, in a graph."""
        return self.conditioner(gradients, self.global_step, self.damping)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        with self._meeting():
            self._require_attached()
            return super().__call__(*arguments, **named)

    def _meeting(self) -> AbstractContextManager[None]:
        """What tells other processes of an error for which this one does not come to the exchange of a refresh."""
        if rank_count() == 1:
            return nullcontext()
        step = int(self.global_step.asnumpy()[0])
        if not self.conditioner.due(step):
            return nullcontext()
        self.conditioner.met = False
        return told(averaging(step), until=lambda: self.conditioner.met)

    def _require_attached(self) -> None:
        if not self.attached and self.curvatures:
            raise RuntimeError(
                f"{self.name}: it was detached from its network and sees no curvature any more; build a new one"
            )


_HYPERPARAMETERS = {h.name for h in SPEC.hyperparameters} - {"learning_rate", "weight_decay", "loss_scale"}


def _groups(net: nn.Cell, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Groups by decay, in the network's own order."""
    parameters = net.trainable_params()
    decayed = [parameter for parameter in parameters if arguments["decay_filter"](parameter)]
    chosen = set(map(id, decayed))
    groups: list[dict[str, Any]] = [
        {"params": decayed},
        {"params": [p for p in parameters if id(p) not in chosen], "weight_decay": 0.0},
    ]
    return [*(group for group in groups if group["params"]), {"order_params": parameters}]


def _tell_of_blocks(owner: str, layers: list[Layer]) -> None:
    for layer in layers:
        for factor, layout in (("inputs", layer.kind.inputs), ("outputs", layer.kind.outputs)):
            if isinstance(layout, Blocks) and layout.count > 1:
                warnings.warn(
                    f"{owner}: the factor of the {factor} of layer {layer.name!r} has {layout.size} rows, more than "
                    f"{LARGEST}, and is kept as {layout.count} blocks of {layout.edge}; what lies between them is "
                    "left out",
                    RuntimeWarning,
                    stacklevel=4,
                )


def thor(
    net: nn.Cell,
    learning_rate: Tensor,
    damping: Tensor,
    momentum: float,
    weight_decay: float = 0.0,
    loss_scale: float = 1.0,
    batch_size: int = 32,
    use_nesterov: bool = False,
    decay_filter: Callable[[Parameter], bool] = every_parameter,
    split_indices: list[int] | None = None,
    enable_clip_grad: bool = False,
    frequency: int = 100,
    *,
    trace_thresholds: tuple[float, float] | None = None,
    factor_decay: float | None = None,
    damping_balance: bool = False,
) -> Thor:
    r"""Build THOR for a network: gradients preconditioned, layer by layer, by the curvature of the loss.

    For a layer with inputs :math:`a` and gradients :math:`d` of its outputs, over :math:`n` rows,

    .. math::
        A = \frac{1}{n} a^T a, \qquad G = n\, d^T d, \qquad
        \hat g = (G + \sqrt{\lambda} I)^{-1}\, g\, (A + \sqrt{\lambda} I)^{-1}

    and, after weight decay and clipping of :math:`\hat g`,

    .. math::
        m_{t} = \beta m_{t-1} + \hat g_t, \qquad
        w_{t} = w_{t-1} - \eta m_t
        \quad\text{or, with use\_nesterov,}\quad
        w_{t} = w_{t-1} - \eta (\hat g_t + \beta m_t)

    The inverses are made at the first step and then at each ``frequency``-th. Weights of Dense, Conv2d and Embedding
    are preconditioned; the scale and shift of a LayerNorm are divided by their own diagonal; every other parameter
    takes its plain gradient. The loss must be a mean over the batch.

    Where several processes train together, in PyNative, each has to be given the mean of their gradients. A and G are
    then averaged over them too, at each refresh, and the inversions are divided among them; all get the same bits.

    The network stays what it is; its backward passes are looked at until ``detach()`` is called on the optimizer.

    Arguments:
        net: the network, whose trainable parameters are updated.
        learning_rate: :math:`\eta`, a Tensor >= 0, 0-d, or 1-D with one value for each step.
        damping: :math:`\lambda`, a Tensor >= 0, 0-d, or 1-D with one value for each step.
        momentum: :math:`\beta`, a float >= 0. It is held in a Parameter, so a checkpoint brings it along.
        weight_decay: L2 penalty added to the preconditioned gradient, float or int >= 0, or a Cell of the step.
        loss_scale: what the gradients are divided by, float or int > 0.
        batch_size: samples in a batch, of all processes together, an int >= 1; LayerNorm reads it, all others count
            what they see.
        use_nesterov: whether the step looks ahead along the new momentum.
        decay_filter: called with each Parameter; returns whether weight decay applies to it.
        split_indices: None or a list of ints that rise: where several processes train together, the factors of the
            layers up to and with each index go between them in one buffer; those after the last in another. It
            changes no result. None for as few buffers as hold 64 MiB each.
        enable_clip_grad: whether the norm of each tensor's gradient, with decay, is kept at 1 or below.
        frequency: steps from one refresh of the inverses to the next, an int >= 2.
        trace_thresholds: two floats, the second at most the first: a layer is refreshed where its factors' traces have
            changed by more than the first since its last refresh, kept as it is between, and frozen for good where
            they have changed by less than the second. None to refresh always.
        factor_decay: how much of the old factors is kept at a refresh, a float in [0, 1); None for nothing.
        damping_balance: whether :math:`\sqrt\lambda` is shared between both factors by their mean eigenvalues.

    Returns:
        The optimizer. Each call with a tuple of gradients, shaped as the parameters, returns a tuple of True.

    Raises:
        TypeError: an argument of a wrong type; ``learning_rate`` and ``damping`` must be Tensors.
        ValueError: an argument out of range, a network without trainable parameters, layers that share a weight, a
            network that another one looks at already.
        RuntimeError: a step in a graph while several processes train together.
        LostRankError: at a refresh another process raised an error, or did not take part in time; nothing is changed.

    Example:
        >>> import tinyms_core
        >>> from mindspore import Tensor, nn, value_and_grad
        >>> from tinyms_core.examples import tensor
        >>> net = nn.Dense(2, 1, weight_init=tensor([[1.0, 1.0]]), has_bias=False)
        >>> optimizer = tinyms_core.get_optimizer("thor")(net, Tensor(0.5), Tensor(0.01), momentum=0.9)
        >>> gradient = value_and_grad(lambda x: (net(x) ** 2).mean(), None, optimizer.parameters)
        >>> losses = []
        >>> for _ in range(3):
        ...     loss, gradients = gradient(tensor([[1.0, 2.0], [3.0, -1.0]]))
        ...     _ = optimizer(gradients)
        ...     losses.append(float(loss.asnumpy()))
        >>> losses[2] < losses[0]
        True

    Source:
        Chen, Gao, Liu, Wang, Ni, Zhang, Chen, Ding, Huang, Wang, Wang, Yu, Zhao, Xu: THOR, Trace-based
        Hardware-driven Layer-Oriented Natural Gradient Descent Computation, AAAI 2021; Martens and Grosse: Optimizing
        Neural Networks with Kronecker-factored Approximate Curvature, ICML 2015; Grosse and Martens: A
        Kronecker-factored Approximate Fisher Matrix for Convolution Layers, ICML 2016.
    """
    return Thor(
        net,
        learning_rate=learning_rate,
        damping=damping,
        momentum=momentum,
        weight_decay=weight_decay,
        loss_scale=loss_scale,
        batch_size=batch_size,
        use_nesterov=use_nesterov,
        decay_filter=decay_filter,
        split_indices=split_indices,
        enable_clip_grad=enable_clip_grad,
        frequency=frequency,
        trace_thresholds=trace_thresholds,
        factor_decay=factor_decay,
        damping_balance=damping_balance,
    )
