"""AdamWeightDecay keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestAdamWeightDecay(OptimizerConformance):
    """Every check, in every mode and dtype that AdamWeightDecay declares."""

    optimizer = "adam_weight_decay"
