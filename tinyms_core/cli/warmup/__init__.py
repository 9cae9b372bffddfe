"""Filling the cache of compiled kernels ahead of time."""
