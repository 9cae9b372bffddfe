"""Adan keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestAdan(OptimizerConformance):
    """Every check, in every mode and dtype that Adan declares."""

    optimizer = "adan"
