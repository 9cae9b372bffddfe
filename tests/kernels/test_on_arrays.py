"""Kernels of functions in numpy, for arrays of every number of dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from tinyms_core.kernels.on_arrays import loaded


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_bfloat16_isloaded_from_arrays_of_any_shape(shape):
    stored = np.full(shape, 0x3FC0, np.uint16)
    found = loaded(stored, "bfloat16")
    assert (found.dtype, found.shape) == (np.float32, shape)
    assert (found == 1.5).all()
