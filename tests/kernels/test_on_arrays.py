"""Kernels of functions in numpy, for arrays of every number of dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from tinyms_core.kernels.on_arrays import _loaded


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_bfloat16_is_loaded_from_arrays_of_any_shape(shape):
    stored = np.full(shape, 0x3FC0, np.uint16)
    loaded = _loaded(stored, "bfloat16")
    assert (loaded.dtype, loaded.shape) == (np.float32, shape)
    assert (loaded == 1.5).all()
