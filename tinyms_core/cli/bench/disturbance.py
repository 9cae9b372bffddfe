"""What took processors away from this process while something was timed, as the system counts it."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_STATISTICS: Final = Path("/proc/stat")
# The place of the time that other virtual machines took, after the line's name.
_STOLEN: Final = 7


@dataclass(frozen=True)
class Disturbance:
    """What happened during a turn.

    Attributes:
        switches: how often a thread of this process had to wait for a processor that somebody else was given.
        stolen_ms: milliseconds of processors that the host gave to other virtual machines, in ticks of about 10 ms.
    """

    switches: int = 0
    stolen_ms: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.switches or self.stolen_ms)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {"involuntary_switches": self.switches, "stolen_ms": self.stolen_ms}


class Watch:
    """Counts disturbances between `start` and `stop`."""

    def __init__(self) -> None:
        self._tick_ms = 1000 / os.sysconf("SC_CLK_TCK")
        self.start()

    def start(self) -> None:
        """Begin."""
        self._before = self._counts()

    def stop(self) -> Disturbance:
        """Return what happened since the beginning."""
        switches, stolen = (now - before for now, before in zip(self._counts(), self._before, strict=True))
        return Disturbance(int(switches), stolen * self._tick_ms)

    def _counts(self) -> tuple[int, int]:
        return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw, _stolen_ticks()


def _stolen_ticks() -> int:
    try:
        fields = _STATISTICS.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0
    return int(fields[_STOLEN]) if len(fields) > _STOLEN else 0
