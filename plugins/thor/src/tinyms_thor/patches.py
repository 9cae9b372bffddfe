"""The patches of an image that a convolution multiplies with its kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Window:
    """How a convolution moves over an image; each pair is (vertical, horizontal).

    Arguments:
        kernel: the kernel's size.
        stride: the distance of two patches.
        dilation: the distance of two elements of a patch.
        mode: ``"same"``, ``"valid"`` or ``"pad"``.
        padding: for ``"pad"``, what is added at the top, bottom, left and right.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    mode: str
    padding: tuple[int, int, int, int]

    def _margins(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        if self.mode == "valid":
            return (0, 0), (0, 0)
        if self.mode == "pad":
            top, bottom, left, right = self.padding
            return (top, bottom), (left, right)
        margins = []
        for length, kernel, stride, dilation in zip(
            (height, width), self.kernel, self.stride, self.dilation, strict=True
        ):
            reach = (kernel - 1) * dilation + 1
            missing = max((-(-length // stride) - 1) * stride + reach - length, 0)
            margins.append((missing // 2, missing - missing // 2))
        return margins[0], margins[1]

    def patches(self, images: Any, groups: int) -> Any:
        """All patches of images as rows.

        Arguments:
            images: of the shape (images, channels, height, width).
            groups: of how many groups of channels.

        Returns:
            An array of the shape (groups, images * positions, channels / groups * kernel elements).
        """
        count, channels, height, width = images.shape
        margins = self._margins(height, width)
        padded = np.pad(images, ((0, 0), (0, 0), *margins))
        reach = [(kernel - 1) * step + 1 for kernel, step in zip(self.kernel, self.dilation, strict=True)]
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
        windows = windows[:, :, :: self.stride[0], :: self.stride[1], :: self.dilation[0], :: self.dilation[1]]
        rows, columns = windows.shape[2:4]
        split = windows.reshape(count, groups, channels // groups, rows, columns, *self.kernel)
        ordered = split.transpose(1, 0, 3, 4, 2, 5, 6)
        return ordered.reshape(groups, count * rows * columns, channels // groups * self.kernel[0] * self.kernel[1])
