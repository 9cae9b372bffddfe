"""What ``tinyms-optim bench`` is asked to time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.shapes import ShapeSet


@dataclass(frozen=True)
class Row:
    """A row of the table of steps.

    Attributes:
        name: the optimizer's name.
        setting: mode, dtype and preprocessing.
        shapes: the parameters' shapes.
    """

    name: str
    setting: Setting
    shapes: ShapeSet

    def __str__(self) -> str:
        return f"{self.name}, {self.shapes.name}, {self.setting.mode}, {self.setting.dtype}"


@dataclass(frozen=True)
class Order:
    """The options that say what is timed, and for how long.

    Attributes:
        names: the optimizers' names.
        sets: sets of parameters.
        settings: modes and dtypes.
        against: kinds of peers.
        around: what one is built around that is built so.
        steps: how many rounds count.
        limit: seconds after which no further round of a row begins.
    """

    names: tuple[str, ...]
    sets: tuple[ShapeSet, ...]
    settings: tuple[Setting, ...]
    against: tuple[str, ...]
    around: str
    steps: int
    limit: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes, sets by their names."""
        return {
            "names": list(self.names),
            "shapes": [shapes.name for shapes in self.sets],
            "modes": list(dict.fromkeys(setting.mode for setting in self.settings)),
            "dtypes": list(dict.fromkeys(setting.dtype for setting in self.settings)),
            "against": list(self.against),
            "around": self.around,
            "steps": self.steps,
            "limit": self.limit,
        }
