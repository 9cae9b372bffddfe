"""AdamOffload keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestAdamOffload(OptimizerConformance):
    """Every check, in every mode and dtype that AdamOffload declares."""

    optimizer = "adam_offload"
