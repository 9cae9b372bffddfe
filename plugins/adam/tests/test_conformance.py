"""Adam keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestAdam(OptimizerConformance):
    """Every check, in every mode and dtype that Adam declares."""

    optimizer = "adam"

    def test_every_check_ran(self) -> None:
        """None disappears without being missed."""
        self.require_counts(passed=183, skipped=6)
