"""What became of one check, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Status = Literal["passed", "failed", "skipped", "expected_failure", "unexpected_pass"]

STATUSES: Final[tuple[Status, ...]] = ("failed", "unexpected_pass", "expected_failure", "skipped", "passed")
"""All statuses, those that want attention first."""

FAILURES: Final[tuple[Status, ...]] = ("failed", "unexpected_pass")
"""The statuses with which an optimizer does not conform."""

ANY: Final = "any"
"""The mode or dtype of a check that does not depend on it."""


@dataclass(frozen=True)
class CheckResult:
    """What became of one check in one mode with one dtype.

    Attributes:
        check: the check's name.
        subject: what it is about: Identity, Construction, Groups and rates, Numbers, Sparse, Execution,
            State or Learning.
        optimizer: the optimizer's name.
        device: the device that it ran on.
        mode: ``"pynative"``, ``"jit"`` or ``"graph"``; ``"any"`` where it makes no difference.
        dtype: the parameters' dtype; ``"any"`` where it makes no difference.
        status: ``"passed"``, ``"failed"``, ``"skipped"``, ``"expected_failure"``, or ``"unexpected_pass"`` for
            a check that was expected to fail and passed, which counts as a failure.
        reason: why, for every status but ``"passed"``.
        seconds: how long it took.
        largest_errors: by the dtype of parameters, the largest error against the float64 oracle, relative to the
            larger of the element and its tensor's root mean square; empty for a check that does not compare with it.
            16-bit parameters, which are compared by their rounding, do not count, their state does.

    Example:
        >>> CheckResult("name_resolves", "Identity", "adam", "CPU", "any", "any", "passed", "", 0.1).failed
        False
    """

    check: str
    subject: str
    optimizer: str
    device: str
    mode: str
    dtype: str
    status: Status
    reason: str
    seconds: float
    largest_errors: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def failed(self) -> bool:
        """Whether the optimizer does not conform because of it."""
        return self.status in FAILURES

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes, in their order."""
        return asdict(self)
