"""thor keeps those points of the contract that are about optimizers of a network."""

from tinyms_core.conformance import OptimizerConformance


class TestThor(OptimizerConformance):
    """The checks that build no optimizer from parameters, and those that train a small network with it."""

    optimizer = "thor"
