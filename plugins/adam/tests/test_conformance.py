"""Adam keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestAdam(OptimizerConformance):
    """Every check, in every mode and dtype that Adam declares."""

    optimizer = "adam"
