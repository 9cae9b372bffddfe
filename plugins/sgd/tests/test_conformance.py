"""SGD keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestSGD(OptimizerConformance):
    """Every check, in every mode and dtype that SGD declares."""

    optimizer = "sgd"
