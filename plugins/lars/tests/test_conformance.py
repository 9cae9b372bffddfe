"""LARS keeps the contract, around small optimizers of the kit's own and around those of `mindspore.nn`."""

from tinyms_core.conformance import OptimizerConformance


class TestLARS(OptimizerConformance):
    """Every check, in every mode and dtype that LARS declares."""

    optimizer = "lars"
