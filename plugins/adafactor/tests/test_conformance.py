"""AdaFactor keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestAdaFactor(OptimizerConformance):
    """Every check, in every mode and dtype that AdaFactor declares."""

    optimizer = "adafactor"
