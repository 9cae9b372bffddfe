"""What the sessions train: parameters of many shapes, gradients that any process can compute, and hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor

import tinyms_core

SHAPES = {
    "first.weight": (40, 25),
    "first.bias": (40,),
    "conv.weight": (12, 4, 3, 3),
    "norm.gamma": (40,),
    "scale": (),
    "none": (0, 3),
    "last.weight": (10, 40),
}
# Tensors that can be parted between chunks, and small ones.
LARGE = {"conv.weight": (4000, 37, 3, 3), "vector": (400_003,), "matrix": (300, 500), "norm.gamma": (40,)}
DTYPES = (mindspore.float32, mindspore.float16, mindspore.bfloat16, mindspore.float64)
# thor is built from a network, with statistics of layers.
NAMES = tuple(sorted(set(tinyms_core.list_optimizers()) - {"thor"}))
REQUIRED = {"momentum": {"momentum": 0.9}, "adafactor": {}, "lars": {"around": "momentum", "momentum": 0.9}}
LAYERWISE = ("adafactor", "lamb", "lars", "muon")


def arguments(name: str) -> dict[str, Any]:
    """Arguments of an optimizer, with options that are not the defaults."""
    own = {"learning_rate": 0.01, **REQUIRED.get(name, {})}
    if name == "adafactor":
        del own["learning_rate"]
    return {**own, "weight_decay": 0.01}


def parameters(
    prefix: str = "", seed: int = 0, dtypes: Iterable[Any] = (mindspore.float32,), shapes: Any = SHAPES
) -> list[Parameter]:
    """Parameters of all shapes, in each of the dtypes."""
    random = np.random.default_rng(seed)
    return [
        Parameter(
            Tensor(random.standard_normal(shape).astype(np.float32)).astype(dtype), name=f"{prefix}{dtype}.{name}"
        )
        for dtype in dtypes
        for name, shape in shapes.items()
    ]


def gradients(params: Iterable[Parameter], *seed: int) -> tuple[Tensor, ...]:
    """Gradients that depend on the parameters and on the seed, the same in every process."""
    random = np.random.default_rng(seed)
    found = []
    for held in params:
        values = (as_float(held) + random.standard_normal(held.shape)).astype(np.float32)
        # Not by way of operators: 200 steps of all optimizers take long enough.
        found.append(Tensor(np.asarray(values, held.asnumpy().dtype)))
    return tuple(found)


def as_float(tensor: Tensor) -> Any:
    """A tensor's numbers in float64."""
    return tensor.asnumpy().astype(np.float64)


def digest(tensors: Iterable[Tensor]) -> str:
    """A hash of all bits of tensors."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(np.ascontiguousarray(tensor.asnumpy()).tobytes())
    return found.hexdigest()[:16]
