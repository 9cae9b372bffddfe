"""AdamW keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestAdamW(OptimizerConformance):
    """Every check, in every mode and dtype that AdamW declares."""

    optimizer = "adamw"
