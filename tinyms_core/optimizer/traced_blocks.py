"""Loops over the parameters of an optimizer in a graph."""

from __future__ import annotations

import math
from typing import Any

from mindspore import nn

from tinyms_core.kernels.traced_gradients import check_dense, fits_host


class TracedBlocks(nn.Cell):
    """The parameters, divided for loops in loops.

    Of a loop MindSpore's parser makes a function in a function for each round, to a depth of 1,000. With blocks of
    about the root of their number, and eight gradients a round where they cannot be handed on, networks of thousands of
    parameters fit.
    """

    traced_names: tuple[str, ...]

    def _set_traced_blocks(self) -> None:
        """Divide them; to be called when ``param_length`` is known."""
        count, last = self.param_length, self.param_length - 1
        edge = math.isqrt(count) + 1
        self.traced_blocks = tuple((first, min(first + edge, count)) for first in range(0, count, edge))
        self.traced_eights = tuple(tuple(min(first + k, last) for k in range(8)) for first in range(0, count, 8))

    def _traced_check(self, gradients: Any, first: int, last: int) -> Any:
        """Refuse dense gradients that do not fit; say whether the host's kernels take those of a block."""
        fit = True
        for i in range(first, last):
            check_dense(self.parameters[i], gradients[i], self.traced_names[i])
            fit = fits_host(gradients[i]) and fit
        return fit
