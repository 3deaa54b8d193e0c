"""Proposers that merge the basins of an image in a tree and cut regions from it."""

__all__: list[str] = []
