"""A second face of an optimizer: the same Parameters, state, rates and step, but without decay for some parameters.

The optimizer itself is not touched, so that nothing has to be put back, whatever happens in between.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mindspore import nn

from tinyms_core.optimizer.base import Optimizer


def undecayed(optimizer: nn.Optimizer, chosen: Sequence[bool]) -> nn.Optimizer:
    """View an optimizer without weight decay for some of its parameters.

    Arguments:
        optimizer: one of this library or of `mindspore.nn`, which stays as it is.
        chosen: for each of its parameters, whether the view leaves its decay out.

    Returns:
        An optimizer of the same class; a step of either is a step of both.
    """
    view = _shared(optimizer)
    if isinstance(view, Optimizer):
        _leave_out(view, chosen)
    else:
        # What `mindspore.nn.Optimizer.decay_weight`, and updates with decay of their own, go by.
        view.decay_flags = tuple(flag and not out for flag, out in zip(optimizer.decay_flags, chosen, strict=True))
        view.exec_weight_decay = optimizer.exec_weight_decay and any(view.decay_flags)
    return view


def _leave_out(view: Optimizer, chosen: Sequence[bool]) -> None:
    view.settings = tuple(
        replace(setting, decay=0.0, decays=False) if out else setting
        for setting, out in zip(view.settings, chosen, strict=True)
    )
    view._set_decays()
    view._host_step, view._host_ready = None, False
    if view._program is not None and not view._classic:
        view._set_traced_step(view._program)


def _shared(optimizer: nn.Optimizer) -> Any:
    """A new object with the attributes of the old one; setting one of them does not set the other's."""
    base, attributes = nn.Cell.__getstate__(optimizer)
    cls: Any = type(optimizer)
    view = cls.__new__(cls)
    own = dict(attributes)
    # MindSpore finds compiled graphs by the time at which a Cell was made.
    own.update(_create_time=time.time_ns(), _compile_cache=None, _phase_cache=None, _cells=dict(own["_cells"]))
    nn.Cell.__setstate__(view, (base, own))
    return view
