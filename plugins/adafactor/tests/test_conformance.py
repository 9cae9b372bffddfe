"""AdaFactor keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestAdaFactor(OptimizerConformance):
    """Every check, in every mode and dtype that AdaFactor declares."""

    optimizer = "adafactor"

    def test_every_check_ran(self) -> None:
        """None disappears without being missed."""
        self.require_counts(passed=180, skipped=6)
