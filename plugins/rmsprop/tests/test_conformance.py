"""RMSProp keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestRMSProp(OptimizerConformance):
    """Every check, in every mode and dtype that RMSProp declares."""

    optimizer = "rmsprop"
