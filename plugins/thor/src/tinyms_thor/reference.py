"""THOR in float64 numpy, with loops and plain inverses, written apart from the optimizer: what it is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np


def dense_factors(inputs: Any, slopes: Any, loss_scale: float) -> tuple[Any, Any]:
    """A and G of a Dense layer, as lists of one matrix; ``slopes`` are gradients of the scaled loss."""
    rows = np.asarray(inputs, np.float64).reshape(-1, inputs.shape[-1])
    falls = np.asarray(slopes, np.float64).reshape(-1, slopes.shape[-1]) / loss_scale
    n = len(rows)
    return [sum(np.outer(r, r) for r in rows) / n], [n * sum(np.outer(f, f) for f in falls)]


def convolution_factors(
    images: Any,
    slopes: Any,
    loss_scale: float,
    *,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    margins: tuple[int, int],
    groups: int,
) -> tuple[list[Any], list[Any]]:
    """A and G of each group of a convolution; ``margins`` are the rows above and the columns left of the images."""
    images, slopes = np.asarray(images, np.float64), np.asarray(slopes, np.float64) / loss_scale
    n, channels, height, width = images.shape
    _, outputs, rows, columns = slopes.shape
    own, made = channels // groups, outputs // groups
    firsts, seconds = [], []
    for group in range(groups):
        a = np.zeros((own * kernel[0] * kernel[1],) * 2)
        g = np.zeros((made, made))
        for image in range(n):
            for row in range(rows):
                for column in range(columns):
                    patch = np.zeros((own, *kernel))
                    for i in range(kernel[0]):
                        for j in range(kernel[1]):
                            y = row * stride[0] + i * dilation[0] - margins[0]
                            x = column * stride[1] + j * dilation[1] - margins[1]
                            if 0 <= y < height and 0 <= x < width:
                                patch[:, i, j] = images[image, group * own : (group + 1) * own, y, x]
                    fall = slopes[image, group * made : (group + 1) * made, row, column]
                    a += np.outer(patch, patch)
                    g += np.outer(fall, fall)
        firsts.append(a / n)
        seconds.append(g * n / (rows * columns))
    return firsts, seconds


def embedding_factors(ids: Any, slopes: Any, loss_scale: float, size: int) -> tuple[list[Any], list[Any]]:
    """A and G of a table, A written out as a diagonal matrix."""
    one_hot = np.zeros((ids.size, size))
    one_hot[np.arange(ids.size), ids.reshape(-1)] = 1.0
    return dense_factors(one_hot, slopes, loss_scale)


def preconditioned(gradient: Any, a: list[Any], g: list[Any], damping: float, balance: bool = False) -> Any:
    """The gradient of a layer's weight between its inverses, group by group."""
    groups = len(a)
    whole = np.asarray(gradient, np.float64)
    parts = whole.reshape(groups, len(g[0]), -1)
    pi = 1.0
    if balance:
        means = [np.mean([np.trace(m) / len(m) for m in factor]) for factor in (a, g)]
        pi = np.sqrt(means[0] / means[1])
    root = np.sqrt(damping)
    result = [
        np.linalg.inv(gi + root / pi * np.eye(len(gi))) @ part @ np.linalg.inv(ai + root * pi * np.eye(len(ai)))
        for ai, gi, part in zip(a, g, parts, strict=True)
    ]
    return np.stack(result).reshape(whole.shape)


def normalized(gradient: Any, damping: float, batch_size: int) -> Any:
    """The gradient of a normalization's scale or shift."""
    gradient = np.asarray(gradient, np.float64)
    return gradient / (gradient**2 / batch_size + np.sqrt(damping))
