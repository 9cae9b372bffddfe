"""Muon keeps the contract."""

from tinyms_core.conformance import OptimizerConformance


class TestMuon(OptimizerConformance):
    """Every check, in every mode and dtype that Muon declares."""

    optimizer = "muon"
