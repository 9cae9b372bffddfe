"""thor keeps those points of the contract that are about optimizers of a network."""

from tinyms_core.conformance import OptimizerConformance


class TestThor(OptimizerConformance):
    """The checks that build no optimizer from parameters; its other tests are beside this file."""

    optimizer = "thor"
