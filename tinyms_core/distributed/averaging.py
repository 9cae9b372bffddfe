"""`GradientAverage`: the mean of all processes' gradients, in few exchanges of flat buffers."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.optimizer.addresses import addresses_of, wait_for_queued_work
from tinyms_core.optimizer.dtypes import dtype_name
from tinyms_core.ranks.group import Pending, raise_together, rank_count, start_gather, start_sum
from tinyms_core.ranks.memory import BUCKET_BYTES

# Tensors begin at multiples of so many elements of a buffer, as MindSpore's own tensors begin in memory.
_ALIGNMENT = 16


class GradientAverage:
    r"""The mean of all processes' gradients.

    .. math::
        g \leftarrow \frac{1}{N} \sum_{r=0}^{N-1} g_r

    Gradients are put one after the other into flat buffers, and each buffer is added over the processes in one
    exchange; while one is under way the next is filled. All processes get the same bits. Gradients in
    float16 and bfloat16 are added in float32, those in float64 in float64, so that an overflow is one that a process
    had itself. An infinity or a NaN of one process is in the mean of all: where steps that overflow are left out,
    look for it in the mean, and every process leaves out the same steps.

    All processes have to have the same parameters, as they do who began with `equalize_ranks` and took the same steps.
    Each call compares the first element of each, so that a process that has left out an average, or a step, does not
    go its own way unnoticed.

    It is for PyNative. In graph mode use `mindspore.nn.DistributedGradReducer`, or `mindspore.Model` in data-parallel
    mode; both give the same mean.

    Arguments:
        parameters: the Parameters, in the order of the gradients; read once.
        bucket_bytes: bytes of a buffer, an int > 0; a larger gradient has a buffer of its own.

    Returns:
        Each call with a tuple or list of gradients returns a tuple of as many, with their shapes and dtypes. With one
        process these are the gradients themselves.

    Raises:
        TypeError: a gradient is sparse, or no Tensor of floating-point numbers.
        ValueError: another number of gradients or another shape than the parameters'; ``bucket_bytes`` is not > 0.
        LostRankError: another process was given gradients that it refuses, or of other shapes or dtypes, or has other
            parameters; or it did not take part in time.

    Example:
        >>> from tinyms_core.distributed import GradientAverage
        >>> from tinyms_core.examples import parameter, tensor
        >>> average = GradientAverage([parameter("w", [1.0, 2.0])])
        >>> average((tensor([0.5, 1.5]),))[0].asnumpy().tolist()
        [0.5, 1.5]
    """

    def __init__(self, parameters: Any, *, bucket_bytes: int = BUCKET_BYTES) -> None:
        if bucket_bytes <= 0:
            raise ValueError(f"GradientAverage: 'bucket_bytes' must be > 0, got {bucket_bytes!r}")
        self._parameters: list[Parameter] = list(parameters)
        self._bucket_bytes = bucket_bytes

    def __call__(self, gradients: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The mean over the processes."""
        error = self._error(gradients)
        raise_together("the average of gradients", error, {} if error is not None else self._alike(gradients))
        if rank_count() == 1:
            return tuple(gradients)
        means: list[Any] = [None] * len(gradients)
        last: _Bucket | None = None
        for members, kind in self._buckets(gradients):
            # Filled while the one before is under way.
            bucket = _Bucket(gradients, members, kind)
            if last is not None:
                last.finish(means)
            last = bucket
        if last is not None:
            last.finish(means)
        return tuple(means)

    def _buckets(self, gradients: Sequence[Tensor]) -> list[tuple[list[int], str]]:
        """Which gradients go together, with the dtype in which they are added."""
        found: list[tuple[list[int], str]] = []
        for kind in ("float32", "float64"):
            width = np.dtype(kind).itemsize
            # Of what is gathered, all processes' values are held at a time.
            size = self._bucket_bytes if kind == "float32" else self._bucket_bytes // rank_count()
            space = 0
            for index, gradient in enumerate(gradients):
                if _summed_in(gradient) != kind:
                    continue
                if space < gradient.size * width:
                    found.append(([], kind))
                    space = size
                found[-1][0].append(index)
                space -= gradient.size * width
        return found

    def _alike(self, gradients: Sequence[Tensor]) -> dict[str, bytes]:
        """What has to be the same in all processes: a mean is of gradients at the same place."""
        if rank_count() == 1:
            return {}
        kinds = "; ".join(f"{gradient.dtype} {tuple(gradient.shape)}" for gradient in gradients)
        wait_for_queued_work()
        # Of each parameter the first element, since processes that have gone different ways differ in most elements.
        held = [parameter for parameter in self._parameters if parameter.size]
        places = zip(addresses_of(held).tolist(), held, strict=True)
        numbers = b"".join(ctypes.string_at(address, parameter.itemsize) for address, parameter in places)
        return {"the gradients' shapes and dtypes": kinds.encode(), "the parameters": numbers}

    def _error(self, gradients: Any) -> BaseException | None:
        try:
            self._check(gradients)
        except (TypeError, ValueError) as error:
            return error
        return None

    def _check(self, gradients: Any) -> None:
        if not isinstance(gradients, tuple | list):
            raise TypeError(
                f"GradientAverage: gradients must be a tuple or list of Tensors, got {type(gradients).__name__}"
            )
        if len(gradients) != len(self._parameters):
            raise ValueError(
                f"GradientAverage: got {len(gradients)} gradient(s) for {len(self._parameters)} parameter(s)"
            )
        for gradient, parameter in zip(gradients, self._parameters, strict=True):
            if not isinstance(gradient, Tensor) or dtype_name(gradient.dtype) is None:
                got = gradient.dtype if isinstance(gradient, Tensor) else type(gradient).__name__
                raise TypeError(
                    f"GradientAverage: the gradient of {parameter.name!r} must be a dense Tensor of floating-point "
                    f"numbers, got {got}"
                )
            if tuple(gradient.shape) != tuple(parameter.shape):
                raise ValueError(
                    f"GradientAverage: the gradient of {parameter.name!r} has shape {tuple(gradient.shape)}, but the "
                    f"parameter has {tuple(parameter.shape)}"
                )


class _Bucket:
    """Gradients that are added in one exchange, which begins at once."""

    def __init__(self, gradients: Sequence[Tensor], members: list[int], kind: str) -> None:
        self._gradients = gradients
        self._members = members
        self._kind = kind
        self._starts: list[int] = []
        size = 0
        for index in members:
            self._starts.append(size)
            size += -(-gradients[index].size // _ALIGNMENT) * _ALIGNMENT
        buffer = np.zeros(size, kind)
        for index, start in zip(members, self._starts, strict=True):
            values = gradients[index].asnumpy().reshape(-1)
            buffer[start : start + values.size] = values
        # Sums in float64 are not to be had of MindSpore on a CPU: all values are gathered, and added here.
        start_exchange = start_sum if kind == "float32" else start_gather
        self._pending: Pending | None = start_exchange("the average of gradients", buffer) if size else None

    def finish(self, means: list[Any]) -> None:
        """Wait for the sums, and put the means where they belong."""
        total = self._sums()
        total *= np.array(1.0 / rank_count(), self._kind)
        for index, start in zip(self._members, self._starts, strict=True):
            gradient = self._gradients[index]
            mean = Tensor.from_numpy(total[start : start + gradient.size].reshape(gradient.shape))
            means[index] = mean if mean.dtype == gradient.dtype else mean.astype(gradient.dtype)

    def _sums(self) -> Any:
        if self._pending is None:
            return np.zeros(0, self._kind)
        found = self._pending.wait()
        if self._kind == "float32":
            return found
        each = found.view(np.float64).reshape(rank_count(), -1)
        total = each[0].copy()
        for other in each[1:]:
            total += other
        return total


def _summed_in(gradient: Tensor) -> str:
    return "float64" if gradient.dtype == mindspore.float64 else "float32"
