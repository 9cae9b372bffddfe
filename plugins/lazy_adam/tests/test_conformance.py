"""LazyAdam keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestLazyAdam(OptimizerConformance):
    """Every check, in every mode and dtype that LazyAdam declares."""

    optimizer = "lazy_adam"
