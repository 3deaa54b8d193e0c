"""Regions as nodes of a tree in which the basins of an image merge."""
