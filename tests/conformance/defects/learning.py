"""Defects in learning: what the first steps do not show."""

from __future__ import annotations

from typing import Any

from tests.conformance.defects.planting import planted
from tests.conformance.defects.sound import SoundMomentum


@planted("From the 26th step on nothing is done.", "converges")
class TiresSoon(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        return self._done if int(self.global_step.asnumpy()[0]) >= 25 else super().__call__(gradients)
