"""Lamb keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestLamb(OptimizerConformance):
    """Every check, in every mode and dtype that Lamb declares."""

    optimizer = "lamb"
