"""Gradients of a wrapping optimizer on the host, for an optimizer that updates with operators of its own.

One pass sums, a second writes what the wrapped optimizer is given to new tensors: for each chosen parameter the
decayed gradient times the factor, still with the loss scale, which the wrapped optimizer divides by.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.kernels.batch import Batch, make_batch
from tinyms_core.kernels.cpu import CpuKernel, compute_type
from tinyms_core.kernels.cpu_source import PREPROCESSING
from tinyms_core.kernels.hand_over import hand_over
from tinyms_core.kernels.program import analyse
from tinyms_core.kernels.trampoline import KINDS
from tinyms_core.optimizer.addresses import GradientReader, wait_for_queued_work
from tinyms_core.optimizer.dtypes import dtype_name
from tinyms_core.optimizer.host_factors import HostFactors


class HostGradients:
    """What a wrapping optimizer gives to the one that it is around.

    Arguments:
        factors: its factors.
        parameters: all parameters.
        chosen: which of them get a factor.
        keeps_dtype: whether gradients are to have the dtype that they came in, not that of the arithmetic.
    """

    def __init__(
        self, factors: HostFactors, parameters: Sequence[Parameter], chosen: Sequence[bool], keeps_dtype: bool
    ) -> None:
        self._factors = factors
        self._parameters = list(parameters)
        self._reader = GradientReader([tuple(parameter.shape) for parameter in parameters])
        self._chosen = [index for index, wanted in enumerate(chosen) if wanted]
        self._keeps_dtype = keeps_dtype
        self._kinds = [dtype_name(parameter.dtype) or "float32" for parameter in parameters]
        self._program = analyse(hand_over, {})
        self._calls: dict[tuple[str, str, tuple[int, ...]], tuple[CpuKernel, Batch]] = {}

    def __call__(self, gradients: Sequence[Tensor], step: int) -> tuple[Tensor, ...]:
        """Make the gradients of a 0-based step.

        Arguments:
            gradients: dense, one for each parameter, of its shape.
            step: the step.

        Returns:
            The gradients: those of parameters that are not chosen as they came.
        """
        wait_for_queued_work()
        read = self._reader.dense(gradients) or self._reader.checked(gradients)
        # Of a parameter whose memory is a view, too, elements are wanted in their order.
        own = self._reader.dense(self._parameters) or self._reader.checked(self._parameters)
        factors = self._factors.at_step(step, read.kinds)
        seen = list(gradients)
        calls: dict[tuple[str, str], list[int]] = {}
        for index in self._chosen:
            calls.setdefault((self._kinds[index], KINDS[read.kinds[index]]), []).append(index)
        for (parameter, gradient), members in calls.items():
            kernel, batch = self._call(parameter, gradient, tuple(members))
            arrays = [np.empty(self._parameters[i].shape, compute_type(parameter)) for i in members]
            written = np.array([array.ctypes.data for array in arrays], dtype=np.int64)
            addresses = np.stack([own.addresses[members], read.addresses[members], written])
            table, rows = factors.rows(members, addresses, np.zeros((len(members), len(PREPROCESSING))))
            table[:, PREPROCESSING.index("scale")] *= self._factors.scale
            kernel(batch, addresses, rows, table)
            for index, array in zip(members, arrays, strict=True):
                made, kind = Tensor.from_numpy(array), gradients[index].dtype
                seen[index] = made.astype(kind) if self._keeps_dtype and made.dtype != kind else made
        return tuple(seen)

    def _call(self, parameter: str, gradient: str, members: tuple[int, ...]) -> tuple[CpuKernel, Batch]:
        key = parameter, gradient, members
        if key not in self._calls:
            batch = make_batch([self._parameters[index].size for index in members])
            self._calls[key] = CpuKernel(self._program, parameter, gradient), batch
        return self._calls[key]
