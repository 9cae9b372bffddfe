"""Timing an optimizer's step against its peers and against the memory's speed."""
