"""Lion keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestLion(OptimizerConformance):
    """Every check, in every mode and dtype that Lion declares."""

    optimizer = "lion"
