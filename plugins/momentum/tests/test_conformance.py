"""Momentum keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestMomentum(OptimizerConformance):
    """Every check, in every mode and dtype that Momentum declares."""

    optimizer = "momentum"
