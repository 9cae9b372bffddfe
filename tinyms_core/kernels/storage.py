"""The dtypes that parameters, gradients and state are stored in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

WIDTHS: Final[Mapping[str, int]] = MappingProxyType({"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8})
"""Bytes of a number of each."""
