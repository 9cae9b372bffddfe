"""Comparing optimizers fairly: equal tuning, several seeds, steps and seconds to an accuracy."""
