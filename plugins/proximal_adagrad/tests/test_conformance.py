"""ProximalAdagrad keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestProximalAdagrad(OptimizerConformance):
    """Every check, in every mode and dtype that ProximalAdagrad declares."""

    optimizer = "proximal_adagrad"
