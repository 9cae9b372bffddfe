"""FTRL keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestFTRL(OptimizerConformance):
    """Every check, in every mode and dtype that FTRL declares."""

    optimizer = "ftrl"
