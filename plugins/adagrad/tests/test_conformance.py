"""Adagrad keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestAdagrad(OptimizerConformance):
    """Every check, in every mode and dtype that Adagrad declares."""

    optimizer = "adagrad"
