"""Lamb keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestLamb(OptimizerConformance):
    """Every check, in every mode and dtype that Lamb declares."""

    optimizer = "lamb"

    def test_every_check_ran(self) -> None:
        """None disappears without being missed."""
        self.require_counts(passed=176, skipped=8)
